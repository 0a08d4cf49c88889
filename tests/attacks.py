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
    "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pivot_root": (155, 41),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "sched_setscheduler": (144, 119),
    "seccomp": (317, 277), "semget": (64, 190), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "setpriority": (141, 140), "settimeofday": (164, 170), "shmget": (29, 194),
    "socket": (41, 198), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58), "vmsplice": (278, 75),
}  # fmt: skip

# One run tries all of them: those that do not fail are printed. 0, 0, … is a call that would do little.
TRY_CALLS = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
column = ["x86_64", "aarch64"].index(platform.machine())
arguments = {"unshare": (0x10000000,), "socket": (2, 1, 0), "shmget": (0, 4096, 0o1600), "msgget": (0, 0o1600),
    "semget": (0, 1, 0o1600), "sched_setaffinity": (0, 8, ctypes.create_string_buffer(b"\\1" + bytes(7))),
    "mlockall": (1,), "personality": (0xFFFFFFFF,), "keyctl": (0, -3, 1), "inotify_init1": (0,),
    "pidfd_open": (2, 0), "memfd_create": (b"x", 0), "setpriority": (0, 0, 1), "io_setup": (1, bytearray(8))}
for name, numbers in CALLS.items():
    given = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(bytes(a)) if not isinstance(a, ctypes.Array) else a
             for a in arguments.get(name, (0, 0, 0, 0, 0))]
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
    "{'PATH','HOME','LANG','LC_CTYPE','OMP_NUM_THREADS','PYTHONDONTWRITEBYTECODE','PYTHONIOENCODING'} else '')",
    "lists proc": "print('out' if os.listdir('/proc') else '')",
    "lists the hidden proc": "print('out' if os.listdir('/.proc') else '')",
    "reads its parent's memory": "tried(open, '/proc/1/mem')",
    "reads its parent's environment": "tried(open, '/proc/1/environ')",
    "walks up by dot dot": "os.chdir('/'); print('out' if os.path.exists('../../../home') else '')",
    "follows a link to the host": "os.symlink('/etc/hostname', 'a'); tried(open, 'a')",
    "follows a link through proc": "os.symlink('/proc/1/root/etc/passwd', 'b'); tried(open, 'b')",
    "links a file of the host": "tried(os.link, sys.executable, '/tmp/x')",
    "reads sys": "tried(os.listdir, '/sys')",
    "reads the disk": "tried(open, '/dev/vda', 'rb'); tried(open, '/dev/sda', 'rb'); tried(open, '/dev/mem', 'rb')",
    "makes a device": "tried(os.mknod, '/tmp/d', 0o600 | 0o060000, os.makedev(254, 0))",
    "opens a terminal": "tried(open, '/dev/tty'); tried(open, '/dev/ptmx')",
    "has another descriptor": "\nfor fd in range(3, 1024):\n  try: os.fstat(fd)\n  except OSError: continue\n  print('out')",
    # Writing
    "writes into the interpreter": "tried(open, os.__file__, 'a')",
    "writes into usr": "tried(open, '/usr/bin/x', 'w')",
    "writes into the root": "tried(open, '/x', 'w'); tried(os.mkdir, '/y')",
    "writes into the linker's cache": "tried(open, '/etc/ld.so.cache', 'r+b')",
    "replaces a system folder": "tried(os.rename, '/usr/lib', '/tmp/lib')",
    "changes a system file's mode": "tried(os.chmod, sys.executable, 0o777)",
    "changes a system file's times": "tried(os.utime, sys.executable, (0, 0))",
    "becomes root by a setuid file": "open('/tmp/s', 'w').close(); os.chmod('/tmp/s', 0o4755); tried(os.setuid, 0)",
    "changes its user": "tried(os.setresuid, 0, 0, 0); tried(os.setgroups, [0])",
    "sets capabilities": "print('out' if libc.capset(ctypes.byref((ctypes.c_uint32*2)(0x20080522, 0)), "
    "ctypes.byref((ctypes.c_uint32*6)(*[0xffffffff]*6))) == 0 else '')",
    "asks for new privileges": "print('out' if libc.prctl(38, 0, 0, 0, 0) == 0 else '')",
    "asks to be dumpable": "print('out' if libc.prctl(4, 1, 0, 0, 0) == 0 else '')",
    "locks a file of the host": "import fcntl; tried(fcntl.flock, open(sys.executable, 'rb'), 2)",
    "leases a file of the host": "import fcntl; tried(fcntl.fcntl, open(sys.executable, 'rb'), 1024, 0)",
    # Processes
    "signals init": "\nfor s in (1, 2, 9, 15, 17, 19):\n  try: os.kill(1, s)\n  except OSError: pass",
    "signals everyone": "signal.signal(15, signal.SIG_IGN); os.kill(0, 0); os.kill(-1, 15) if len(sys.argv) > 9 else None",
    "signals the launcher's number": "\nfor pid in range(3, 3000):\n  try: os.kill(pid, 0)\n  except ProcessLookupError: continue\n  print('out')",
    "traces init": "print('out' if libc.ptrace(16, 1, 0, 0) == 0 else '')",
    "lets itself be traced": "print('out' if libc.ptrace(0, 0, 0, 0) == 0 else '')",
    "sets init's limits": "import resource; tried(resource.prlimit, 1, resource.RLIMIT_CPU, (1, 1))",
    "raises its own limit": "import resource; tried(resource.setrlimit, resource.RLIMIT_NPROC, (4096, 4096))",
    "raises its priority": "tried(os.nice, -5)",
    "takes a real-time class": "tried(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))",
    "makes a user namespace": "print('out' if libc.unshare(0x10000000) == 0 else '')",
    "clones into a namespace": "print('out' if libc.syscall(ctypes.c_long(56), ctypes.c_ulong(0x10000011), 0, 0, 0, 0) > 0 else '')"
    " if os.uname().machine == 'x86_64' else None",
    "uses calls of 32 bits": "\nimport mmap\nif os.uname().machine == 'x86_64':\n"
    "  page = mmap.mmap(-1, 4096, prot=7)\n"
    "  page.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20; int 0x80; ret\n"
    "  at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
    "  print('out', ctypes.CFUNCTYPE(ctypes.c_int)(at)(), flush=True)",
    "uses calls of x32": "print('out' if os.uname().machine == 'x86_64' and "
    "libc.syscall(ctypes.c_long(0x40000000 + 39)) > 0 else '')",
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
}  # fmt: skip

