"""The system calls a program in the box may make: a list of what is allowed; all else is refused.

The filter is written by hand for x86-64 and aarch64, with no library. What is not listed fails with EPERM,
and what came after this list with ENOSYS, so that the C library falls back. Another architecture's calls kill
the process.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from stages.sandbox.kernel import libc_call

# name:x86-64:aarch64, a dash where the machine has no such call. setsid is not here: the kernel shares
# processors between sessions, and a program of many sessions would leave none for the one that watches it.
ALLOWED = """
access:21:- alarm:37:- arch_prctl:158:- brk:12:214 chdir:80:49 chmod:90:- clock_getres:229:114
clock_gettime:228:113 clock_nanosleep:230:115 close:3:57 copy_file_range:326:285 creat:85:-
dup:32:23 dup2:33:- dup3:292:24 epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21
epoll_pwait:281:22 epoll_wait:232:- eventfd:284:- eventfd2:290:19 execve:59:221 exit:60:93
exit_group:231:94 faccessat:269:48 faccessat2:439:439 fadvise64:221:223 fallocate:285:47
fchdir:81:50 fchmod:91:52 fchmodat:268:53 fdatasync:75:83 fork:57:- fstat:5:80 fstatfs:138:44
fsync:74:82 ftruncate:77:46 futex:202:98 getcpu:309:168 getcwd:79:17 getdents:78:-
getdents64:217:61 getegid:108:177 geteuid:107:175 getgid:104:176 getgroups:115:158
getitimer:36:102 getpeername:52:205 getpgid:121:155 getpgrp:111:- getpid:39:172 getppid:110:173
getpriority:140:141 getrandom:318:278 getresgid:120:150 getresuid:118:148 getrlimit:97:163
getrusage:98:165 getsid:124:156 getsockname:51:204 getsockopt:55:209 gettid:186:178
gettimeofday:96:169 getuid:102:174 kill:62:129 link:86:- linkat:265:37 lseek:8:62 lstat:6:-
madvise:28:233 membarrier:324:283 mincore:27:232 mkdir:83:- mkdirat:258:34 mprotect:10:226
mremap:25:216 msync:26:227 munmap:11:215 nanosleep:35:101 newfstatat:262:79 open:2:-
openat:257:56 pause:34:- pipe:22:- pipe2:293:59 poll:7:- ppoll:271:73 pread64:17:67
preadv:295:69 pselect6:270:72 pwrite64:18:68 pwritev:296:70 read:0:63 readahead:187:213
readlink:89:- readlinkat:267:78 readv:19:65 recvfrom:45:207 rename:82:- renameat:264:38
renameat2:316:276 restart_syscall:219:128 rmdir:84:- rseq:334:293 rt_sigaction:13:134
rt_sigpending:127:136 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigsuspend:130:133
rt_sigtimedwait:128:137 sched_get_priority_max:146:125 sched_get_priority_min:147:126
sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120 sched_yield:24:124
select:23:- sendto:44:206 set_robust_list:273:99 set_tid_address:218:96 setitimer:38:103
setpgid:109:154 setrlimit:160:164 shutdown:48:210 sigaltstack:131:132 stat:4:- statfs:137:43
statx:332:291 symlink:88:- symlinkat:266:36 sysinfo:99:179 tgkill:234:131 time:201:-
timer_create:222:107 timer_delete:226:111 timer_getoverrun:225:109 timer_gettime:224:108
timer_settime:223:110 timerfd_create:283:85 timerfd_gettime:287:87 timerfd_settime:286:86
times:100:153 tkill:200:130 truncate:76:45 umask:95:166 uname:63:160 unlink:87:- unlinkat:263:35
utime:132:- utimensat:280:88 utimes:235:- vfork:58:- wait4:61:260 waitid:247:95 write:1:64
writev:20:66
"""
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH
NEWEST = 440  # calls from here on are unknown to this list, and answer as an older kernel would
X32 = 0x40000000
NAMESPACES = 0x7E020080  # CLONE_NEW*, each of them

# Calls that are allowed by an argument: (numbers, argument's index, its allowed values, error of the rest).
BY_ARGUMENT = (
    # FIONREAD, FIONBIO, FIONCLEX, FIOCLEX and isatty's question; the rest is "not a terminal"
    ((16, 29), 1, (0x541B, 0x5421, 0x5450, 0x5451), 25),
    # duplicating, flags and asking a pipe's size; none may grow, no locks or leases on files of the host
    ((72, 25), 1, (0, 1, 2, 3, 4, 1030, 1032), 1),
    ((157, 167), 0, (15, 16), 1),  # prctl: a thread's own name
    ((302, 261), 0, (0,), 1),  # prlimit64: of the process itself
    ((53, 199), 0, (1,), 1),  # socketpair: AF_UNIX
    ((436, 436), 2, (0, 4), 1),  # close_range: a thread has the descriptors that its process has
    # Never. sendfile would pin pages of a file in a pipe; clone3's flags are in memory, where a filter cannot
    # look. Programs then copy, and the C library uses clone.
    ((40, 71), 0, (), 38),
    ((435, 435), 0, (), 38),
)
CLONE, MMAP = (56, 220), (9, 222)
THREAD, FILES = (
    0x10000,
    0x400,
)  # CLONE_*: the meter sees descriptors by process, so threads share them
SHARED, ANONYMOUS, HUGE = (
    0x01,
    0x20,
    0x40000,
)  # MAP_*: memory that stays when it is not mapped, or is the host's pool
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
LOAD, JUMP, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
PR_SET_SECCOMP, FILTER_MODE = 22, 2


def install(program: bytes) -> None:
    """Binds this process and all that it starts to the filter. Needs no_new_privs."""
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc_call("prctl", PR_SET_SECCOMP, FILTER_MODE, ctypes.create_string_buffer(header), 0, 0)


def compiled(machine: str = "") -> bytes:
    """The filter as BPF for `machine`, this one by default. Raises KeyError for one it is not written for."""
    column, architecture = MACHINES[machine or platform.machine()]
    code = [
        _step(LOAD, 4),
        _step(JUMP, architecture, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, 0),
        _step(AT_LEAST, X32, 0, 1),
        _step(RETURN, KILL),
        _step(JUMP, CLONE[column], 0, 6),
        _step(LOAD, 16),
        _step(ANY_BIT, NAMESPACES, 2, 0),
        _step(ANY_BIT, THREAD, 0, 2),
        _step(ANY_BIT, FILES, 1, 0),
        _step(RETURN, ERRNO | EPERM),
        _step(RETURN, ALLOW),
        _step(JUMP, MMAP[column], 0, 6),
        _step(LOAD, 40),
        _step(ANY_BIT, HUGE, 2, 0),
        _step(ANY_BIT, ANONYMOUS, 0, 2),
        _step(ANY_BIT, SHARED, 0, 1),
        _step(RETURN, ERRNO | EPERM),
        _step(RETURN, ALLOW),
    ]
    for numbers, argument, values, error in BY_ARGUMENT:
        code.append(_step(JUMP, numbers[column], 0, len(values) + 3))
        code.append(_step(LOAD, 16 + 8 * argument))
        code += [_step(JUMP, value, len(values) - k, 0) for k, value in enumerate(values)]
        code += [_step(RETURN, ERRNO | error), _step(RETURN, ALLOW)]
    for low, high in _ranges(column):
        code += [
            _step(GREATER, high, 3, 0),
            _step(AT_LEAST, low, 0, 1),
            _step(RETURN, ALLOW),
            _step(RETURN, ERRNO | EPERM),
        ]
    code += [_step(AT_LEAST, NEWEST, 0, 1), _step(RETURN, ERRNO | ENOSYS)]
    code.append(_step(RETURN, ERRNO | EPERM))
    return b"".join(code)


def _ranges(column: int) -> list[tuple[int, int]]:
    """The allowed numbers as runs of neighbours, ascending."""
    entries = (entry.split(":")[1 + column] for entry in ALLOWED.split())
    found: list[tuple[int, int]] = []
    for number in sorted(int(each) for each in entries if each != "-"):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
