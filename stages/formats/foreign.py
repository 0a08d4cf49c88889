"""What every stage reads besides records: rows in the forms of others, which `r1 prompts` knows."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.formats.rows import Reader, with_reference
from stages.records.record import Record
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
    reader = Reader()
    numbers: Counter[str] = Counter()
    for row in rows:
        stem = _stem(row.place.rpartition(":")[0])
        number = numbers[stem]  # files of one name in several folders are counted through
        numbers[stem] += 1
        if is_record(row):
            known = "rewards" in row or "prompt" not in row
            yield row if known else with_reference(row, reader.notes)
        else:
            yield from reader.records(row, f"{stem}-{number}")
    reader.notes.tell(report)


@functools.lru_cache(maxsize=8)  # the rows of a file follow one another
def _stem(file: str) -> str:
    return Path(file).name.split(".")[0] or "row"


def is_record(row: Record) -> bool:
    """Whether the row has a prompt or a completion in the fields of a record."""
    if "prompt" in row:
        return BESIDE.isdisjoint(row) or "completion" in row
    return "completion" in row or FORMS.isdisjoint(row)
