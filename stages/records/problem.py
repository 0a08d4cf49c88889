"""Problems as a model is given them: each with a name of its own, a prompt, and no completion yet.

What is wrong with one shows without a model, and is told before any is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from stages.records.record import NAMED, Record, bad_record, need, object_of
from stages.records.references import ANSWERED, MADE
from stages.records.templates import REWRITE, Template

GENERATED = (
    "give problems to generate: `r1 prompts FILE --map completion=` leaves it out, and a template with "
    "{completion} has it rewritten"
)


class Problems:
    """The names that have gone by, each to stand once: equal ids are equal random numbers, and one group."""

    def __init__(self, remedy: str = GENERATED) -> None:
        """`remedy` is what to do about a record that has a completion already."""
        self.remedy = remedy
        self._names: set[int] = set()  # a number for each

    def name(self, record: Record) -> str:
        """The problem's id. Raises BadInput for one that has gone by, and for a completion."""
        name = str(need(record, "id", (str, int), NAMED))
        if (mark := hash(name)) in self._names:
            remedy = "ids must be unique; `r1 prompts FILE --map id=` makes new ones"
            raise bad_record(record, f"id {name!r} stands twice", remedy)
        self._names.add(mark)
        if "completion" in record:
            raise bad_record(record, "already has a completion", self.remedy)
        return name


def drafted(record: Record) -> Record:
    """A completion as a problem: what was made of the problem stands in `draft`, and is to be rewritten.

    Raises BadInput for a record without a completion.
    """
    need(record, "completion", (str, list), REWRITE)
    meta = object_of(record.get("meta"))
    made = {key: value for key, value in record.items() if key in ANSWERED}
    said = {stage: meta[stage] for stage in ("generate", "score", "filter") if stage in meta}
    kept = {key: value for key, value in record.items() if key not in MADE}
    if meta:
        kept["meta"] = {stage: entry for stage, entry in meta.items() if stage not in said}
    return Record({**kept, "draft": {**made, **({"meta": said} if said else {})}}, place=record.place)


def check_problems(records: Iterable[Record], template: Template, remedy: str = GENERATED) -> None:
    """Raises BadInput for a problem that cannot be told from another or that `template` does not render."""
    names = Problems(remedy)
    for record in records:
        names.name(record)
        template.render(record)


def first_checked(
    records: Iterable[Record], template: Template, examples: Sequence[Record] = ()
) -> Iterator[Record]:
    """All records, the first of which has been read, and is a problem that `template` renders.

    Raises BadInput where it is none: at once, while the rest of the stream is still to come.
    """
    remaining = iter(records)
    for first in remaining:
        Problems().name(first)
        template.render(first, examples=examples)
        return chain([first], remaining)
    return iter(())
