"""AlpacaEval 2: 805 instructions with the baseline's answers, for a model that judges to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import hub_rows, local
from stages.formats.tables import read_rows
from stages.records.record import Record, need

SPLITS = ("eval",)
REWARDS = ("alpaca_eval",)
SAMPLES = 1
FILES = ("alpaca_eval_gpt4_baseline.json", "alpaca_eval.json")
HUB = ("tatsu-lab/alpaca_eval", "alpaca_eval_gpt4_baseline")


def problems(*, split: str = "eval", data: Path | None = None) -> Iterator[Record]:
    """Records with `index`, from 0, `baseline` and `baseline_answer`. Source: arXiv 2404.04475, CC BY-NC 4.0.

    The baseline is whoever wrote `output`, in the published file gpt4_1106_preview. No language is named:
    some instructions ask for an answer in another than theirs.
    """
    found = next((path for path in (local(f"open/{name}", data) for name in FILES) if path), None)
    rows = read_rows(str(found)) if found else hub_rows(*HUB, split, otherwise=f"open/{FILES[0]}")
    for index, row in enumerate(rows):
        prompt, answer = need(row, "instruction", str, WHOLE), need(row, "output", str, WHOLE)
        about = {"dataset": row["dataset"]} if "dataset" in row else {}
        baseline = str(row.get("generator") or "baseline")
        yield Record(
            {"id": f"alpaca_eval-{index}", "prompt": prompt, "index": index, "baseline": baseline}
            | {"baseline_answer": answer, **about},
            place=row.place,
        )
