"""A process that judges records, one at a time, as lines of JSON on its standard input ask.

Started by pool.py and never otherwise. It dies with its parent, and what a reward prints goes to
standard error: standard output carries verdicts alone. Where no code of the user's is loaded, the process
only keeps the libraries and forks a child to judge: one that is killed is replaced in milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import Any, BinaryIO

from stages.data.errors import BadInput
from stages.data.jsonl import decode, encode
from stages.data.record import Record
from stages.rewards.spec import Part, parts
from stages.rewards.verdict import Counts, Verdict

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Reads the rewards to load, says that it is ready, then answers one job after the other."""
    # The terminal's Ctrl-C is for the parent, which ends this process itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = claim_streams()
    opening = source.readline()
    if not opening:
        return
    hello = decode(opening)
    die_with(hello["parent"])
    if hello["memory"]:
        limit_memory(hello["memory"])
    loaded = parts(hello["specs"])
    for part in loaded:
        if part.prepare is not None:
            part.prepare()
    if hello["forks"]:
        keep(loaded, source, sink)
    else:
        serve(loaded, source, sink)


def serve(loaded: list[Part], source: BinaryIO, sink: BinaryIO) -> None:
    """Says that it is ready, then answers one job after the other."""
    send(sink, {"ready": os.getpid()})
    for line in source:
        number, _, message = line.partition(b" ")
        job = decode(message)
        send(sink, {"job": int(number), **judge(loaded[job["part"]], job)})


def keep(loaded: list[Part], source: BinaryIO, sink: BinaryIO) -> None:
    """Forks a child that serves, and the next one when it is killed, until there are no more jobs."""
    keeper = os.getpid()
    while True:
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            die_with(keeper)
            serve(loaded, source, sink)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return
        drain(source)
        # The child may have been cut off in the middle of a line.
        sink.write(b"\n")
        send(sink, {"ended": code})


def drain(source: BinaryIO) -> None:
    """Takes what the last child left unread of its job: no more is sent before the next is ready."""
    os.set_blocking(source.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while os.read(source.fileno(), 1 << 16):
            pass
    os.set_blocking(source.fileno(), True)


def claim_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under numbers of their own; 0 becomes /dev/null and 1 standard error."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return source, sink


def die_with(parent: int) -> None:
    """Asks the kernel for the end of this process when its parent ends, stuck or not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be watched
            os._exit(1)


def limit_memory(size: int) -> None:
    """An answer such as 9**9**9**9 must not take the machine's memory before the deadline ends it."""
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def send(sink: BinaryIO, message: dict[str, Any]) -> None:
    """One line to the parent."""
    sink.write(encode(message))
    sink.flush()


def judge(part: Part, job: dict[str, Any]) -> dict[str, Any]:
    """The verdicts of one job, or what went wrong."""
    records = [Record(each, place=job["places"][k]) for k, each in enumerate(job["records"])]
    try:
        result = part.function(records if part.many else records[0], **part.options)
        verdicts = result if part.many else [result]
        return {"verdicts": [list(checked(each)) for each in verdicts]}
    except BadInput as error:
        return {"bad": [error.what, error.place, error.remedy]}
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # what a reward may raise, too
        return {"bug": f"{type(error).__name__}: {error}"[:500]}


def checked(result: Any) -> Verdict | Counts:
    """What a reward returned, as a Verdict. A bare number or None is one without a reason."""
    value, reason, *parts = result if isinstance(result, tuple) else (result, "")
    value = None if value is None else finite(value)
    if parts:
        return Counts(value, str(reason), {str(k): finite(v) for k, v in parts[0].items()})
    return Verdict(value, str(reason))


def finite(value: Any) -> float:
    """`value` as a float. Raises ValueError for one that no record may hold."""
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"the reward is {number}: it must be a finite number, or None")
    return number


if __name__ == "__main__":
    main()
