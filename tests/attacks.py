"""Programs that try to get out of the box. One that succeeds prints `out`.

CALLS are system calls by number (x86-64, aarch64), each a way to the kernel that the box must not leave open.
"""

from __future__ import annotations

CALLS: dict[str, tuple[int, int]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsopen": (430, 430), "init_module": (175, 105),
    "inotify_init1": (294, 26), "io_setup": (206, 0), "io_uring_setup": (425, 425), "kcmp": (312, 272),
    "kexec_load": (246, 104), "keyctl": (250, 219), "landlock_create_ruleset": (444, 444),
    "mbind": (237, 235), "memfd_create": (319, 279), "migrate_pages": (256, 238), "mlockall": (151, 230),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264), "open_by_handle_at": (304,
    265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438,
    438),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pivot_root": (155, 41),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "sched_setscheduler": (144, 119),
    "seccomp": (317, 277), "semget": (64, 190), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "setpriority": (141, 140), "settimeofday": (164, 170), "shmget": (29, 194),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "semtimedop": (220, 192),
    "mq_timedsend": (242, 182),
    "msgsnd": (69, 189), "shmat": (30, 196), "execveat": (322, 281), "signalfd4": (289, 74),
    "memfd_secret": (447, 447),
    "splice": (275, 76), "tee": (276, 77), "sendfile": (40, 71), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "recvmsg": (47, 212), "setsockopt": (54, 208), "bind": (49, 200), "listen": (50, 201), "connect": (42,
    203),
    "accept4": (288, 242), "mknodat": (259, 33), "flock": (73, 32), "fchownat": (260, 54), "setxattr": (188,
    5),
    "inotify_add_watch": (254, 27), "fanotify_mark": (301, 263), "clone3": (435, 435),
    "remap_file_pages": (216, 234),
    "set_mempolicy": (238, 237), "ioprio_set": (251, 30),
    "socket": (41, 198), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58), "vmsplice": (278, 75),
}  # fmt: skip

# One run tries all of them: those that do not fail are printed. 0, 0, … is a call that would do little.
TRY_CALLS = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
column = ["x86_64", "aarch64"].index(platform.machine())
arguments = {
    "unshare": (0x10000000,), "socket": (2, 1, 0), "shmget": (0, 4096, 0o1600), "msgget": (0, 0o1600),
    "semget": (0, 1, 0o1600), "sched_setaffinity": (0, 8, ctypes.create_string_buffer(b"\\1" + bytes(7))),
    "mlockall": (1,), "personality": (0xFFFFFFFF,), "keyctl": (0, -3, 1), "inotify_init1": (0,),
    "pidfd_open": (2, 0), "memfd_create": (b"x", 0), "setpriority": (0, 0, 1), "io_setup": (1, bytearray(8))}
for name, numbers in CALLS.items():
    given = [ctypes.c_long(a) if isinstance(a, int) else a if isinstance(a, ctypes.Array) else
             ctypes.c_char_p(bytes(a)) for a in arguments.get(name, (0, 0, 0, 0, 0))]
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(numbers[column]), *given) != -1 or ctypes.get_errno() not in (1, 38):
        print(name, ctypes.get_errno())
