"""Figures of measurements as files for papers and model cards: Markdown, LaTeX, CSV, and a `model-index`.

Markdown and LaTeX have the table that people see; CSV and the YAML of a model card have the figures.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stages.records.record import object_of
from stages.runtime.errors import UsageError
from stages.runtime.results import Results

APART = (
    "protocol",
    "revision",
    "step",
    "seed",
    "shots",
)  # in which rows of one model and benchmark may differ
PLAIN = (str, int, float, bool)
# A [ or a * that begins a line would be an option of the end of the line before.
SPECIAL = {each: f"\\{each}" for each in "&%$#_{}"} | {each: f"{{{each}}}" for each in "[]*"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "×": r"$\times$",
}  # fmt: skip
# What means something in Markdown; a _ within a word does not.
MARKED = re.compile(r"[\\`*<\[\]|~&]|(?<![^\W_])_|_(?![^\W_])")
UNPRINTED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")  # what YAML wants escaped


def check(path: Path) -> None:
    """Raises UsageError where the name of the file says none of the forms."""
    if path.suffix.lower() not in FORMS:
        raise UsageError(f"--table {path}: name a file that ends in {', '.join(FORMS)}")


def written(path: Path, made: Results) -> str:
    """The results as the file `path` has them."""
    return FORMS[path.suffix.lower()](made)


def markdown(made: Results) -> str:
    """A table of GitHub's Markdown."""
    lines = [made.columns, ["---"] * len(made.columns), *made.rows]
    return "".join(f"| {' | '.join(map(_marked, line))} |\n" for line in lines)


def latex(made: Results) -> str:
    """A `tabular` with the rules of the package booktabs."""
    cells = [[_special(cell) for cell in line] for line in (made.columns, *made.rows)]
    head, *rows = [f"{' & '.join(line)} \\\\" for line in cells]
    form = "l" * min(2, len(made.columns)) + "r" * (len(made.columns) - 2)
    lines = [rf"\begin{{tabular}}{{{form}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", ""])


def comma_separated(made: Results) -> str:
    """A line for each row of figures, a column for each figure that one of them has."""
    rows = [{key: value for key, value in _told(each).items() if _plain(value)} for each in made.records]
    columns = list({key: None for row in rows for key in row})
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def model_index(made: Results) -> str:
    """What the head of a model card says of measurements, as the hub reads it. JSON is YAML."""
    models: dict[str, list[dict[str, Any]]] = {}
    for each in made.records:
        if each.get("pass@1") is None or "difference" in each or "spread" in each:
            continue
        models.setdefault(str(each["model"] or "model"), []).append(_result(each))
    lines = ["model-index:"]
    shown = Counter(map(_last, models))
    for name, results in models.items():
        lines += [f"- name: {_yaml(_last(name) if shown[_last(name)] == 1 else name)}", "  results:"]
        lines += [f"  - {_yaml(each)}" for each in results]
    return "\n".join(lines) + "\n" if models else "model-index: []\n"


def _told(each: Mapping[str, Any]) -> dict[str, Any]:
    """The row with what of its settings tells it from others of its name."""
    settings = object_of(each.get("settings"))
    own = {"seed": settings.get("seed"), "shots": object_of(settings.get("set")).get("shots")}
    return {**each, **{key: value for key, value in own.items() if value is not None and key not in each}}


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _result(each: Mapping[str, Any]) -> dict[str, Any]:
    benchmark = str(each["benchmark"] or "records")
    told = _told(each)
    args = {key: told[key] for key in APART if told.get(key) is not None}
    shown = [key for key, value in each.items() if _measure(key) and isinstance(value, int | float)]
    return {
        "task": {"type": "text-generation"},
        "dataset": {
            "name": benchmark,
            "type": benchmark.partition(":")[0].rpartition("/")[2],
            **({"split": each["split"]} if each.get("split") else {}),
            **({"args": args} if args else {}),
        },
        "metrics": [{"type": key, "name": key, "value": each[key]} for key in shown],
    }


def _measure(key: str) -> bool:
    head, _, k = key.partition("@")
    return head in ("pass", "cons") and k.isdigit()


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, PLAIN)


def _marked(cell: str) -> str:
    return MARKED.sub(r"\\\g<0>", " ".join(cell.split()))


def _yaml(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _special(cell: str) -> str:
    return "".join(SPECIAL.get(each, each) for each in " ".join(cell.split()))


FORMS: dict[str, Callable[[Results], str]] = {
    ".md": markdown, ".tex": latex, ".csv": comma_separated, ".yaml": model_index,
}  # fmt: skip
