"""Whether programs can be isolated on this machine."""

from __future__ import annotations

from stages.runtime.errors import Unavailable
from stages.sandbox.box import Box


def isolated() -> bool:
    """Whether programs can be run here."""
    try:
        with Box() as box:
            box.probe()
    except Unavailable:
        return False
    return True
