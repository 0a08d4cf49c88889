"""Calls of the Linux kernel that Python has no name for, each raising OSError where it fails."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
from functools import cache
from typing import Any

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
CLONE = {"x86_64": 56, "aarch64": 220}
MOUNT_SETATTR = 442
KCMP, KCMP_VM = {"x86_64": 312, "aarch64": 272}, 1

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 47, 4
CAPABILITY_VERSION = 0x20080522


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def libc_call(name: str, *arguments: Any) -> int:
    """A function of the C library that returns -1 and sets errno on failure."""
    result: int = getattr(_libc(), name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leaves the namespaces that `flags` name for new ones."""
    libc_call("unshare", flags)


def fork(flags: int) -> int:
    """os.fork, where the new process is in new namespaces. A process with one thread may call it."""
    # With the interpreter's lock held, and its own preparations, as in os.fork.
    libc = ctypes.PyDLL(None, use_errno=True)
    ctypes.pythonapi.PyOS_BeforeFork()
    number = ctypes.c_long(CLONE[platform.machine()])
    pid: int = libc.syscall(number, ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid == -1:
        raise OSError(error, f"clone: {os.strerror(error)}")
    return pid


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    libc_call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )


def bind(source: str, target: str, attributes: int) -> None:
    """`source` and what is mounted below it, seen again at `target` with these attributes added."""
    mount(source, target, None, MS_BIND | MS_REC)
    restrict(target, attributes)


def restrict(target: str, attributes: int) -> None:
    """Adds attributes to a mount and all below it; what the host has set stays. Linux 5.12 or later."""
    values = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    libc_call("syscall", ctypes.c_long(MOUNT_SETATTR), AT_FDCWD, target.encode(), AT_RECURSIVE, values, 32)


def pivot_root(new: str, old: str) -> None:
    """Makes `new` the root and puts the old one at `old`."""
    libc_call("syscall", ctypes.c_long(PIVOT_ROOT[platform.machine()]), new.encode(), old.encode())


def detach(target: str) -> None:
    """Unmounts `target` and what is below; open files there stay open."""
    libc_call("umount2", target.encode(), MNT_DETACH)


def same_memory(one: int, other: int) -> bool:
    """Whether two processes are one in memory, as after vfork."""
    return libc_call("syscall", ctypes.c_long(KCMP[platform.machine()]), one, other, KCMP_VM, 0, 0) == 0


def prctl(option: int, value: int) -> None:
    """prctl(2)."""
    libc_call("prctl", option, ctypes.c_ulong(value), ctypes.c_ulong(0), 0, 0)


def give_stacks(size: int) -> None:
    """From now on threads get stacks of `size` bytes: the C library takes the limit as a process begins."""
    libc, attributes = _libc(), ctypes.create_string_buffer(64)  # 56 in use
    with contextlib.suppress(AttributeError):  # a C library that goes by no limit
        give = libc.pthread_setattr_default_np
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size))
        give(attributes)


def bound_capabilities() -> None:
    """From now on no program that is executed here has any capability."""
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:  # beyond the last one this kernel has, or not ours to drop
            break


def drop_capabilities() -> None:
    """Gives up every capability of this process, and the ways to gain one."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    libc_call("capset", header, (ctypes.c_uint32 * 6)())
    prctl(PR_SET_NO_NEW_PRIVS, 1)
