"""The pip commands that mend this environment, to be pasted from anywhere: they name its own Python."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
# Extensions that have to fit torch's build to the letter. Nothing here needs them.
UNNEEDED = ("torchvision", "torchaudio", "torchcodec")


def install(*words: str) -> str:
    """Installs what `words` name, in the versions this program was tested with where they are known."""
    known = ("-c", str(CONSTRAINTS)) if CONSTRAINTS.is_file() else ()
    return shlex.join([*_pip("install"), *known, *words])


def uninstall(*names: str) -> str:
    """Removes the packages called `names`."""
    sure = () if _uv() else ("--yes",)
    return shlex.join([*_pip("uninstall"), *sure, *names])


def tested() -> dict[str, str]:
    """The version of each package that this program was tested with; {} where it is not run from its
    source."""
    if not CONSTRAINTS.is_file():
        return {}
    lines = CONSTRAINTS.read_text("utf-8").splitlines()
    pins = (line.partition("==") for line in lines if not line.startswith("#"))
    return {name.lower(): version for name, _, version in pins}


def _pip(verb: str) -> list[str]:
    if _uv():
        return ["uv", "pip", verb, "--python", sys.executable]
    return [sys.executable, "-m", "pip", verb]


def _uv() -> bool:
    """Whether it is uv that made this environment: it leaves pip out."""
    # Not by `find_spec("pip")`: setuptools takes that for pip at work, and cannot be imported in this process
    # any more.
    try:
        distribution("pip")
    except PackageNotFoundError:
        return shutil.which("uv") is not None
    return False
