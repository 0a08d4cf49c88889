"""From completions to figures: what judges them, which reward decides, and the rows they are counted in.

The same for `eval` and for an evaluation inside a run of training.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stages.checkpoints.template import choose_template
from stages.evaluation.figures import Figures, origin_of
from stages.records import templates
from stages.records.record import Record, digest, object_of, place_of
from stages.records.templates import Template
from stages.runtime.errors import UsageError
from stages.runtime.report import SILENT, Report
from stages.runtime.threads import cores
from stages.settings.groups import Sampling

if TYPE_CHECKING:
    from stages.scoring.scorer import Scorer

# How the paper samples where it measures: arXiv 2501.12948, section on evaluation.
SAMPLING = Sampling(temperature=0.6, top_p=0.95)
EARNED = 512  # completions to a worker process: it takes a second to load what judges
SAMPLES = 4  # completions of a problem whose source names no number


@dataclass(frozen=True)
class Judge:
    """Scores records, or passes them on where there is no `scorer`."""

    scorer: Scorer | None

    def __call__(self, records: Iterable[Record]) -> Iterable[Record]:
        """The records, each scored."""
        return records if self.scorer is None else self.scorer.score(records)

    def to_the_end(
        self, first: Iterable[Record], answered: Callable[[Iterable[Record]], Iterable[Record]]
    ) -> Iterable[Record]:
        """The scored completions of problems that a model may be asked more than once about (again.py).

        `answered` gives a completion for each problem, in their order.
        """
        if self.scorer is None:
            return first
        # Here and not above: it takes a quarter of a second, and help has 150 ms.
        from stages.scoring.again import tried

        return tried(self(first), self.scorer, lambda problems: self(answered(problems)))


def judge(
    scope: contextlib.ExitStack,
    specs: Sequence[str],
    workers: int,
    count: int | None = None,
    report: Report = SILENT,
) -> Judge:
    """Scores records by `specs`, or passes them on where there are none. Ends its workers with `scope`, and
    says then what models that judge were asked.

    Where no more than `count` come at once, and what a worker judges takes it milliseconds, there are no more
    `workers` than earn their start.
    """
    if not specs:
        return Judge(None)
    from stages.scoring.scorer import Scorer
    from stages.scoring.spec import parts

    brief = all(not part.pooled or (part.quick and part.deadline is None) for part in parts(specs))
    if count is not None and brief:
        workers = min(workers or cores(), 1 + count // EARNED)
    scorer = scope.enter_context(Scorer(list(specs), workers=workers))

    def tell() -> None:
        for each in scorer.spent():
            report.note(each.told())

    scope.callback(tell)
    return Judge(scorer)


@dataclass
class Tally:
    """The figures of scored completions: a row for each model, benchmark and setting among them.

    The first reward of `decide` that a record has says what is correct, from `threshold` on; (): the first
    that judged. What was read from the file `apart` has rows of its own.
    """

    decide: Sequence[str] = ()
    threshold: float = 1.0
    apart: str = ""
    text_of: Callable[[Record], str] | None = None  # the words of a problem, where they are wanted
    rows: dict[str, Figures] = field(default_factory=dict)

    def count(
        self,
        scored: Iterable[Record],
        specs: Sequence[str] = (),
        benchmark: str | None = None,
        decide: Sequence[str] = (),
    ) -> Iterator[Record]:
        """Gives out the records, each counted. `specs` judged them; `benchmark` None: their own `meta` says.

        `decide` is the benchmark's own, for where the tally has none.

        Raises BadInput for one that is not scored or came before, UsageError where nothing says what decides.
        """
        # Here and not above: they compile patterns for 15 ms, and help has 150.
        from stages.grading.votes import vote
        from stages.rewards.language import language

        for record in scored:
            origin = origin_of(record, benchmark)
            apart = bool(self.apart) and same_file(file_of(record), self.apart)
            key = digest({**origin, "versions": None}, apart)
            if key not in self.rows:
                decides = self.decide or decide or _deciding(record, specs)
                self.rows[key] = Figures(origin, decides, self.threshold, apart, self.text_of)
            share = language(record).value
            self.rows[key].add(record, vote=vote(record), mixing=None if share is None else 1 - share)
            yield record

    def forget(self, benchmark: str | None) -> None:
        """Lets go of what was counted of a benchmark."""
        self.rows = {key: row for key, row in self.rows.items() if row.origin["benchmark"] != benchmark}


def file_of(record: Record) -> str:
    """The file that the record was read from; "" where it was made."""
    return record.place.rpartition(":")[0]


@functools.lru_cache(maxsize=64)
def same_file(one: str, other: str) -> bool:
    """Whether two names are those of one file."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return one == other


def _deciding(record: Record, specs: Sequence[str]) -> list[str]:
    """The rewards that say what is correct, where the user did not: each but the last for some records."""
    if specs:
        from stages.scoring.spec import parts

        given = parts(specs)
        last = next((k for k, part in enumerate(given) if part.condition is None), len(given))
        return [part.name for part in given[: last + 1]]
    rewards = object_of(record.get("rewards"))
    names = [name for name in rewards if "/" not in name or name.partition("/")[0] not in rewards]
    if "accuracy" in names or not names:
        return ["accuracy"]  # and if it is not there, the message says to score first
    if len(names) == 1:
        return names
    raise UsageError(
        f"{place_of(record)}: which of {', '.join(names)} says what is correct? `r1 eval --decide NAME` tells"
    )


def template_of(model: str, adapter: Path | None = None) -> Template:
    """The template a checkpoint, or its adapter, was trained with, else chat if it can chat, else r1-zero."""
    choice = choose_template(model, "r1-zero", adapter)
    return templates.load(choice.name, prefill=choice.prefill)