"""

# Each is Python; `libc` is there, and `tried(f)` calls f and prints `out` where it does not raise.
OPENING = """
import ctypes, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def tried(f, *a, **k):
    try:
        f(*a, **k)
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("out")
"""
ATTACKS: dict[str, str] = {
    # What is on the host
    "reads passwd": "tried(open, '/etc/passwd')",
    "reads shadow": "tried(open, '/etc/shadow')",
    "lists home": "tried(os.listdir, '/home')",
    "reads the repository": "tried(open, os.path.join(REPOSITORY, 'pyproject.toml'))",
    "reads the host's environment": "print('out' if set(os.environ) - "
    "{'PATH','HOME','LANG','LC_CTYPE','OMP_NUM_THREADS','PYTHONDONTWRITEBYTECODE','PYTHONIOENCODING'} else "
    "'')",
    "lists proc": "print('out' if os.listdir('/proc') else '')",
    "lists the hidden proc": "print('out' if os.listdir('/.proc') else '')",
    "reads its parent's memory": "tried(open, '/proc/1/mem')",
    "reads its parent's environment": "tried(open, '/proc/1/environ')",
    "walks up by dot dot": "os.chdir('/'); print('out' if os.path.exists('../../../home') else '')",
    "follows a link to the host": "os.symlink('/etc/hostname', 'a'); tried(open, 'a')",
    "follows a link through proc": "os.symlink('/proc/1/root/etc/passwd', 'b'); tried(open, 'b')",
    "links a file of the host": "tried(os.link, sys.executable, '/tmp/x')",
    "reads sys": "tried(os.listdir, '/sys')",
    "reads the disk": "tried(open, '/dev/vda', 'rb'); tried(open, '/dev/sda', 'rb'); tried(open, '/dev/mem', "
    "'rb')",
    "makes a device": "tried(os.mknod, '/tmp/d', 0o600 | 0o060000, os.makedev(254, 0))",
    "opens a terminal": "tried(open, '/dev/tty'); tried(open, '/dev/ptmx')",
    "has another descriptor": "\nfor fd in range(3, 1024):\n  try: os.fstat(fd)\n  except OSError: continue\n"
    "  print('out')",
    # Writing
    "writes into the interpreter": "tried(open, os.__file__, 'a')",
    "writes into usr": "tried(open, '/usr/bin/x', 'w')",
    "writes into the root": "tried(open, '/x', 'w'); tried(os.mkdir, '/y')",
    "writes into the linker's cache": "tried(open, '/etc/ld.so.cache', 'r+b')",
    "replaces a system folder": "tried(os.rename, '/usr/lib', '/tmp/lib')",
    "changes a system file's mode": "tried(os.chmod, sys.executable, 0o777)",
    "changes a system file's times": "tried(os.utime, sys.executable, (0, 0))",
    "becomes root by a setuid file": "open('/tmp/s', 'w').close(); os.chmod('/tmp/s', 0o4755); "
    "tried(os.setuid, 0)",
    "changes its user": "tried(os.setresuid, 0, 0, 0); tried(os.setgroups, [0])",
    "sets capabilities": "print('out' if libc.capset(ctypes.byref((ctypes.c_uint32*2)(0x20080522, 0)), "
    "ctypes.byref((ctypes.c_uint32*6)(*[0xffffffff]*6))) == 0 else '')",
    "asks for new privileges": "print('out' if libc.prctl(38, 0, 0, 0, 0) == 0 else '')",
    "asks to be dumpable": "print('out' if libc.prctl(4, 1, 0, 0, 0) == 0 else '')",
    "locks a file of the host": "import fcntl; tried(fcntl.flock, open(sys.executable, 'rb'), 2)",
    "leases a file of the host": "import fcntl; tried(fcntl.fcntl, open(sys.executable, 'rb'), 1024, 0)",
    # Processes
    "signals init": "\nfor s in (1, 2, 9, 15, 17, 19):\n  try: os.kill(1, s)\n  except OSError: pass",
    "signals everyone": "signal.signal(15, signal.SIG_IGN); os.kill(0, 0); os.kill(-1, 15) if len(sys.argv) "
    "> 9 else None",
    "signals the launcher's number": "\nfor pid in range(3, 3000):\n  try: os.kill(pid, 0)\n  except "
    "ProcessLookupError: continue\n  print('out')",
    "traces init": "print('out' if libc.ptrace(16, 1, 0, 0) == 0 else '')",
    "lets itself be traced": "print('out' if libc.ptrace(0, 0, 0, 0) == 0 else '')",
    "sets init's limits": "import resource; tried(resource.prlimit, 1, resource.RLIMIT_CPU, (1, 1))",
    "raises its own limit": "import resource; tried(resource.setrlimit, resource.RLIMIT_NPROC, (4096, 4096))",
    "raises its priority": "tried(os.nice, -5)",
    "takes a real-time class": "tried(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))",
    "makes a user namespace": "print('out' if libc.unshare(0x10000000) == 0 else '')",
    "clones into a namespace": "print('out' if libc.syscall(ctypes.c_long(56), ctypes.c_ulong(0x10000011), "
    "0, 0, 0, 0) > 0 else '')"
    " if os.uname().machine == 'x86_64' else None",
    "uses calls of 32 bits": "\nimport mmap\nif os.uname().machine == 'x86_64':\n"
    "  page = mmap.mmap(-1, 4096, 0x22, 7)\n"
    "  page.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20; int 0x80; ret\n"
    "  at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
    "  print('out', ctypes.CFUNCTYPE(ctypes.c_int)(at)(), flush=True)",
    "uses calls of x32": "print('out' if os.uname().machine == 'x86_64' and "
    "libc.syscall(ctypes.c_long(0x40000000 + 39)) > 0 else '')",
    # Siblings: the program's own children, which are no way out either
    "traces a sibling": "\nchild = os.fork()\nif not child: time.sleep(9)\n"
    "for how in (16, 0x4206): print('out' if libc.ptrace(how, child, 0, 0) == 0 else '')",
    "writes into a sibling": "\nchild = os.fork()\nif not child: time.sleep(9)\nword = "
    "ctypes.create_string_buffer(8)\n"
    "part = (ctypes.c_size_t * 2)(ctypes.addressof(word), 8)\n"
    "for call in (libc.process_vm_readv, libc.process_vm_writev): print('out' if call(child, part, 1, part, "
    "1, 0) > 0 else '')",
    "opens a sibling's memory": "\nchild = os.fork()\nif not child: time.sleep(9)\nfor name in ('mem', "
    "'maps', 'fd', 'ns/user', 'root'):\n"
    "  tried(os.open, f'/proc/{child}/{name}', 0)",
    "writes its own memory by proc": "tried(open, '/proc/self/mem', 'r+b'); tried(open, "
    "'/proc/thread-self/mem')",
    "writes its own score": "tried(open, '/proc/self/oom_score_adj', 'w'); tried(open, '/proc/self/uid_map', "
    "'w')",
    "runs what has no name": "tried(os.memfd_create, 'x'); tried(os.open, '/proc/self/exe', 0); "
    "tried(os.readlink, '/proc/self/exe')",
    "makes a process by clone3": "given = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)\n"
    "print('out' if libc.syscall(ctypes.c_long(435), given, ctypes.c_size_t(88)) >= 0 else '')",
    "makes a thread with descriptors of its own": "number = 56 if os.uname().machine == 'x86_64' else 220\n"
    "print('out' if libc.syscall(ctypes.c_long(number), ctypes.c_ulong(0x10900), 0, 0, 0, 0) >= 0 else '')",
    "parts its descriptors from a thread's": "print('out' if libc.syscall(ctypes.c_long(436), 200, 300, 2) "
    "== 0 else '')",
    # Memory that nobody would see
    "shares memory without a name": "import mmap; tried(mmap.mmap, -1, 4096)",
    "shares the zeros": "import mmap\nfor flags in (1, 2): tried(mmap.mmap, os.open('/dev/zero', os.O_RDWR), "
    "4096, flags)",
    "takes huge pages": "import mmap; tried(mmap.mmap, -1, 1 << 21, 0x40022)",
    "locks memory": "import mmap; m = mmap.mmap(-1, 1 << 20, 0x22); at = "
    "ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
    "print('out' if libc.mlock(ctypes.c_void_p(at), 1 << 20) == 0 else '')",
    "grows a pipe": "import fcntl; tried(fcntl.fcntl, os.pipe()[1], 1031, 1 << 20)",
    "sends descriptors away": "a, b = socket.socketpair(); tried(socket.send_fds, a, [b'x'], [0])",
    "widens a socket": "a, b = socket.socketpair(); tried(a.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, "
    "1 << 20)",
    "writes into its standard input": "tried(os.write, 0, b'x'); tried(os.ftruncate, 0, 1 << 20); "
    "tried(os.posix_fallocate, 0, 0, 1 << 20)",
    "watches files": "print('out' if libc.inotify_init() >= 0 or libc.fanotify_init(0, 0) >= 0 else '')",
    "opens by a handle": "held = ctypes.create_string_buffer(128)\n"
    "print('out' if libc.name_to_handle_at(-100, b'/', held, ctypes.byref(ctypes.c_int()), 0) == 0 else '')",
    "queues messages": "print('out' if libc.msgget(0, 0o1600) >= 0 or libc.mq_open(b'/x', 0o102, 0o600, 0) "
    ">= 0 else '')",
    "handles its own faults": "print('out' if libc.syscall(ctypes.c_long(323 if os.uname().machine == "
    "'x86_64' else 282), 0) >= 0 else '')",
    # Limits and the machine's settings
    "raises any limit": "import resource\nfor name in dir(resource):\n  if name.startswith('RLIMIT_'):\n"
    "    soft, hard = resource.getrlimit(number := getattr(resource, name))\n"
    "    if hard != resource.RLIM_INFINITY: tried(resource.setrlimit, number, (soft, hard + 1))",
    "sets the clock": "tried(time.clock_settime, time.CLOCK_REALTIME, 0)",
    "leaves its processors": "tried(os.sched_setaffinity, 0, {0}); tried(os.sched_setscheduler, 0, "
    "os.SCHED_BATCH, os.sched_param(0))",
    "makes a session of its own": "\nif not os.fork(): tried(os.setsid); sys.stdout.flush(); os._exit(0)\n"
    "os.wait()",
    "makes itself small": "tried(os.nice, 1); tried(os.setpriority, os.PRIO_PGRP, 0, 19)",
    "adds to the randomness": "import fcntl; tried(fcntl.ioctl, os.open('/dev/random', os.O_RDWR), "
    "0x40085203, bytes(16))",
    "renames the machine": "tried(socket.sethostname, 'x'); print('out' if os.uname().nodename != 'box' else "
    "'')",
    "mounts over a folder": "print('out' if libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0 or "
    "libc.umount2(b'/tmp', 2) == 0 else '')",
    "removes what is the box's": "tried(os.rmdir, '/tmp'); tried(os.chmod, '/', 0o777); tried(os.unlink, "
    "'/dev/null'); tried(os.rename, '/dev', '/x')",
    "signals init by its thread": "\nfor call in (lambda: libc.syscall(ctypes.c_long(234 if "
    "os.uname().machine == 'x86_64' else 131), 1, 1, 9),\n"
    "    lambda: libc.syscall(ctypes.c_long(200 if os.uname().machine == 'x86_64' else 130), 1, 19)):\n  "
    "call()\ntime.sleep(0.05)",
    "leaves a core": "\nif not os.fork(): os.abort()\nos.wait()\nprint('out' if os.listdir('/tmp') != "
    "['main.py'] else '')",
    "makes a named pipe": "tried(os.mkfifo, '/tmp/f')",
    "names a socket": "a, b = socket.socketpair()\nfor call in (a.bind, a.connect, b.bind): tried(call, "
    "'\\0x'); tried(call, '/tmp/s')",
    "locks by range": "import fcntl; f = open('/tmp/l', 'w'); tried(fcntl.lockf, f, 2); tried(fcntl.fcntl, "
    "f, 37, bytes(32))",
    # ioctls: TIOCSTI, TIOCSCTTY, TIOCLINUX, FIOASYNC, FICLONE, FS_IOC_SETFLAGS, SIOCGIFCONF, BLKFLSBUF,
    # NS_GET_USERNS
    "asks its descriptors for more": "import fcntl\nfor fd in range(3):\n  for number in (0x5412, 0x540E, "
    "0x541C, 0x5452, 0x40049409, 0x40086602, 0x8912, 0x1261, 0xB701):\n"
    "    tried(fcntl.ioctl, fd, number, bytes(64))",
    "has its children print for it": "\nimport subprocess\ndone = subprocess.run(['/bin/sh', '-c', 'cat "
    "/etc/passwd /proc/1/environ; ls /home; ls -d /proc/*/'], "
    "capture_output=True)\nprint('out' if done.stdout else '')",
    # The network
    "connects": "tried(socket.create_connection, ('1.1.1.1', 53), 1)",
    "connects to the host itself": "tried(socket.create_connection, ('127.0.0.1', 22), 1)",
    "listens": "tried(socket.create_server, ('127.0.0.1', 0))",
    "speaks netlink": "tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)",
    "sends raw packets": "tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)",
    "opens an abstract socket": "tried(socket.socket, socket.AF_UNIX)",
    "makes pairs of another family": "tried(socket.socketpair, socket.AF_INET)",
    "resolves a name": "tried(socket.getaddrinfo, 'example.org', 80)",
    # The terminal
    "types into a terminal": "import fcntl; tried(fcntl.ioctl, 0, 0x5412, b'x')",
}

# name: (program, how it may end). Limits in the test: 1 s, 256 MiB, 8 MiB of disk, 1 MiB of output, 32
# processes.
FLOODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a fork bomb": ("while True:\n  try: os.fork()\n  except OSError: pass", ("time", "memory")),
    "a fork bomb that sleeps": ("\ntry:\n  while True: os.fork()\nexcept OSError: time.sleep(60)", ("time",)),
    "threads without end": (
        "\nimport threading\nthreading.stack_size(1 << 15)\n"
        "while True: threading.Thread(target=time.sleep, args=(60,)).start()",
        ("exit", "time"),
    ),
    "a thread that outlives": (
        "\nimport threading\nthreading.Thread(target=time.sleep, args=(60,)).start()\nos._exit(0)",
        ("exit",),
    ),
    "a thread that the program waits for": (
        "\nimport threading\nthreading.Thread(target=time.sleep, args=(60,)).start()",
        ("time",),
    ),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 20))", ("exit", "memory", "signal")),
    "memory at once": ("x = bytearray(1 << 34)", ("exit",)),
    "memory of many": (
        "\nfor _ in range(8):\n  if os.fork() == 0:\n    x = bytearray(100 << 20); "
        "time.sleep(60)\ntime.sleep(60)",
        ("memory",),
    ),
    "memory by mapping": ("import mmap\nmaps = [mmap.mmap(-1, 1 << 28, 0x22) for _ in range(64)]", ("exit",)),
    "disk": ("f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))", ("exit",)),
    "disk by many files": ("\nfor k in range(64): open(f'/tmp/{k}', 'wb').write(bytes(1 << 20))", ("exit",)),
    "a sparse file": ("os.truncate(open('/tmp/x', 'wb').name, 1 << 40)", ("exit", "signal")),
    "inodes": ("\nk = 0\nwhile True:\n  open(f'/tmp/{k}', 'w').close(); k += 1", ("exit",)),
    "folders within folders": ("\nwhile True:\n  os.mkdir('d'); os.chdir('d')", ("exit", "time")),
    "output": ("while True: os.write(1, bytes(1 << 16))", ("output",)),
    "errors": ("while True: os.write(2, bytes(1 << 16))", ("output",)),
    "descriptors": ("x = []\nwhile True: x.append(os.dup(0))", ("exit",)),
    "pipes": ("x = []\nwhile True: x.append(os.pipe())", ("exit",)),
    "a spin": ("while True: pass", ("time",)),
    "a sleep": ("time.sleep(60)", ("time",)),
    "a sleep without signals": ("signal.pthread_sigmask(0, range(1, 65))\ntime.sleep(60)", ("time",)),
    "a spin that ignores its limit": (
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        ("time",),
    ),
    "a stopped process": ("os.kill(os.getpid(), signal.SIGSTOP)", ("time",)),
    "a daemon": (
        "\nif os.fork() == 0:\n  os.setpgid(0, 0)\n  if os.fork() == 0: time.sleep(60)\n  "
        "os._exit(0)\nos.wait()",
        ("exit",),
    ),
    "a daemon that keeps the output open": ("\nif os.fork() == 0: time.sleep(60)\nprint('done')", ("exit",)),
    "a chain of daemons": ("\nwhile True:\n  if os.fork(): os._exit(0)", ("exit",)),
    "a closed output": ("os.close(1); os.close(2); time.sleep(60)", ("time",)),
    "the stack": (
        "sys.setrecursionlimit(10**9)\ndef f(x): return f([x])\nf(0)",
        ("signal", "exit", "memory", "time"),
    ),
    "a null pointer": ("ctypes.string_at(0)", ("signal",)),
    "an abort": ("os.abort()", ("signal",)),
    "timers": (
        "signal.signal(14, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\nwhile "
        "True: pass",
        ("time",),
    ),
    "a huge number": ("9 ** 9 ** 9", ("time",)),
    "children whose time nobody counts": (
        "signal.signal(17, signal.SIG_IGN)\nwhile True:\n  try:\n    if "
        "os.fork() == 0:\n      for _ in range(10**6): pass\n      os._exit(0)\n  except "
        "OSError: pass\n  time.sleep(0.001)",
        ("time",),
    ),
    "a family that is stopped": (
        "\nfor _ in range(8):\n  if os.fork() == 0: os.kill(0, signal.SIGSTOP)\ntime.sleep(60)",
        ("time",),
    ),
    "a stop of all": (
        "\nif os.fork():\n  os.kill(-1, signal.SIGSTOP)\n  os.kill(os.getpid(), "
        "signal.SIGSTOP)\ntime.sleep(60)",
        ("time",),
    ),
    "a kill of all": (
        "\nfor _ in range(8):\n  if os.fork() == 0: time.sleep(60)\nos.killpg(0, 9)",
        ("signal",),
    ),
    "a bomb of vforks": (
        "\nwhile True:\n  try: os.posix_spawn('/bin/sleep', ['sleep', '60'], {})\n  except OSError: pass",
        ("time", "memory"),
    ),
    "spawned ones that end at once": (
        "while True: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        ("time",),
    ),
    "an exec of itself": (
        "os.execv(sys.executable, [sys.executable, '-I', '-S', '-B', 'main.py'])",
        ("time",),
    ),
    "an end that does not end": ("import atexit\natexit.register(time.sleep, 60)", ("time",)),
    "an end that forks": (
        "\nimport atexit\n@atexit.register\ndef f():\n  for _ in range(20):\n    if "
        "os.fork() == 0: time.sleep(60)\n  os._exit(0)",
        ("exit",),
    ),
    "a drip of output": ("while True: print('.', flush=True); time.sleep(0.1)", ("time",)),
    "a drip of errors": ("while True: os.write(2, b'[true]\\n'); time.sleep(0.1)", ("time",)),
    "timers of every kind": (
        "\nimport select\nfor s in range(34, 64): signal.signal(s, lambda *a: None)\nt "
        "= ctypes.c_void_p(); spec = (ctypes.c_long * 4)(0, 1000, 0, 1000)\n"
        "while libc.timer_create(1, None, ctypes.byref(t)) == 0: libc.timer_settime(t, 0, spec, None)\n"
        "e = select.epoll()\nwhile (fd := libc.timerfd_create(1, 0)) >= 0: libc.timerfd_settime(fd, 0, spec, "
        "None); e.register(fd, 1)\n"
        "while True: e.poll(1)",
        ("time", "signal"),
    ),
    "signals to itself": (
        "\nsignal.pthread_sigmask(0, range(34, 65))\nwhile True: os.kill(0, 34); os.kill(os.getpid(), 40)",
        ("time",),
    ),
    "randomness": ("while True: os.getrandom(1 << 20)", ("time",)),
    "names that are not there": (
        "\nk = 0\nwhile True: os.access(f'/usr/lib/{k:0200}', 0); k += 1",
        ("time",),
    ),
    "a path without end": ("\nwhile True:\n  os.mkdir('d' * 255); os.chdir('d' * 255)", ("exit",)),
    "links without end": (
        "\nopen('a', 'w').close(); k = 0\nwhile True: os.link('a', str(k)); os.symlink('x' "
        "* 4000, f's{k}'); k += 1",
        ("exit",),
    ),
    "a file that has no name": (
        "f = open('x', 'wb', 0); os.unlink('x')\nwhile True: f.write(bytes(1 << 20))",
        ("exit",),
    ),
    "space without writing": ("os.posix_fallocate(os.open('x', 66), 0, 1 << 40)", ("exit", "signal")),
    "cores": ("\nwhile True:\n  if os.fork() == 0: os.abort()\n  os.wait()", ("time",)),
    "threads that spin": (
        "\nimport threading\nthreading.stack_size(1 << 18)\ndef f():\n  while True: pass\n"
        "for _ in range(20): threading.Thread(target=f, daemon=True).start()\nf()",
        ("time",),
    ),
    "children that spin": (
        "\nfor _ in range(8):\n  if os.fork() == 0:\n    while True: pass\ntime.sleep(60)",
        ("time",),
    ),
    "a program that spins when its first thread is gone": (
        "\nimport threading\ndef f():\n  while True: "
        "pass\nthreading.stack_size(1 << 20); threading.Thread(target=f).start()\n"
        "libc.pthread_exit(None)",
        ("time",),
    ),
}

# Memory that no process has mapped, or that readings of what is mapped miss. Limits as above, but with a
# minute of time; `spread(f)` runs f in as many children as there may be.
HOARDING = (
    OPENING
    + """
