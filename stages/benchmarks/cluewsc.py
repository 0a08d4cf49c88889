"""CLUEWSC: 304 Chinese sentences and whether a pronoun in each stands for a noun in it, as two options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.choice_prompts import WHOLE, Form, posed
from stages.formats.sources import rows_of
from stages.records.record import Record, bad_record, need, object_of

SPLITS = ("validation", "train")  # the labels of its test are not published
REWARDS = ("accuracy",)
SAMPLES = 1
FILES = {"validation": "dev.json", "train": "train.json"}
LABELS = {"true": 0, "0": 0, "false": 1, "1": 1}  # on the hub 0 is true
YES_NO = ["是", "否"]
# As opencompass asks, in words of our own: the sentence, the question, two options.
PROMPT = Form("{question}\n{options}\n请在“A”和“B”中选择一个作为答案。\n答案：", "{letter}. {text}")


def problems(*, split: str = "validation", data: Path | None = None) -> Iterator[Record]:
    """Records of two options. Source: arXiv 2004.05986, WSC 2020 of CLUE; its page has the licence."""
    file = f"knowledge/cluewsc2020/{FILES[split]}"
    for number, row in enumerate(rows_of(file=file, hub=("clue/clue", "cluewsc2020", split), data=data)):
        text, target = need(row, "text", str, WHOLE), object_of(row.get("target"))
        noun, pronoun = (_span(row, target, f"span{k}_text") for k in (1, 2))
        label: Any = LABELS.get(str(row.get("label")).lower())
        if label is None:
            raise bad_record(row, f"field 'label' is {row.get('label')!r}, neither true nor false", WHOLE)
        question = f"{text}\n上文中的“{pronoun}”指的是“{noun}”吗？"
        name = f"cluewsc-{split}-{number}"
        yield posed(row, name, PROMPT, question=question, options=YES_NO, right=label, lang="zh")


def _span(row: Record, target: dict[str, Any], name: str) -> str:
    value = target.get(name)
    if not isinstance(value, str) or not value:
        raise bad_record(row, f"no text in target.{name}", WHOLE)
    return value
