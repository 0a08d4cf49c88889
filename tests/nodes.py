"""Machines made of the kernel's namespaces: each with an address, a host name, a HOME and a /tmp of its own,
on one network, with one file system in common.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import environment

MADE = itertools.count()
BEGIN = """
set -e
hostname "$NODE"
mount --bind "$HOSTS" /etc/hosts
mount -t tmpfs none /dev/shm
if [ -n "$OVER" ]; then mount --bind "$HOME" "$OVER"; fi
exec "$@"
"""  # what a process on a node begins with, as root in a mount namespace of its own


@dataclass
class Node:
    """One machine, which the others know by `name`; `home` is seen by nobody else."""

    name: str
    address: str
    space: str  # its network namespace
    cable: str  # its end of the cable, as the switch names it
    home: Path
    hosts: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, line: Sequence[Any], *, private: Path | None = None) -> subprocess.Popen[str]:
        """Starts a command on this machine; in the place of `private` it sees a folder that is its own."""
        inside = ["ip", "netns", "exec", self.space, "unshare", "--mount", "--uts", "sh", "-c", BEGIN, "sh"]
        given = {
            "NODE": self.name,
            "HOSTS": str(self.hosts),
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "OVER": str(private or ""),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [*inside, *map(str, line)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(**given),
        )  # fmt: skip
        self.started.append(process)
        return process

    def unplug(self) -> None:
        """Its cable carries nothing from now on, and neither side is told."""
        _ip("link", "set", self.cable, "down")

    def kill(self) -> None:
        """Every process on it ends at once, as where the power fails."""
        for pid in _ip("netns", "pids", self.space).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.started:
            process.wait()


@contextmanager
def nodes(count: int, folder: Path) -> Iterator[list[Node]]:
    """`count` machines on one switch. What each has of its own is in `folder`."""
    tag = f"r1{os.getpid() % 100_000}{next(MADE)}"  # a name is free again some time after it is deleted
    switch = f"{tag}s"
    hosts = folder / "hosts"
    made = [
        Node(f"node-{i}", f"10.77.0.{i}", f"{tag}n{i}", f"{tag}c{i}", folder / f"home-{i}", hosts)
        for i in range(1, count + 1)
    ]
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{each.address} {each.name}\n" for each in made))
    try:
        _ip("link", "add", switch, "type", "bridge")
        _ip("link", "set", switch, "up")
        for node in made:
            node.home.mkdir()
            _ip("netns", "add", node.space)
            _ip("link", "add", node.cable, "type", "veth", "peer", "name", "eth0", "netns", node.space)
            _ip("link", "set", node.cable, "master", switch, "up")
            _ip("-n", node.space, "link", "set", "lo", "up")
            _ip("-n", node.space, "address", "add", f"{node.address}/24", "dev", "eth0")
            _ip("-n", node.space, "link", "set", "eth0", "up")
        yield made
    finally:
        for node in made:
            with suppress(subprocess.CalledProcessError):
                node.kill()
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", node.space)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", switch)


def why_not() -> str:
    """Why no machines can be made here, or nothing."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for tool in ("ip", "unshare"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    try:
        _ip("netns", "add", f"r1{os.getpid()}try")
        _ip("netns", "delete", f"r1{os.getpid()}try")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return ""


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
