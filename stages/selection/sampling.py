"""A fixed number of records, drawn domain by domain, long chains before short ones (s1).

arXiv 2501.19393, appendix C: again and again a domain is drawn, each as likely as another, and of what is
left in it a record with weight 2^-rank, rank 1 the longest. Where a domain is used up, the others go on.
Which are drawn hangs on the seed and on the records, not on their order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple

from stages.records.ordering import Memory, in_order
from stages.records.record import Record, bad_record, digest, kind_of, seed_of
from stages.runtime.errors import UsageError
from stages.selection.rules import Reject, length_of
from stages.settings import groups
from stages.settings.options import Doc, Flag, Range


@dataclass(frozen=True)
class Sample:
    """A fixed number of what the rules keep."""

    sample: Annotated[
        int | None,
        Doc("Keep this many in all, drawn from one domain after another."),
        Flag("--sample", metavar="N"),
        Range(low=1),
    ] = None
    domain: Annotated[
        str,
        Doc("The field that names a record's domain, each as likely as another; a.b is a field of a field."),
        Flag("--domain", metavar="FIELD"),
    ] = ""
    favour: Annotated[
        Literal["long", "none"],
        Doc("Within a domain draw by weight 2^-rank, the longest completion first, or all alike."),
    ] = "long"
    seed: Annotated[int, Doc("Another seed, other records."), Range(low=0)] = 0
    memory: Memory = 256


def check(sample: Sample) -> None:
    """Raises UsageError for options that make no sense without --sample, or at all."""
    groups.check(sample)
    if sample.sample is None and sample != Sample():
        changed = next(name for name, value in vars(sample).items() if value != getattr(Sample(), name))
        raise UsageError(f"--{changed} is of --sample N, which is not given")
    if sample.domain and "" in sample.domain.split("."):
        raise UsageError(f"--domain {sample.domain!r}: must be the name of a field")


class Entry(NamedTuple):
    """A record that may be drawn: its length, a digest that orders equals, and its place in the stream."""

    length: int
    mark: str
    place: int


def sampled(records: Iterable[Record], sample: Sample, reject: Reject) -> Iterator[Record]:
    """The records that are drawn, in the order they came; all are read before the first is given.

    Raises UsageError where there are fewer than asked for, BadInput for a record without the domain's field.
    """
    assert sample.sample is not None
    domains: dict[str, list[Entry]] = {}

    def noted() -> Iterator[tuple[list[int], Record]]:
        for place, record in enumerate(records):
            mark = digest("sample", sample.seed, record.get("id"), record.get("completion"))
            entry = Entry(length_of(record) if sample.favour == "long" else 0, mark, place)
            domains.setdefault(_domain(record, sample.domain), []).append(entry)
            yield [place], record

    kept = in_order(noted(), sample.memory << 20)
    first = next(kept, None)
    count = sum(map(len, domains.values()))
    if count < sample.sample:
        raise UsageError(
            f"--sample {sample.sample}: the other rules leave {count} records; ask for fewer, or loosen them"
        )
    drawn = draw(domains, sample.sample, random.Random(seed_of("sample", sample.seed)), sample.favour)
    for (place,), record in chain([first] if first is not None else (), kept):
        if place in drawn:
            yield record
        else:
            reject(record, "not drawn: others were")


def draw(domains: dict[str, list[Entry]], count: int, chance: random.Random, favour: str) -> set[int]:
    """The places of `count` entries; the lists are used up. Time is in proportion to what is drawn."""
    names = sorted(domains)
    for entries in domains.values():
        entries.sort()  # the longest last; equals, and where no length counts all, by their digests
    drawn: set[int] = set()
    while len(drawn) < count:
        at = chance.randrange(len(names))
        entries = domains[names[at]]
        drawn.add(entries.pop(-1 - (_rank(chance, len(entries)) if favour == "long" else 0)).place)
        if not entries:
            names[at] = names[-1]
            names.pop()
    return drawn


def _rank(chance: random.Random, count: int) -> int:
    """A rank below `count`, counted from 0: each half as likely as the one before."""
    while True:
        rank = 0
        while chance.random() < 0.5:
            rank += 1
        if rank < count:
            return rank


def _domain(record: Record, name: str) -> str:
    """What the field `name` says, a.b being a field of a field; without a name all are of one domain."""
    if not name:
        return ""
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or isinstance(value, dict | list):
        what = f"field {name!r} is {kind_of(value) if value is not None else 'missing'}"
        raise bad_record(record, what, "give --domain a field that says what each record is about")
    return str(value)
