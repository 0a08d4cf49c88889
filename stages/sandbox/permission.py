"""What keeps user namespaces from being made here, as far as the kernel says so, and the command that allows
them.
"""

from __future__ import annotations

import os
from pathlib import Path

SWITCHES = Path("/proc/sys")
# The switch, the value that forbids, and one that allows.
KNOWN = (
    ("user.max_user_namespaces", 0, 15000),
    ("kernel.unprivileged_userns_clone", 0, 1),
    ("kernel.apparmor_restrict_unprivileged_userns", 1, 0),
)
ELSEWHERE = (
    "let user namespaces be made; in a container, start it with --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined"
)


def remedy() -> str:
    """A command to paste where a switch of the kernel forbids, else a sentence."""
    wrong = [f"{name}={good}" for name, bad, good in KNOWN if _value(name) == bad]
    if not wrong:
        return ELSEWHERE
    return ("" if os.geteuid() == 0 else "sudo ") + "sysctl -w " + " ".join(wrong)


def _value(name: str) -> int | None:
    try:
        return int((SWITCHES / name.replace(".", "/")).read_text("ascii"))
    except (OSError, ValueError):
        return None