import mmap, select
def spread(work):
    for _ in range(40):
        try: child = os.fork()
        except OSError: break
        if child: continue
        try: work()
        except OSError: pass
        time.sleep(60)
    time.sleep(60)
def fill(*fds):
    for fd in fds:
        os.set_blocking(fd, False)
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True: os.write(fd, bytes(size))
            except OSError: pass
def pages(size, flags, at=None):
    call = libc.mmap; call.restype = ctypes.c_void_p
    found = call(ctypes.c_void_p(at), ctypes.c_size_t(size), 3, flags, -1, 0)
    if found in (None, 2**64 - 1): raise OSError
    return found
def areas(size, touched):
    libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    start = pages(size, 0x22)
    for at in range(start, start + size, 8192):
        if touched: ctypes.memset(at, 1, 4097)
        libc.mprotect(at, 4096, 1)
"""
)
HOARDS: dict[str, str] = {
    "streams": "\ndef f():\n  held = []\n  while True: held.append(socket.socketpair()); fill(*(s.fileno() "
    "for s in held[-1]))\nspread(f)",
    "datagrams": "\ndef f():\n  held = []\n  while True:\n    held.append(socket.socketpair(socket.AF_UNIX, "
    "socket.SOCK_DGRAM))\n"
    "    for s in held[-1]:\n      s.setblocking(False)\n      try:\n        while True: "
    "s.send(bytes(100000))\n      except BlockingIOError: pass\nspread(f)",
    "sockets in sockets": "\ndef f():\n  a, b = socket.socketpair()\n  for _ in range(1000):\n    c, d = "
    "socket.socketpair(); fill(c.fileno(), d.fileno())\n"
    "    socket.send_fds(a, [b'x'], [c.fileno(), d.fileno()]); c.close(); d.close()\nspread(f)",
    "pipes": "\ndef f():\n  while True: fill(os.pipe()[1])\nspread(f)",
    "pipes with one end": "\ndef f():\n  while True: r, w = os.pipe(); fill(w); os.close(w)\nspread(f)",
    "wide pipes": "\nimport fcntl\ndef f():\n  while True:\n    w = os.pipe()[1]\n    try: fcntl.fcntl(w, "
    "1031, 1 << 20)\n    except OSError: pass\n    fill(w)\nspread(f)",
    "shared pages that are not mapped": "\nwhile True:\n  try: at = pages(16 << 20, 0x21)\n  except OSError: "
    "os._exit(0)\n"
    "  ctypes.memset(at, 1, 16 << 20); libc.munmap(ctypes.c_void_p(at + 4096), ctypes.c_size_t((16 << "
    "20) - 4096))",
    "zeros that are not mapped": "\nheld = []\nfd = os.open('/dev/zero', 2)\nwhile True:\n  try: m = "
    "mmap.mmap(fd, 16 << 20)\n  except OSError: os._exit(0)\n"
    "  m.write(b'1' * (16 << 20)); held.append(m); m.madvise(4)",
    "page tables": "\ndef f():\n  for k in range(1, 50000): ctypes.string_at(pages(4096, 0x100022, k << 31), "
    "1)\nspread(f)",
    "mappings": "\nfor _ in range(10): areas(16 << 20, False)\nspread(lambda: None)",
    "mappings with pages": "\nfor _ in range(4): areas(16 << 20, True)\nspread(lambda: None)",
    "mappings of a long line of forks": "\nfor _ in range(2): areas(16 << 20, True)\nfor _ in range(30):\n  "
    "if os.fork(): time.sleep(60)\n"
    "  areas(1 << 20, True)\ntime.sleep(60)",
    "watches": "\ndef f():\n  es = [select.epoll() for _ in range(24)]; fs = [os.eventfd(0) for _ in "
    "range(24)]; r = os.dup(0)\n  numbers = range(r, 256)\n"
    "  for n in numbers:\n    for g in fs:\n      if n in (g, *(e.fileno() for e in es)): continue\n     "
    " os.dup2(g, n)\n      for e in es: e.register(n, 1)\nspread(f)",
    "a process whose first thread is gone": "\nimport threading\nx = []\ndef f():\n  time.sleep(0.05)\n  for "
    "_ in range(40): x.append(bytearray(b'1' * (1 << 20)))\n  time.sleep(60)\n"
    "def g():\n  threading.stack_size(1 << 18); threading.Thread(target=f).start(); "
    "libc.syscall(ctypes.c_long(60 if os.uname().machine == 'x86_64' else 93), 0)\n"
    "spread(g)",
    "arguments": "\ndef f(): os.execv('/bin/sleep', ['sleep', '60'] + ['0' * 120000] * 40)\nspread(f)",
    "an environment": "\nimport resource\nhard = resource.getrlimit(resource.RLIMIT_STACK)[1]\n"
    "resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))\n"
    "def f(): os.execve('/bin/sleep', ['sleep', '60'], {str(k): 'x' * 120000 for k in range(40)})\n"
    "spread(f)",
    "pages of files that stand in pipes": "\ndef f():\n  k = 0\n  while True:\n    w = os.pipe()[1]; "
    "os.set_blocking(w, False)\n    f = os.open(f'{os.getpid()}', 66); os.write(f, bytes(1 "
    "<< 16))\n"
    "    try: os.sendfile(w, f, 0, 1 << 16)\n    except OSError: pass\n    os.ftruncate(f, 0); "
    "os.close(f)\nspread(f)",
    "timers and signals": "\ndef f():\n  signal.pthread_sigmask(0, range(1, 65)); t = ctypes.c_int()\n  for "
    "_ in range(10000): libc.timer_create(1, None, ctypes.byref(t)); os.kill(os.getpid(), "
    "40)\nspread(f)",
    "memory of a family": "spread(lambda: setattr(os, 'x', b'1' * (200 << 20)))",
    "memory that is copied": "x = bytearray(b'1' * (100 << 20))\ndef f():\n  for k in range(0, len(x), "
    "4096): x[k] = 2\nspread(f)",
    "a burst of all at once": "r, w = os.pipe(); m = mmap.mmap(-1, 180 << 20, 0x22); at = "
    "ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
    "def f(): os.read(r, 1); ctypes.memset(at, 1, 180 << 20)\n"
    "if not os.fork(): time.sleep(0.6); os.write(w, bytes(64)); os._exit(0)\nspread(f)",
    "a crowd that leaves no processor to who watches": "m = mmap.mmap(-1, 180 << 20, 0x22); at = "
    "ctypes.addressof(ctypes.c_char.from_buffer(m)); until = time.time() + 0.5\n"
    "def f():\n  while time.time() < until: pass\n  ctypes.memset(at, 1, 180 << 20)\nspread(f)",
    "memory given up": "\ndef f():\n  m = mmap.mmap(-1, 100 << 20, 0x22); m.write(b'1' * (100 << 20))\n  for "
    "advice in (20, 21, 8): m.madvise(advice)\nspread(f)",
}

# What a program might leave to the next one that is forked from the same interpreter, and what that one shows
# of itself.
LEGACIES: dict[str, str] = {
    "built-ins": "import builtins as b; b.print = b.open = b.len = b.__import__ = b.__build_class__ = None",
    "modules": "import json, math, random; math.sqrt = json.loads = random.random = None; random.seed(0)\n"
    "sys.modules['re'] = None; sys.path[:] = sys.argv[:] = []; sys.stdout = sys.__stdout__ = None",
    "small numbers": "ctypes.memset(id(7) + 24, 1, 4); ctypes.memset(id('a') + 40, 98, 1)",
    "ruins": "import gc\nfor each in gc.get_objects(): ctypes.memset(id(each), 0xff, 16)",
    "the harness": "import gc\nfor each in gc.get_objects():\n"
    "  if isinstance(each, type(sys)) and each.__name__.startswith('stages'): vars(each).clear()",
    "no streams": "os.closerange(0, 64)",
    "open files": "kept = [os.dup(0) for _ in range(40)] + [os.open('/tmp/x', 66)]; os._exit(0)",
    "files": "open('/tmp/left', 'w').write('x'); os.symlink('/', '/tmp/l'); os.chdir('/'); os.umask(0o777)",
    "a daemon": "\nif os.fork() == 0:\n  for call in (os.setsid, os.setpgrp):\n    try: call()\n"
    "    except OSError: pass\n  if os.fork() == 0: time.sleep(60)\n  os._exit(0)\nos.wait()",
    "signals": "\nfor pid in (1, os.getppid(), -1, *range(3, 400), 0):\n  for number in (19, 15, 2, 9):\n"
    "    try:\n      if pid or number == 9: os.kill(pid, number)\n    except OSError: pass",
    "its parent's memory": "\nfor name in ('mem', 'environ', 'fd/0', 'oom_score_adj', 'ns/pid'):\n"
    "  for pid in (1, os.getppid(), 'self'):\n    try: os.write(os.open(f'/proc/{pid}/{name}', 2), b'x'); "
    "print('out')\n    except OSError: pass",
    "no processes": "\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(60)\n"
    "except OSError: os._exit(0)",
    "limits": "import resource as r\nfor each in (r.RLIMIT_NOFILE, r.RLIMIT_NPROC, r.RLIMIT_AS):\n"
    "  r.setrlimit(each, (0, 0))\nos._exit(0)",
    "an environment": "os.environ.clear(); os.putenv('LD_PRELOAD', '/tmp/x'); os.environ['PATH'] = '/tmp'",
    "an end": "import atexit; atexit.register(os.kill, 1, 9); atexit._run_exitfuncs(); atexit._clear(); "
    "os.kill(os.getpid(), 6)",
    "handlers": "\nfor n in (2, 10, 13, 14, 15): signal.signal(n, print)\n"
    "signal.pthread_sigmask(0, range(1, 65))",
}  # fmt: skip
ESTATE = """
import builtins, gc, json, math, os, re, resource, signal, sys
def there(call, *a):
    try: call(*a)
    except OSError: return False
    return True
