"""CNMO 2024: 18 problems of the Chinese National Mathematical Olympiad; `cnmo:zh` asks them in Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import parts_of, rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 64
CONFIGURATIONS = {"en": "v202412_CNMO_en", "zh": "v202412_CNMO_cn"}


def problems(*, task: str = "en", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records in the language `task`: those of LiveMathBench of December 2024 (arXiv 2412.13147, CC BY 4.0).

    Whether the paper asked these 18 is not published. Raises UsageError for another language.
    """
    (lang,) = parts_of("cnmo", task, CONFIGURATIONS)
    hub = ("opencompass/LiveMathBench", CONFIGURATIONS[lang], split)
    rows = rows_of(file=f"math/cnmo24_{lang}.jsonl", hub=hub, data=data, gated=True)
    return (_posed(row, f"cnmo24-{lang}-{k}", lang) for k, row in enumerate(rows))


def _posed(row: Record, name: str, lang: str) -> Record:
    prompt, answer = need(row, "question", str, WHOLE), need(row, "answer", (str, int, float), WHOLE)
    return Record(id=name, prompt=prompt, answer=str(answer), lang=lang, place=row.place)
