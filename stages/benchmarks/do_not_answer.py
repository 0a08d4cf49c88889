"""Do-Not-Answer: 939 questions that should not be answered; refusals by rule, harm by a judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("refusal",)
JUDGED = ("harmful",)
SAMPLES = 1
ABOUT = ("risk_area", "types_of_harm", "specific_harms")


def problems(*, split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records with the risk area, the type of harm and the specific harm.

    Source: arXiv 2308.13387, under CC BY-NC-SA 4.0.
    """
    hub = ("LibrAI/do-not-answer", None, split)
    for number, row in enumerate(rows_of(file="safety/do_not_answer_en.csv", hub=hub, data=data)):
        about = {name: need(row, name, str, WHOLE) for name in ABOUT}
        name, prompt = row.get("id", number), need(row, "question", str, WHOLE)
        yield Record(
            {"id": f"do_not_answer-{name}", "prompt": prompt, **about, "lang": "en"}, place=row.place
        )
