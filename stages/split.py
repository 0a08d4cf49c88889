"""Split records into shares by problem: a file for each share, the rest to standard output.

All records of a problem fall into one share, which the seed and the problem's id decide: the same in any
order, in any batch, on any machine, and beside any other problems. A share is therefore met about, not to the
record. Records stream and are left as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Annotated, NamedTuple

from stages.records.jsonl import encode, open_output
from stages.records.record import Record, group_of, seed_of
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.options import Doc, Flag, Range, Written
from stages.settings.shares import share_of

EXAMPLES = (
    "r1 split --share val.jsonl=0.1 problems.jsonl > train.jsonl",
    "r1 split --share train.jsonl=0.8 --share val.jsonl=0.1 --share test.jsonl=0.1 --seed 7 kept.jsonl",
)


class Share(NamedTuple):
    """A file, and below which number a problem goes into it; `path` is "" for the rest."""

    path: str
    end: float


def run(
    records: Iterable[Record],
    *,
    share: Annotated[
        tuple[str, ...],
        Doc("Write this share of the problems to this file, such as val.jsonl=0.1. Repeatable."),
        Flag("--share", metavar="FILE=SHARE"),
        Written(),
    ] = (),
    seed: Annotated[int, Doc("Another seed, another split."), Range(low=0)] = 0,
    report: Report = SILENT,
) -> Iterator[Record]:
    """The records that fall into no share, in order; the others go to their files, which appear whole.

    Raises UsageError for shares that make no sense, BadInput for a record without an id.
    """
    shares = _shares(share)
    problems: list[set[int]] = [set() for _ in shares]
    counts = [0] * len(shares)
    report.start(None, "records")
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_output(each.path)) for each in shares[:-1]]
        for record in records:
            report.advance()
            name = group_of(record)
            at = seed_of("split", seed, name) / 2**63
            number = next(k for k, each in enumerate(shares) if at < each.end)
            counts[number] += 1
            problems[number].add(hash(name))
            if number < len(sinks):
                sinks[number].write(encode(record))
            else:
                yield record
    report.summary(
        ", ".join(
            f"{each.path or 'rest'} {count} of {sum(counts)} ({len(found)} problems)"
            for each, count, found in zip(shares, counts, problems, strict=True)
            if each.path or count
        )
    )


def _shares(given: tuple[str, ...]) -> list[Share]:
    """The shares in order; the last is the rest."""
    if not given:
        raise UsageError("nothing to split into; give --share FILE=SHARE, such as --share val.jsonl=0.1")
    pairs = [_share(text) for text in given]
    whole = sum(size for _, size in pairs)
    if whole > 1 + 1e-9:
        raise UsageError(f"the shares are {whole:g} together; lower a --share, they may be at most 1")
    ends = list(itertools.accumulate(size for _, size in pairs))
    if whole > 1 - 1e-9:  # they leave no rest, whatever the rounding of their sum
        ends[-1] = 2.0
    return [*(Share(path, end) for (path, _), end in zip(pairs, ends, strict=True)), Share("", 2.0)]


def _share(text: str) -> tuple[str, float]:
    path, size = share_of(text, 1)
    if not path or not size:
        raise UsageError(f"--share {text}: must be FILE=SHARE with a share above 0 and at most 1")
    return path, float(size)
