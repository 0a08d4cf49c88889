"""What lm-eval's own filters and metrics say of one answer to an item of a task."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from stages.harness.asking import stops

VOTES = ("take_first_k", "majority_vote")  # filters of several answers to an item
THOUGHT = "</think>"


class Judged(NamedTuple):
    """`values` by METRIC,FILTER as lm-eval's results name them, the first of each filter first; `whole` are
    the metrics that are figures of the whole set alone; `taken` says what the first filter took of a text."""

    values: dict[str, float]
    whole: tuple[str, ...]
    taken: str


def judged(found: Any, row: Any, answer: str | list[tuple[float, bool]]) -> Judged:
    """The metrics of a task's item `row` for a text, or for the log-likelihoods of what was to compare, each
    with whether it was the likeliest text."""
    from lm_eval.api.instance import Instance

    responses: list[Any] = [written(found, answer)] if isinstance(answer, str) else list(answer)
    requests = [
        Instance("generate_until", row, (), k, (found.task_name, 0, 1), [response])
        for k, response in enumerate(responses)
    ]
    values: dict[str, float] = {}
    whole: dict[str, None] = {}
    taken = ""
    for pipeline in found._filters:
        if _votes(pipeline):
            continue
        pipeline.apply(requests)
        filtered = [request.filtered_resps[pipeline.name] for request in requests]
        if isinstance(answer, str):
            taken = taken or f"took {str(filtered[0])[:80]!r}"
        metrics = found.process_results(row, filtered)
        for name in sorted(metrics, key=lambda each: _rank(found, each)):
            value = _number(found, name, metrics[name])
            if value is None:
                whole[name] = None
            else:
                values[f"{name},{pipeline.name}"] = value
    return Judged(values, tuple(whole), taken)


def written(found: Any, text: str) -> str:
    """What of a completion the task looks at: without the thinking, up to the first text that ends it."""
    if THOUGHT in text:
        text = text.rpartition(THOUGHT)[2].lstrip()
    for stop in stops(found.config):
        text = text.partition(stop)[0]
    return text


def _votes(pipeline: Any) -> bool:
    """Whether a chain of filters wants several answers to an item, of which each is judged alone here."""
    from lm_eval.api.registry import get_filter

    several = [get_filter(name) for name in VOTES]
    return any(getattr(each, "func", each) in several for each in pipeline.filters)


def _rank(found: Any, name: str) -> tuple[bool, int]:
    """Where a metric stands: as the task lists them, those first of which more is better."""
    listed = list(found.aggregation())
    worse = found.higher_is_better().get(name) is False
    return worse, listed.index(name) if name in listed else len(listed)


def _number(found: Any, name: str, value: Any) -> float | None:
    """The metric of one item; None where only that of the whole set is a figure."""
    from lm_eval.api.metrics import mean

    gathers = found.aggregation().get(name, mean)
    if getattr(gathers, "__name__", "") not in (mean.__name__, "nanmean"):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
