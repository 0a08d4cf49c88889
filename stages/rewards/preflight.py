"""Whether rewards can judge the completions of a problem, asked before there are any.

A reward's file may hold `probes(problem, **options)`: one completion or more, made up for the problem, each
with the least value it must get. The reward itself judges them, under its own deadlines; a null is a
fault of the problem, and so is a lower value. So no second rule says what can be judged.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Literal

from stages.data import templates
from stages.data.errors import UsageError
from stages.data.record import Record, stamp
from stages.data.report import SILENT, Report
from stages.rewards.scorer import Scorer
from stages.rewards.spec import Part, parts

Probes = Callable[..., Sequence[tuple[str, float]]]
Checked = tuple[Record, dict[str, str]]


def faults(
    problems: Iterable[Record],
    specs: Sequence[str],
    *,
    template: str | None = None,
    workers: int = 0,
    timeout: float = 10.0,
    on_error: Literal["stop", "null"] = "stop",
    report: Report = SILENT,
) -> Iterator[Checked]:
    """Each problem, in order, with why each reward could not judge it: {} where all can.

    Streams; at most 256 problems wait for a reward. Raises UsageError where no reward has probes or there
    is no such template, BadInput for a problem that the template cannot render, and what the rewards do.
    """
    given = parts(specs)
    asked = {part.text: hook for part in given if (hook := _probes_of(part)) is not None}
    names = [part.name for part in given if part.text not in asked]
    if not asked:
        raise UsageError(f"--check: {', '.join(names)} says nothing of a problem alone")
    for name in names:
        report.note(f"{name} is not checked: it says nothing of a problem alone")
    chosen = None if template is None else templates.load(template)
    stream: Iterator[Checked] = ((_opened(problem, chosen), {}) for problem in problems)
    with ExitStack() as stack:
        for text, hook in asked.items():
            scorer = stack.enter_context(Scorer([text], workers, timeout, on_error))
            stream = _asked(stream, hook, scorer)
        yield from stream


def _probes_of(part: Part) -> Probes | None:
    return getattr(sys.modules.get(part.function.__module__), "probes", None)


def _opened(problem: Record, template: templates.Template | None) -> Record:
    """The problem as `generate` would hand it on: with what the template opens, and its style."""
    if template is None:
        return problem
    meta = stamp(problem, "generate", template=template.name, style=template.style)
    return problem.adding(prefill=template.render(problem).prefill, meta=meta)


def _asked(stream: Iterator[Checked], hook: Probes, scorer: Scorer) -> Iterator[Checked]:
    """The stream, with what one reward says of each problem."""
    (part,) = scorer.parts
    waiting: deque[tuple[Record, dict[str, str], list[float]]] = deque()

    def made() -> Iterator[Record]:
        for problem, found in stream:
            probes = hook(problem, **part.options)
            waiting.append((problem, found, [least for _, least in probes]))
            for completion, _ in probes:
                yield problem.adding(completion=completion, finish="stop")

    for scored in scorer.score(made()):
        problem, found, least = waiting[0]
        why = _fault(scored["rewards"][part.name], least.pop(0), scored["reasons"][part.name])
        if why:
            found.setdefault(part.name, why)
        if not least:
            waiting.popleft()
            yield problem, found


def _fault(value: float | None, least: float, reason: str) -> str:
    if value is None:
        return reason
    return f"{value:g}, where {least:g} is due: {reason}" if value < least - 1e-9 else ""
