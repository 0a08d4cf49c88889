"""How the time that a call takes grows with its text, measured so that a busy machine changes little."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from typing import Any

LIMIT = 0.0005  # seconds of the processor for a character: thirty times what the slowest linear call takes
ONCE = 2.0  # seconds for what is made at the first call
WORTH = 0.002  # seconds: below, nothing can be said


class _Late(BaseException):  # no reward may catch it
    pass


def seconds(call: Callable[[str], Any], text: str, limit: float = 0.0) -> float:
    """Processor seconds of one call; infinity where it is still at work after its limit. `re` can be
    interrupted.
    """

    def late(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGVTALRM, late)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limit or LIMIT * len(text))
        start = time.thread_time()
        call(text)
        return time.thread_time() - start
    except _Late:
        return math.inf
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def grows(call: Callable[[str], Any], text: Callable[[int], str], size: int) -> str:
    """How the time grows, in words, where it is faster than in proportion to the length; else "".

    Four times the length takes a linear call 4 times as long, and a quadratic one 16 times.
    """
    if math.isinf(seconds(call, text(50), ONCE)):
        return f"over {ONCE:g} s for 50 characters"
    # A longer text may be the first to need a library; it is loaded once.
    short = next((one for k in (0, 1) if math.isfinite(one := seconds(call, text(size + k)))), math.inf)
    if math.isinf(short):
        return f"over {LIMIT * size:g} s for {size} characters"
    if short < WORTH / 16:  # even growing with the square, four times the length would say nothing
        return ""
    long = seconds(call, text(4 * size))
    if long < WORTH or long < 9 * short:
        return ""
    base = max(1000, size // 4)
    for _ in range(3):  # a busy machine may disturb one measurement, not all
        # Each text is another, as calls may remember what they have read.
        least = [min(seconds(call, text(base * times + k)) for k in (1, 2)) for times in (1, 4, 16)]
        # Twice in a row: longer texts may be read in another way, which costs something once.
        if least[1] < 8 * least[0] or least[2] < 8 * least[1]:
            return ""
        if least[1] > 0.01:
            break
    return (
        f"{', '.join(f'{each * 1000:.1f} ms' for each in least)} for {base} characters and 4, 16 times as "
        f"many"
    )
