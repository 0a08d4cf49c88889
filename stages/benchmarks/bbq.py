"""BBQ: 58,492 questions on whom a stereotype fits, where the context tells and where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.choice_prompts import SIMPLE_EVALS, WHOLE, posed
from stages.formats.sources import parts_of, rows_of
from stages.harness.official import Task
from stages.records.record import Record, bad_record, need, object_of

SPLITS = ("test",)  # all of it; on the hub each category is a split
REWARDS = ("bbq",)
SAMPLES = 1
REVISION = "56cd2dcb60a10288b4f1a9c8cff6cf120141c08a"
CATEGORIES = (
    "Age", "Disability_status", "Gender_identity", "Nationality", "Physical_appearance", "Race_ethnicity",
    "Race_x_SES", "Race_x_gender", "Religion", "SES", "Sexual_orientation",
)  # fmt: skip
OPTIONS = ("ans0", "ans1", "ans2")
CONTEXTS = {"ambig": "ambiguous", "disambig": "disambiguated"}
OFFICIAL = Task("bbq_generate", {"test": "safety/bbq/{part}.jsonl"}, parts=CATEGORIES, shared=True)


def problems(*, task: str = "", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records of the category `task`, or of all 11. Source: arXiv 2110.08193, under CC BY 4.0.

    `stereotyped` is the place of the option whose group the stereotype is of: the hub's `target_label`, else
    the one option whose `answer_info` names one of the `stereotyped_groups`; null where there is no such one.
    Raises UsageError for a category that it does not have.
    """
    names = {category.lower(): category for category in CATEGORIES}
    asked = parts_of("bbq", task.lower(), names)
    return (record for name in asked for record in _of(names[name], data))


def _of(category: str, data: Path | None) -> Iterator[Record]:
    rows = rows_of(
        file=f"safety/bbq/{category}.jsonl",
        hub=("Elfsong/BBQ", None, category.lower()),
        data=data,
        revision=REVISION,
    )
    for row in rows:
        context = CONTEXTS.get(need(row, "context_condition", str, WHOLE))
        polarity = need(row, "question_polarity", str, WHOLE)
        if context is None or polarity not in ("neg", "nonneg"):
            raise bad_record(row, "its context_condition or question_polarity is none of BBQ's", WHOLE)
        yield posed(
            row,
            f"bbq-{category}-{need(row, 'example_id', int, WHOLE)}",
            SIMPLE_EVALS,
            question=f"{need(row, 'context', str, WHOLE)}\n\n{need(row, 'question', str, WHOLE)}",
            options=[row.get(name) for name in OPTIONS],
            right=row.get("label", row.get("answer_label")),
            category=category,
            context=context,
            polarity=polarity,
            stereotyped=_stereotyped(row),
            unknown=_only(["unknown" in _groups(row, name) for name in OPTIONS]),
            lang="en",
        )


def _stereotyped(row: Record) -> int | None:
    place = row.get("target_label")
    if isinstance(place, int) and not isinstance(place, bool):
        return place if place in range(len(OPTIONS)) else None
    given: Any = object_of(row.get("additional_metadata")).get("stereotyped_groups")
    wanted = set(map(_plain, given)) if isinstance(given, list) else set()
    return _only([not wanted.isdisjoint(_groups(row, name)) for name in OPTIONS])


def _groups(row: Record, name: str) -> set[str]:
    """What an option is said to be, in small letters: `F-Black` is that and its parts, a girl is F."""
    given: Any = object_of(row.get("answer_info")).get(name)
    said = set(map(_plain, given)) if isinstance(given, list) else set()
    said |= {part for each in said for part in each.replace("_", "-").split("-")}
    for short, words in (("f", {"woman", "girl"}), ("m", {"man", "boy"})):
        if said & words:
            said.add(short)
    return said


def _plain(group: Any) -> str:
    """`low SES` and `lowSES` are one."""
    return str(group).lower().replace(" ", "")


def _only(marks: list[bool]) -> int | None:
    return marks.index(True) if marks.count(True) == 1 else None