for each in (
    dir(builtins), print, open, len, __import__, math.sqrt, json.loads("[7, 1]"), 3 + 4, "a" + "b", re,
    sys.argv, sys.path, sys.orig_argv[:4], sys.flags, sys.executable, dict(os.environ), sorted(globals()),
    [(f, f.errors, f.line_buffering, f.write_through, f.mode, f.buffer, f.buffer.raw, f is g) for f, g in (
        (sys.stdin, sys.__stdin__), (sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__))],
    sys.stdin.read(), os.getcwd(), os.umask(0o22), os.listdir("/tmp"), os.listdir("/"),
    [number for number in range(1024) if there(os.fstat, number)],
    [number for number in range(1, 3000) if there(os.kill, number, 0)],
    os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0), os.getresuid(), os.getresgid(), os.getgroups(),
    [(name, resource.getrlimit(getattr(resource, name))) for name in dir(resource) if name[:7] == "RLIMIT_"],
    [(n, signal.getsignal(n)) for n in sorted(signal.valid_signals())], signal.pthread_sigmask(0, []),
    [name for name in sys.modules if name.startswith("stages")], sys.gettrace(), gc.isenabled(),
): print(each)
1 / 0
"""
# Looks for `needle` wherever an object is, and in what is left between objects: each byte moved on by one, so
# that it does not find itself.
SEARCH = """
import ctypes, gc
gc.unfreeze()
held = gc.get_objects()
held += [each for some in held[:] for each in gc.get_referents(some)]
pages, onward = {id(each) >> 12 for each in held}, bytes((k + 1) % 256 for k in range(256))
print(len(pages), any(b"offemf" in ctypes.string_at(page << 12, 4096).translate(onward) for page in pages))
"""