# name: (program, how it may end). Limits in the test: 1 s, 256 MiB, 8 MiB of disk, 1 MiB of output, 32 processes.
FLOODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a fork bomb": ("while True:\n  try: os.fork()\n  except OSError: pass", ("time", "memory")),
    "a fork bomb that sleeps": ("\ntry:\n  while True: os.fork()\nexcept OSError: time.sleep(60)", ("time",)),
    "threads without end": ("\nimport threading\nthreading.stack_size(1 << 15)\n"
        "while True: threading.Thread(target=time.sleep, args=(60,)).start()", ("exit", "time")),
    "a thread that outlives": ("\nimport threading\nthreading.Thread(target=time.sleep, args=(60,)).start()\nos._exit(0)", ("exit",)),
    "a thread that the program waits for": ("\nimport threading\nthreading.Thread(target=time.sleep, args=(60,)).start()", ("time",)),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 20))", ("exit", "memory", "signal")),
    "memory at once": ("x = bytearray(1 << 34)", ("exit",)),
    "memory of many": ("\nfor _ in range(8):\n  if os.fork() == 0:\n    x = bytearray(100 << 20); time.sleep(60)\ntime.sleep(60)", ("memory",)),
    "memory by mapping": ("import mmap\nmaps = [mmap.mmap(-1, 1 << 28) for _ in range(64)]", ("exit",)),
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
    "a spin that ignores its limit": ("signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", ("time",)),
    "a stopped process": ("os.kill(os.getpid(), signal.SIGSTOP)", ("time",)),
    "a daemon": ("\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(60)\n  os._exit(0)\nos.wait()", ("exit",)),
    "a daemon that keeps the output open": ("\nif os.fork() == 0: time.sleep(60)\nprint('done')", ("exit",)),
    "a chain of daemons": ("\nwhile True:\n  if os.fork(): os._exit(0)", ("exit",)),
    "a closed output": ("os.close(1); os.close(2); time.sleep(60)", ("time",)),
    "the stack": ("sys.setrecursionlimit(10**9)\ndef f(x): return f([x])\nf(0)", ("signal", "exit", "memory", "time")),
    "a null pointer": ("ctypes.string_at(0)", ("signal",)),
    "an abort": ("os.abort()", ("signal",)),
    "timers": ("signal.signal(14, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\nwhile True: pass", ("time",)),
    "a huge number": ("9 ** 9 ** 9", ("time",)),
    "children whose time nobody counts": ("signal.signal(17, signal.SIG_IGN)\nwhile True:\n  try:\n    if os.fork() == 0:\n      for _ in range(10**6): pass\n      os._exit(0)\n  except OSError: pass\n  time.sleep(0.001)", ("time",)),
}  # fmt: skip
