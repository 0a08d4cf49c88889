"""What a model under training is measured on, how often, and which evaluation was the best.

A source is what `r1 eval --benchmark` takes. Where its records have completions, `sft` measures the loss of
these; where they have answers, or a reward is named, the model is asked as well.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stages.evaluation.benchmark import load, take
from stages.formats.tables import stem_of
from stages.records.record import Record, digest, group_of
from stages.records.references import ANSWERED
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import Report
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Sampling

SHARE = 0.04  # of a run's work, start and end included, where the user does not say how often
TIMES = 20  # evaluations of a run at most, where the user does not say how often


@dataclass(frozen=True)
class HeldOut:
    """One source: the problems that are asked, and the records whose completions a loss is taken of."""

    name: str  # in the metrics
    source: str  # as `--eval` names it
    problems: list[Record]
    lessons: list[Record]
    rewards: tuple[str, ...]
    samples: int  # completions of each problem
    decide: tuple[str, ...] = ()  # the rewards that say what is correct; (): the first


def held_out(options: Evaluation, *, learns: bool = False) -> list[HeldOut]:
    """What `options` name, read; `learns` says whether completions can be measured by their loss.

    Raises UsageError for names and rewards that there are not, BadInput for a source that measures nothing.
    """
    from stages.scoring.preflight import ready

    found = []
    for source in options.eval:
        if source == "-":
            raise UsageError("--eval -: standard input is what is learned; name a file")
        try:
            benchmark = load(source)
        except UsageError as error:
            raise UsageError(f"--eval: {error}") from None
        rewards = options.eval_reward or benchmark.rewards
        try:
            ready(rewards)
        except UsageError as error:
            raise UsageError(str(error).replace("--reward", "--eval-reward", 1)) from None
        records = list(take(benchmark, limit=options.eval_limit))
        if not records:
            raise BadInput("it is empty", place=source, remedy="give problems, or leave out --eval")
        lessons = [record for record in records if "completion" in record]
        problems = _problems(records) if lessons else records
        if rewards == ("accuracy",) and not any(r.get("answer") is not None for r in problems):
            problems = []
        if not problems and not (lessons and learns):
            raise BadInput(
                "nothing to measure by: no record has an answer",
                place=source,
                remedy="add the field answer, or say with --eval-reward how completions are judged",
            )
        samples = options.eval_samples or benchmark.samples
        name = stem_of(source) if os.path.isfile(source) else source.replace("/", "-")
        decide = () if options.eval_reward else benchmark.decide
        found.append(HeldOut(name, source, problems, lessons if learns else [], rewards, samples, decide))
    twice = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if twice:
        raise UsageError(f"--eval: two sources are called {twice[0]} in the metrics; rename a file")
    return found


def _problems(records: Iterable[Record]) -> list[Record]:
    """The problems of completions, each once, without what was answered."""
    found: dict[str, Record] = {}
    for record in records:
        name = group_of(record)
        if name not in found:
            left = {key: value for key, value in record.items() if key not in ANSWERED}
            found[name] = Record({**left, "id": name}, place=record.place)
    return list(found.values())


def sampling_of(options: Evaluation, trained: Sampling | None = None) -> Sampling:
    """How held-out problems are answered; `trained` is how the run samples to learn."""
    sampling = trained or Sampling()
    return replace(
        sampling,
        temperature=options.eval_temperature,
        top_p=options.eval_top_p,
        max_tokens=options.eval_max_tokens or sampling.max_tokens,
    )


def identity(sets: Sequence[HeldOut]) -> dict[str, str]:
    """What a run hangs on besides its options: a digest of what it is measured on, where that is anything."""
    said = [
        [each.name, each.problems, each.lessons, list(each.rewards), each.samples, list(each.decide)]
        for each in sets
    ]
    return {"eval": digest(said)} if sets else {}


def prompt_of(record: Mapping[str, Any]) -> str:
    """A digest of what a record asks."""
    return digest(record.get("prompt"))


def tell_shared(sets: Sequence[HeldOut], learned: Container[str], report: Report) -> None:
    """Notes how many records of each source have a prompt of those that are `learned`, by their digests."""
    for each in sets:
        asked = (record for record in each.problems or each.lessons if "prompt" in record)
        count = sum(prompt_of(record) in learned for record in asked)
        if count:
            report.note(f"{count} problems of {each.name} are among those learned: they are not held out")


@dataclass(frozen=True)
class Timetable:
    """When a run is measured on `sets`: before the first of its `steps`, after the last, and `every` so many.

    `share` is about what evaluations take, as a share of what the steps take.
    """

    sets: Sequence[HeldOut]
    steps: int
    every: int
    share: float

    def due(self, step: int) -> bool:
        """Whether the model is measured after `step`."""
        return bool(self.sets) and (step == self.steps or step % self.every == 0)

    def told(self, unit: str) -> str:
        """When the model is measured and what that takes, for the first line of a run."""
        if not self.sets:
            return "nothing held out measures it (--eval)"
        names = ", ".join(each.name for each in self.sets)
        often = f"and every {self.every} {unit}" if self.every < self.steps else "and the end"
        counts = {"completions": completions(self.sets), "examples": lessons(self.sets)}
        each = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
        share = f"about {100 * self.share:.1f} % of the work"
        return f"measured on {names} at the start {often}, {each} each, {share}"


def timetable(
    options: Evaluation, sets: Sequence[HeldOut], steps: int, batch: int, *, dear: float = 1.0
) -> Timetable:
    """`--eval-every`, or what keeps evaluations at `SHARE` of the work of all steps, start and end included.

    A step learns `batch` completions. To sample one takes as much as to learn `dear` of them, a loss a third,
    having no backward pass; sampling takes no less than a step, as the longest completion has to end.
    All that is known before the first step and does not hang on how fast a machine is, so a run that is
    resumed is measured at the same steps. The start and the end are always measured.
    """
    sampled = completions(sets)
    cost = (max(dear * sampled, batch) if sampled else 0) / batch + lessons(sets) / 3 / batch  # in steps
    every = options.eval_every
    if not every:
        affordable = min(int(SHARE * steps / cost), TIMES + 1) if cost else 0
        every = -(-steps // max(affordable - 1, 1))
    every = min(every, steps)
    return Timetable(sets, steps, every, (1 + -(-steps // every)) * cost / steps)


def completions(sets: Sequence[HeldOut]) -> int:
    """Completions that one evaluation samples."""
    return sum(len(each.problems) * each.samples for each in sets)


def lessons(sets: Sequence[HeldOut]) -> int:
    """Records whose loss one evaluation measures."""
    return sum(len(each.lessons) for each in sets)


def best(lines: Iterable[Mapping[str, Any]]) -> int | None:
    """The step of the best evaluation, of equal ones the first; None where none could be judged.

    `lines` are those of eval.jsonl. Better is a higher mean pass@1 of all sources or, where that is equal, a
    higher mean of the rewards that decide; of sources that have a loss alone a lower mean loss.
    """
    known = {step: good for step, good in _goodness(lines).items() if good}
    return max(known, key=lambda step: known[step]) if known else None


def since_best(lines: Sequence[Mapping[str, Any]]) -> int:
    """Evaluations after the best one."""
    steps = list(_goodness(lines))
    found = best(lines)
    return len(steps) - 1 - steps.index(found) if found in steps else 0


def _goodness(lines: Iterable[Mapping[str, Any]]) -> dict[int, tuple[float, ...]]:
    """What each evaluation is compared by; () where nothing could be judged."""
    evaluations: dict[int, list[Mapping[str, Any]]] = {}
    for line in lines:
        evaluations.setdefault(line["step"], []).append(line)
    return {step: _worth(each) for step, each in evaluations.items()}


def _worth(lines: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """What could not be judged counts as wrong, and its reward as 0."""
    asked = [line for line in lines if "pass@1" in line]
    if not asked:
        return (-statistics.fmean(line["loss"] for line in lines),)
    if all(line["pass@1"] is None for line in asked):
        return ()
    return (
        statistics.fmean(line.get("pass@1_if_unjudged_wrong", line["pass@1"]) for line in asked),
        statistics.fmean(
            line.get(f"rewards/{name}/mean", 0.0) for line in asked for name in line["decides"].split(", ")
        ),
    )
