"""What every stage reads besides records: rows in the forms of others, which `r1 prompts` knows."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from stages.formats.rows import Reader, with_reference
from stages.records.record import Record
from stages.records.references import HOLDERS
from stages.runtime.report import SILENT, Report

# Fields that stand where a record has its prompt.
FORMS = frozenset(
    {"messages", "conversations", "problem", "question", "Question", "question_stem", "instruction", "chosen"}
    | {"segments", "generations", "custom_id", "resps", "model_response", "full_prompt", "preferred_output"}
)
# Fields that say of a row with a prompt that it is in another form.
BESIDE = frozenset(("reward_model", "generations", "predict"))


def as_records(rows: Iterable[Record], report: Report = SILENT) -> Iterator[Record]:
    """The records among `rows` as they are, and rows in other forms as `r1 prompts` reads them.

    A problem without a reference gets the one that another of its fields holds. What was done is said once,
    at the end. Raises BadInput for a row that breaks its form.
    """
    rows_read = Rows()
    for row in rows:
        yield from rows_read.records(row)
    rows_read.tell(report)


class Rows:
    """Reads rows one after the other.

    It counts them by file: a row without an id is called by its number.
    """

    def __init__(self) -> None:
        self._reader = Reader()
        self._numbers: Counter[str] = Counter()

    def records(self, row: Record) -> Iterable[Record]:
        """The record that the row is, or those that it holds. Raises BadInput where it breaks its form."""
        stem = _stem(row.place.rpartition(":")[0])
        number = self._numbers[stem]  # files of one name in several folders are counted through
        self._numbers[stem] += 1
        if not is_record(row):
            return self._reader.records(row, f"{stem}-{number}")
        known = "rewards" in row or "prompt" not in row
        return (row if known else with_reference(row, self._reader.notes),)

    def passed(self, file: str, count: int) -> None:
        """So many rows of `file` were read elsewhere, each a record as it is."""
        self._numbers[_stem(file)] += count

    def tell(self, report: Report) -> None:
        """Says what was done with the rows."""
        self._reader.notes.tell(report)


def is_whole(fields: Collection[str]) -> bool:
    """Whether any row with these fields is a record to which nothing is added."""
    known = "rewards" in fields or "prompt" not in fields or HOLDERS.isdisjoint(fields)
    return known and is_record(fields)


@functools.lru_cache(maxsize=8)  # the rows of a file follow one another
def _stem(file: str) -> str:
    return Path(file).name.split(".")[0] or "row"


def is_record(row: Collection[str]) -> bool:
    """Whether the row has a prompt or a completion in the fields of a record."""
    if "prompt" in row:
        return BESIDE.isdisjoint(row) or "completion" in row
    return "completion" in row or FORMS.isdisjoint(row)
