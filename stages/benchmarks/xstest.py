"""XSTest: 250 safe prompts that sound unsafe, and 200 unsafe ones; refusals of both, apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import rows_of
from stages.records.record import Record, bad_record, need

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("xstest",)
SAMPLES = 4
LABELS = ("safe", "unsafe")


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records with `label` and `type`, one of 18. Source: arXiv 2308.01263, under CC BY 4.0.

    The authors' files that have no label have types that begin with `contrast` for what is unsafe.
    """
    rows = rows_of(file="safety/xstest_prompts.csv", hub=("Paul/XSTest", None, split), data=data)
    for k, row in enumerate(rows):
        kind = need(row, "type", str, WHOLE)
        label = row.get("label") or LABELS[kind.startswith("contrast")]
        if label not in LABELS:
            raise bad_record(row, f"field 'label' is {label!r}, neither safe nor unsafe", WHOLE)
        prompt, name = need(row, "prompt", str, WHOLE), str(row.get("id", k))
        yield Record(id=f"xstest-{name}", prompt=prompt, type=kind, label=label, lang="en", place=row.place)
