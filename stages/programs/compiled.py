"""C++ made into programs, in the box like all else, and kept for the next record that has the same source."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from stages.sandbox.box import Box, Limits, Task, compiler

OPTIONS = ("-x", "c++", "-std=gnu++17", "-O2", "-w", "main.cpp", "-o", "main")
LIMITS = Limits(seconds=60.0, memory=3 << 30, output=1 << 20)
KEPT = 64  # the last ones


class Compiled(NamedTuple):
    """A binary; or why there is none, and whether that is the machine's fault."""

    binary: bytes | None
    failure: str = ""
    unknown: bool = False


_KEPT: OrderedDict[bytes, Compiled] = OrderedDict()


def compiled(source: bytes, box: Box) -> Compiled:
    """The program that g++ makes of `source`."""
    if source in _KEPT:
        _KEPT.move_to_end(source)
        return _KEPT[source]
    gxx = compiler()
    if gxx is None:
        return Compiled(None, "no g++ here to compile it; install it with: apt install g++", True)
    task = Task((gxx, *OPTIONS), {"main.cpp": source}, collect=("main",), limits=LIMITS)
    outcome = box.run(task)
    if outcome.ended in ("lost", "stalled"):
        return Compiled(None, f"the compiler was {outcome.ended}", True)
    made = Compiled(outcome.files.get("main"))
    if not outcome.done or made.binary is None:
        errors = outcome.stderr.decode(errors="replace").splitlines()
        first = next((line for line in errors if "error" in line), outcome.ended)
        made = Compiled(None, f"does not compile: {first}"[:300])
    _KEPT[source] = made
    while len(_KEPT) > KEPT:
        _KEPT.popitem(last=False)
    return made
