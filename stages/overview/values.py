"""Values of records as people read them: short, and without a control character."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from stages.records.record import kind_of
from stages.runtime import shown

LONGEST = 200  # characters of a value beside others
FEW = 12  # of a list or an object that are written out


def number(value: Any) -> str:
    """A reward or another figure: four digits of a float, else as JSON writes it; null is `null`."""
    return f"{value:.4g}" if isinstance(value, float) else short(value)


def short(value: Any) -> str:
    """A value in one line: texts as they are, what is long cut, lists and objects that are large by size."""
    if isinstance(value, str):
        return clipped(shown.line(" ".join(value.split())))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict)):
        told = json.dumps(value, ensure_ascii=False) if len(value) <= FEW else ""
        unit = "values" if isinstance(value, list) else "fields"
        return shown.line(told) if told and len(told) <= LONGEST else f"{len(value)} {unit}"
    return clipped(json.dumps(value))


def clipped(text: str, most: int = LONGEST) -> str:
    """`text` with an ellipsis for what is beyond `most` characters."""
    return text if len(text) <= most else f"{text[: most - 2].rstrip()} …"


def figure(value: Any) -> float | None:
    """A number, a whole one of more than 64 bits as a float; None for everything else."""
    if not is_number(value):
        return None
    return value if abs(value) < 1 << 63 else float(value)


def is_number(value: Any) -> bool:
    """Whether JSON calls it a number."""
    return kind_of(value) == "a number"


def mean(records: Iterable[Mapping[str, Any]]) -> float | None:
    """Of the rewards that are numbers; None where none is."""
    known = [record["reward"] for record in records if is_number(record.get("reward"))]
    return sum(known) / len(known) if known else None
