"""A process that judges records, one at a time, as lines of JSON on its standard input ask.

Started by pool.py and never otherwise. It dies with its parent, and what a reward prints goes to
standard error: standard output carries verdicts alone. Where no code of the user's is loaded, the process
only keeps the libraries and forks a child to judge: one that is killed is replaced in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, BinaryIO

from stages.records.jsonl import decode, encode
from stages.records.record import Record
from stages.records.verdict import legible, verdict_of
from stages.runtime.errors import BadInput
from stages.runtime.rank import die_with
from stages.runtime.shown import Shown
from stages.scoring.spec import Part, parts
from stages.scoring.trl import awaited, listed


def main() -> None:
    """Reads the rewards to load, says that it is ready, then answers one job after the other."""
    # The terminal's Ctrl-C is for the parent, which ends this process itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = claim_streams()
    said = Shown(sys.stderr)  # by a reward of the user's
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        work(source, sink)


def work(source: BinaryIO, sink: BinaryIO) -> None:
    """Loads what the first line of `source` says, and answers the jobs that follow."""
    opening = source.readline()
    if not opening:
        return
    hello = decode(opening)
    die_with(hello["parent"])
    if hello["memory"]:
        limit_memory(hello["memory"])
    loaded = parts(hello["specs"], scheduled=True)
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
    """The verdicts of one job, or what is asked next, or what went wrong."""
    records = [Record(each, place=job["places"][k]) for k, each in enumerate(job["records"])]
    try:
        if job.get("more") and part.again is not None:
            return {"more": part.again(records[0], **part.options)}
        result = awaited(part.function(records if part.many else records[0], **part.options))
        verdicts = listed(result, len(records)) if part.many else [result]
        return {"verdicts": [list(verdict_of(each)) for each in verdicts]}
    except BadInput as error:
        return {"bad": [error.what, error.place, error.remedy]}
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # what a reward may raise, too
        return {"bug": legible(f"{type(error).__name__}: {error}"[:500])}


if __name__ == "__main__":
    main()
