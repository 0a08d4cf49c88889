"""MMLU-Pro: 12,032 questions of up to ten options from 14 fields; `mmlu_pro:law` takes one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import STEPWISE, WHOLE, letter_place, posed
from stages.formats.multiple_choice import LETTERS
from stages.formats.sources import parts_of, rows_of
from stages.records.record import Record, bad_record, need
from stages.runtime.errors import UsageError

SPLITS = ("test", "validation")
REWARDS = ("accuracy", "mmlu_pro")
SAMPLES = 1
OFFICIAL = {  # TIGER-AI-Lab/MMLU-Pro
    "preset": {"shots": 5},
    "rewards": ("mmlu_pro", "accuracy"),
    "template": "none",
    "sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 2048, "stop": ("Question:",)},
}
FIELDS = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history",
    "law", "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip


MOST = 5  # examples of a field
SHOWN = (
    "The following are multiple choice questions (with answers) about {subject}. Think step by step and then "
    'finish your answer with "the answer is (X)" where X is the correct letter choice.\n'
)
STEPS = "Let's think step by step."


def problems(
    *, task: str = "", split: str = "test", data: Path | None = None, shots: int = 0
) -> Iterator[Record]:
    """Records of the field `task`, or of all. Source: arXiv 2406.01574, under the MIT licence.

    Options that are `N/A` are left out, as in the published program, which shows 5 worked examples (`shots`)
    of the part `validation` in words of its own. Raises UsageError for a field that it does not have, and for
    a number of examples that makes no sense.
    """
    asked = parts_of("mmlu_pro", task.replace("_", " "), FIELDS)
    if not 0 <= shots <= MOST:
        raise UsageError(f"shots={shots}: choose 0 to {MOST}")
    return _asked(asked, split, data, shots)


def _asked(asked: tuple[str, ...], split: str, data: Path | None, shots: int) -> Iterator[Record]:
    worked: dict[str, list[str]] = {}
    if shots:
        for row in _rows("validation", data):
            worked.setdefault(need(row, "category", str, WHOLE), []).append(_example(row))
    for row in _rows(split, data):
        field = need(row, "category", str, WHOLE)
        if field not in asked:
            continue
        record = _posed(row)
        if shots:
            shown = worked.get(field, [])[:shots]
            if len(shown) < shots:
                raise bad_record(row, f"{shots} examples of {field}, of which there are {len(shown)}", WHOLE)
            record["prompt"] = "".join([SHOWN.format(subject=field), *shown, _question(row), STEPS])
        yield record


def _rows(split: str, data: Path | None) -> Iterator[Record]:
    return rows_of(
        file=f"knowledge/mmlu_pro_{split}.jsonl", hub=("TIGER-Lab/MMLU-Pro", None, split), data=data
    )


def _options(row: Record) -> list[str]:
    return [text for text in need(row, "options", list, WHOLE) if text != "N/A"]


def _question(row: Record) -> str:
    lines = [f"{letter}. {text}\n" for letter, text in zip(LETTERS, _options(row), strict=False)]
    return f"Question:\n{need(row, 'question', str, WHOLE)}\nOptions:\n{''.join(lines)}Answer: "


def _example(row: Record) -> str:
    return f"{_question(row)}{need(row, 'cot_content', str, WHOLE).removeprefix('A: ')}\n\n"


def _posed(row: Record) -> Record:
    return posed(
        row,
        f"mmlu-pro-{need(row, 'question_id', int, WHOLE)}",
        STEPWISE,
        question=need(row, "question", str, WHOLE),
        options=_options(row),
        right=letter_place(need(row, "answer", str, WHOLE)),
        subject=row["category"],
        lang="en",
    )
