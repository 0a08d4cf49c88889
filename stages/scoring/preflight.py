"""Whether rewards can judge the completions of a problem, asked before there are any.

A reward's file may hold `probes(problem, **options)`: one completion or more, made up for the problem, each
with the least value it must get. The reward itself judges them, under its own deadlines; a null is a
fault of the problem, and so is a lower value. So no second rule says what can be judged.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Literal

from stages.records import templates
from stages.records.record import Record, bad_record, object_of, place_of, stamp
from stages.records.references import advice
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.runtime.report import SILENT, Report
from stages.scoring.condition import key_of
from stages.scoring.scorer import Scorer
from stages.scoring.spec import Part, held, parts, unheld

Probes = Callable[..., Sequence[tuple[str, float]]]
Checked = tuple[Record, dict[str, str]]
Span = Sequence[int | None]  # steps of a run; None where there is no run
ALWAYS: Span = (None,)
LONGEST = 100_000  # steps of a run that are looked over
KINDS = 20  # of faults that are counted apart


def faulty(checked: Iterable[Checked], specs: Sequence[str], report: Report) -> Iterator[Record]:
    """The problems with a fault, each with its `reasons`. Raises R1Error at the end if there was one."""
    count = wrong = 0
    kinds: Counter[str] = Counter()
    report.start(None, "problems")
    for problem, found in checked:
        count += 1
        report.advance(1)
        if not found:
            continue
        wrong += 1
        for name, why in found.items():
            kind = f"{name}: {kind_of_fault(why)}"
            kinds[kind if kind in kinds or len(kinds) < KINDS else f"{name}: other"] += 1
        reasons = {**object_of(problem.get("reasons")), **found}
        meta = stamp(problem, "score", rewards=list(specs), place=place_of(problem))
        yield problem.adding(reasons=reasons, meta=meta)
    for kind, number in kinds.most_common():
        report.note(f"{number} × {kind}")
    report.summary(f"checked {count} problems, {wrong} cannot be judged")
    if wrong:
        raise R1Error(f"{wrong} of {count} problems cannot be judged by all rewards")


def ready(specs: Sequence[str], *, scheduled: bool = False) -> list[Part]:
    """The rewards that `specs` name, each of which has looked at what it needs besides: models, files.

    A reward's file may hold `check(**options)` for that, which raises what is wrong.
    """
    given = parts(specs, scheduled=scheduled)
    for part in given:
        check = None if part.custom else _hook(part, "check")
        if check is not None:
            check(**part.options)
    return given


def span_of(steps: int) -> Span:
    """The steps of a run, from 1, as far as they are looked over."""
    return range(1, min(steps, LONGEST) + 1)


def judgeable(problems: Iterable[Record], specs: Sequence[str]) -> Iterator[Record]:
    """All problems, the first of which have been read up to one that the rewards can judge.

    Those before it are held meanwhile. Raises BadInput where they can judge none: a reference is missing, or
    what a reward needs besides. No worker is started and no program of a problem run.
    """
    given = ready(specs)
    remaining = iter(problems)
    read: list[Record] = []
    why = ""
    for problem in remaining:
        read.append(problem)
        if not held(given, problem):
            raise bad_record(problem, *unheld(given))
        why = lacking(problem, given, asked_on=True)
        if not why:
            break
    if why:
        raise refused(read, why)
    return chain(read, remaining)


def check_judgeable(
    problems: Sequence[Record], specs: Sequence[str], report: Report, span: Span = ALWAYS
) -> None:
    """Says how many problems the rewards cannot judge; raises BadInput where that is all of them."""
    given, ever = parts(specs, scheduled=span is not ALWAYS), Ever(span)
    found = [(problem, why) for problem in problems if (why := lacking(problem, given, ever))]
    if not found:
        return
    first, why = found[0]
    if len(found) == len(problems):
        raise refused(problems, why)
    report.note(
        f"{len(found)} of {len(problems)} problems cannot be judged and teach nothing, the first at "
        f"{place_of(first)}: {why}"
    )


class Ever:
    """Whether a reward holds for a problem at a step of the `span`: asked once for all that look alike."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.known: dict[tuple[str, str], bool] = {}

    def __call__(self, part: Part, problem: Record) -> bool:
        if part.condition is None:
            return True
        key = (part.text, key_of([part.condition], problem))
        if key not in self.known:
            steps = self.span if part.condition.timed else self.span[:1]
            self.known[key] = any(part.holds(problem, step) for step in steps)
        return self.known[key]


def check_held(
    problems: Iterable[Record], given: Sequence[Part], report: Report, span: Span = ALWAYS
) -> None:
    """Looks over which rewards hold for which problems, at the steps of a run where there are some.

    Raises BadInput for a problem for which none ever holds, UsageError for a field that no problem has and
    for a step at which there is no problem to draw. Says which reward is for none of them.
    """
    conditions = [part.condition for part in given if part.condition is not None]
    if not conditions:
        return
    kinds: dict[str, Record] = {}
    for problem in problems:
        kinds.setdefault(key_of(conditions, problem), problem)
        for condition in conditions:
            condition.look(problem)
    for condition in conditions:
        condition.check()
    ever = Ever(span)
    counting = [part for part in given if part.weight]
    for problem in kinds.values():
        if counting and not any(ever(part, problem) for part in counting):
            raise bad_record(problem, *unheld(given))
    for step in span if any(condition.timed for condition in conditions) else span[:1]:
        if not any(held(given, problem, step) for problem in kinds.values()):
            raise UsageError(f"--reward: at step {step} no reward holds for any problem")
    for part in given:
        if not any(ever(part, problem) for problem in kinds.values()):
            report.note(f"--reward {part.text}: holds for no problem")


