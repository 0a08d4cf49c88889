"""Whether examples before a problem help or hurt: a benchmark without them, and after k of its own.

The DeepSeek-R1 paper (arXiv 2501.12948, section 5) finds that few-shot prompts make R1 worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stages.evaluation.benchmark import Benchmark
from stages.evaluation.comparison.against import DIFFERENCE, cells, paired
from stages.evaluation.comparison.pooled import pooled
from stages.evaluation.figures import Figures
from stages.evaluation.table import named, percent, shots_of
from stages.records.record import Record, bad_record, object_of, said_by
from stages.records.templates import Style
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import Report
from stages.runtime.results import Table

PARTS = ("train", "dev", "prompt", "validation")  # of which the first that is not measured has the examples
SETTING = "shots"


def check(benchmark: Benchmark, given: Sequence[str]) -> None:
    """Raises UsageError for a benchmark that writes its examples itself, or is `given` settings to do so."""
    if any(each.partition("=")[0] == SETTING for each in given):
        raise UsageError("--compare-shots says how many examples are shown; leave out --set shots")
    if benchmark.name.startswith("lm_eval:"):
        raise UsageError(
            f"--compare-shots: {benchmark.name} writes its examples itself; measure it with "
            "`--set shots=0`, then with another number, and compare by --against"
        )


def part_of(benchmark: Benchmark, measured: str | None) -> str | None:
    """The part that examples are taken from; None for the measured one, whose first problems they are."""
    split = measured or benchmark.split
    return next((part for part in PARTS if part in benchmark.splits and part != split), None)


def examples_of(problems: Iterable[Record], count: int, style: Style) -> tuple[Record, ...]:
    """The first `count` problems, each with its reference as a completion in the form of the template.

    Raises BadInput where there are fewer, or one has no reference answer.
    """
    found = tuple(
        Record(prompt=each["prompt"], completion=_worked(each, style), place=each.place)
        for each in islice(problems, count)
    )
    if len(found) < count:
        raise BadInput(
            f"--compare-shots {count}: there are {len(found)} problems to take examples from",
            remedy="give a smaller number",
        )
    return found


def _worked(problem: Record, style: Style) -> str:
    answer, solution = problem.get("answer"), problem.get("solution")
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise bad_record(
            problem, "has no reference answer to show as an example", "leave out --compare-shots"
        )
    thinking = f"{solution.strip()}\n" if isinstance(solution, str) and solution.strip() else ""
    if style == "plain":
        return f"{thinking}Answer: {answer}"
    thinking = f"<think>\n{thinking}</think>\n" if thinking else ""
    return thinking + (f"<answer>{answer}</answer>" if style == "think-answer" else f"\\boxed{{{answer}}}")


def marked(problems: Iterable[Record], count: int) -> Iterator[Record]:
    """The problems, of which `meta` says that they are asked after `count` examples."""
    for each in problems:
        said = said_by(each, "prompts")
        settings = {**object_of(said.get("settings")), SETTING: count}
        meta = {**object_of(each.get("meta")), "prompts": {**said, "settings": settings}}
        yield each.adding(meta=meta)


def compared(rows: Iterable[Figures], count: int, report: Report) -> list[dict[str, Any]]:
    """A line for each benchmark, of its seeds together: pass@1 after the examples against pass@1 without."""
    every = pooled(row for row in rows if not row.apart)
    after = [row for row in every if shown(row.origin)]
    bare = [row for row in every if not shown(row.origin)]
    return [{**line, SETTING: count} for _, line in paired(after, bare, report, apart_in=("set",))]


def shown(row: Mapping[str, Any]) -> bool:
    """Whether a row, as its origin or figures have it, is of problems that `marked` gave."""
    return shots_of(row) is not None


def table(lines: Sequence[dict[str, Any]]) -> Table:
    """The differences for people, in points of a hundred."""
    columns = ["benchmark", "model", "examples", "pass@1 with", "without", *DIFFERENCE]
    rows = [
        [
            str(line["benchmark"] or "-"),
            named(line["model"]),
            str(line[SETTING]),
            percent(line["pass@1"]),
            percent(line["against_pass@1"]),
            *cells(line),
        ]
        for line in lines
    ]
    return Table("What examples change, in points of pass@1", columns, rows)
