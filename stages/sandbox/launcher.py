"""The process that leaves the host behind and starts programs; box.py starts it, a fresh interpreter.

It moves once into its own user, mount, network, IPC, UTS and cgroup namespaces, whose root holds what an
interpreter and a compiler need, read-only, and nothing else of the host. For each program it forks a process
that takes a PID namespace, a mount namespace and an empty /tmp of its own (init.py); when that ends, the
kernel ends all that the program has started.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from stages.sandbox import init, kernel, seccomp, warm, wire
from stages.sandbox.init import HOST_PROC, USER

# Of each prefix (/usr, the interpreter's own) these folders; of /etc what the loader and the compiler read.
FOLDERS = ("bin", "lib", "lib32", "lib64", "libexec", "libx32", "include")
FILES = ("/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")
LINKS = ("/bin", "/lib", "/lib32", "/lib64", "/libx32")
NOBODY = 65534  # outside, where the launcher is root
KEPT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}  # the last two an interpreter ignores


def main() -> str:
    """Isolates itself, says so, then serves one program for each socket that it is handed.

    Returns nothing to run, at the end; or in the process of a program, which has then become a fresh
    interpreter (warm.py), that program's source.
    """
    for number in set(signal.valid_signals()) - KEPT:
        # Init ignores what it has no handler for, so that programs cannot signal it.
        signal.signal(number, signal.SIG_DFL)
    control = socket.socket(fileno=0)
    isolated = sys.argv[1] == "kernel"
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    try:
        rules = seccomp.compiled() if isolated else b""
        if isolated:
            warm.prepare()
            isolate(sys.argv[2:])
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends has told the parent how
        # What the kernel refuses, it may refuse only here.
        _try_one(rules, isolated)
    except (OSError, KeyError, EOFError) as error:
        wire.send(control, {"refused": f"{type(error).__name__}: {error}"})
        return ""
    wire.send(control, {"ready": True})
    while True:
        message, handed, _, _ = socket.recv_fds(control, 1, 4)
        if not message:
            return ""
        try:
            source = _serve(handed, rules, isolated)
        except OSError:  # the program is lost, and the next one may be luckier
            source = None
        if source is not None:
            control.detach()  # the descriptor is the program's by now
            return source
        for fd in handed:
            os.close(fd)


def _serve(handed: list[int], rules: bytes, isolated: bool) -> str | None:
    """Forks the process that will run the program; what it does is in init.py.

    Raises OSError where the kernel has no process for it.
    """
    if kernel.fork(kernel.NEWNS | kernel.NEWPID) if isolated else os.fork():
        return None
    return init.serve(socket.socket(fileno=handed[0]), handed[1:], rules, isolated)


def _try_one(rules: bytes, isolated: bool) -> None:
    """Runs `true`. Raises OSError where this does not work here."""
    ours, theirs = socket.socketpair()
    task = {
        "argv": [sys.executable, "-I", "-S", "-c", ""],
        "files": {},
        "stdin": b"",
        "collect": [],
        "warm": "",
    }
    limits = {"seconds": 30.0, "memory": 1 << 28, "output": 4096, "processes": 8, "disk": 1 << 20}
    limits["patience"] = 1.0
    _serve([theirs.fileno()], rules, isolated)
    theirs.close()
    wire.send(ours, {**task, **limits})
    outcome = wire.receive(ours)
    if outcome["ended"] != "exit" or outcome["code"] != 0:
        said = outcome["stderr"].decode(errors="replace").strip()
        raise OSError(f"a trial program ended with {outcome['ended']} {outcome['code']}: {said}")


def isolate(prefixes: list[str]) -> None:
    """Leaves all of the host but the prefixes' folders. Raises OSError where the kernel forbids it."""
    uid, gid = os.getuid(), os.getgid()
    finish = _mapping_by_child() if uid == 0 else None
    flags = kernel.NEWUSER | kernel.NEWNS | kernel.NEWNET | kernel.NEWIPC
    kernel.unshare(flags | kernel.NEWUTS | kernel.NEWCGROUP)
    if finish is not None:
        finish()
    else:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{USER} {uid} 1")
        _write("/proc/self/gid_map", f"{USER} {gid} 1")
    socket.sethostname("box")
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    _build_root(prefixes)
    kernel.bound_capabilities()


def _mapping_by_child() -> Any:
    """Root maps itself and one powerless user, which takes a process that stays outside: this one's child."""
    start = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(start[1])
            if os.read(start[0], 1):
                for name in ("uid_map", "gid_map"):
                    _write(f"/proc/{parent}/{name}", f"0 0 1\n{USER} {NOBODY} 1")
                code = 0
        finally:
            os._exit(code)

    def finish() -> None:
        os.write(start[1], b"x")
        _, status = os.waitpid(child, 0)
        for fd in start:
            os.close(fd)
        if status:
            raise PermissionError("users cannot be mapped: root without CAP_SETUID")

    return finish


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _build_root(prefixes: list[str]) -> None:
    """A small root in memory: folders of the host bound read-only, five devices, mount points."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("root", "/tmp", "tmpfs", flags, "size=1m,nr_inodes=4k,mode=0755")
    os.mkdir("/tmp/old")
    kernel.pivot_root("/tmp", "/tmp/old")
    os.chdir("/")
    os.mkdir("/new")
    kernel.mount("root", "/new", "tmpfs", flags, "size=1m,nr_inodes=4k,mode=0755")
    for name in ("tmp", "proc", "dev", "etc", HOST_PROC[1:]):
        os.mkdir(f"/new/{name}")
    read_only = kernel.ATTR_RDONLY | kernel.ATTR_NOSUID
    for prefix in dict.fromkeys(("/usr", *prefixes)):
        for folder in FOLDERS:
            _show(f"{prefix}/{folder}", read_only | kernel.ATTR_NODEV)
    for path in (*FILES, *LINKS):
        _show(path, read_only | kernel.ATTR_NODEV)
    for path in DEVICES:
        _show(path, read_only)
    os.symlink("/tmp", "/new/dev/shm")
    os.symlink(
        "full", "/new/dev/zero"
    )  # the same zeros, but nobody can map them as memory that no meter sees
    kernel.bind("/old/proc", f"/new{HOST_PROC}", 0)
    os.chdir("/new")
    kernel.pivot_root(".", ".")
    kernel.detach(".")
    os.chdir("/")
    # Not the mounts below: /tmp is each program's own.
    kernel.restrict("/", kernel.ATTR_RDONLY | kernel.ATTR_NOSUID)


def _show(path: str, attributes: int) -> None:
    """Makes `path` of the host visible; a link stays a link, and what is not there is left out."""
    source, target = Path(f"/old{path}"), Path(f"/new{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or target.is_symlink():
        return
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        target.mkdir()
        kernel.bind(str(source), str(target), attributes)
    elif source.exists():
        target.touch()
        kernel.bind(str(source), str(target), attributes)