def lacking(
    problem: Record, given: Sequence[Part], ever: Ever | None = None, *, asked_on: bool = False
) -> str:
    """Why a reward that counts can judge no completion of the problem, as an empty one shows; "" where all
    may that ever hold for it. Of an empty one `language` says nothing, so a cheap rule's probe decides then.
    A model that is `asked_on` (again.py) may come to what can be judged.

    Only what is judged at once is asked: neither a user's function, nor a model, nor a program is run.
    """
    ever = ever or Ever(ALWAYS)
    made = stamp(problem, "generate", tokens=0, max_tokens=sys.maxsize)
    for part in given:
        judge = part.quick if part.pooled else part.function
        if part.custom or part.many or part.after or not part.weight or judge is None:
            continue
        if not ever(part, problem):
            continue
        empty = problem.adding(completion="", finish="stop", meta=made)
        verdict = judge(empty, **part.options)
        probes = None if part.pooled else _hook(part, "probes")
        if verdict is not None and verdict[0] is None and probes is not None:
            for completion, _ in probes(problem, **part.options)[:1]:
                verdict = judge(empty.adding(completion=completion), **part.options)
        if verdict is not None and verdict[0] is None:
            if asked_on and part.again is not None and part.again(empty, **part.options) is not None:
                continue
            return f"{part.name}: {verdict[1]}"
    return ""


def refused(problems: Sequence[Record], why: str) -> BadInput:
    """The error for problems none of which can be judged, of which the first says `why`."""
    first = problems[0]
    remedy = "give what the reward needs, or another --reward"
    if "reference answer" in why and "answer" not in first:
        remedy = advice(first)
    more = f", nor any of the {len(problems) - 1} after it" if len(problems) > 1 else ""
    return bad_record(first, f"cannot be judged{more}: {why}", remedy)


def kind_of_fault(why: str) -> str:
    """A reason without what is quoted of its problem."""
    return re.sub(r"""'[^']*'|"[^"]*"|\d+""", "…", why)[:100]


def faults(
    problems: Iterable[Record],
    specs: Sequence[str],
    *,
    template: str | None = None,
    workers: int = 0,
    timeout: float = 10.0,
    on_error: Literal["stop", "null"] = "stop",
    remedy: str = "mend it",
    report: Report = SILENT,
) -> Iterator[Checked]:
    """Each problem, in order, with why each reward could not judge it: {} where all can.

    Streams; at most 256 problems wait for a reward. Raises UsageError where no reward has probes or there
    is no such template, BadInput for a problem that the template cannot render, and what the rewards do.
    """
    given = parts(specs)
    asked = {part.text: hook for part in given if (hook := _hook(part, "probes")) is not None}
    names = [part.name for part in given if part.text not in asked]
    if not asked:
        raise UsageError(f"--check: {', '.join(names)} says nothing of a problem alone")
    for name in names:
        report.note(f"{name} is not checked: it says nothing of a problem alone")
    chosen = None if template is None else templates.load(template)
    stream: Iterator[Checked] = (
        (_opened(problem, chosen), {} if held(given, problem) else {"reward": unheld(given)[0]})
        for problem in problems
    )
    with ExitStack() as stack:
        for text, hook in asked.items():
            scorer = stack.enter_context(Scorer([text], workers, timeout, on_error, remedy))
            stream = _asked(stream, hook, scorer)
        yield from stream


def _hook(part: Part, name: str) -> Callable[..., Any] | None:
    """What the reward's file has under that name."""
    return getattr(sys.modules.get(part.function.__module__), name, None)


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
            probes = hook(problem, **part.options) if part.holds(problem) else []
            waiting.append((problem, found, [least for _, least in probes]))
            for completion, _ in probes:
                yield problem.adding(completion=completion, finish="stop")

    for scored in scorer.score(made()):
        yield from _passed(waiting)
        _, found, least = waiting[0]
        why = _fault(scored["rewards"][part.name], least.pop(0), scored["reasons"][part.name])
        if why:
            found.setdefault(part.name, why)
        yield from _passed(waiting)
    yield from _passed(waiting)


def _passed(waiting: deque[tuple[Record, dict[str, str], list[float]]]) -> Iterator[Checked]:
    """The first problems of those that wait for no verdict."""
    while waiting and not waiting[0][2]:
        problem, found, _ = waiting.popleft()
        yield problem, found


def _fault(value: float | None, least: float, reason: str) -> str:
    if value is None:
        return reason
    return f"{value:g}, where {least:g} is due: {reason}" if value < least - 1e-9 else ""
