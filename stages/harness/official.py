"""A benchmark asked as lm-eval asks it: by its task, over a copy of the data on this machine or the hub's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stages.formats.sources import FOLDER, local, parts_of
from stages.formats.tables import read_rows
from stages.harness import asking, tasks
from stages.records.record import Record
from stages.runtime.errors import BadInput, Unavailable, UsageError


@dataclass(frozen=True)
class Task:
    """The task that published figures of a benchmark are made with.

    `files` are the parts of the data that the task reads, each with the file of the data folder that has it,
    `columns` what the task calls a field of such a file. Where each of `parts` has a task, `{part}` in `name`
    and `files` stands for it, and the field `part` of a row says which it is of. `read` gives the rows of a
    file that is no table, in the form that the task has from the hub.
    """

    name: str
    files: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    part: str = ""
    shared: bool = False  # one task for all parts, of which each has its files
    read: Callable[[Path], Iterator[Record]] | None = None

    def declared(self, benchmark: str, part: str) -> dict[str, Any]:
        """What the task says of the benchmark, as fields of `Benchmark`. UsageError for no such part."""
        found = self._tasks(benchmark, part)
        config = tasks.config(found[0].name)
        sampled = [asking.sampling(found[0].name, config)]
        if sampled[0]:
            sampled += [asking.sampling(each.name, tasks.config(each.name)) for each in found[1:]]
        alike = all(each.get("stop") == sampled[0].get("stop") for each in sampled)

        def problems(
            *, split: str | None = None, data: Path | None = None, shots: int | None = None
        ) -> Iterator[Record]:
            if split is not None:
                raise UsageError(f"lm_eval:{self.name} says itself which part it asks; name no split")
            return (record for each in found for record in each.asked(data, shots))

        return {
            "problems": problems,
            "rewards": ("lm_eval",),
            "decide": (),
            "samples": max(config.repeats, 1),
            "splits": (),
            "split": None,
            "settings": {"shots": int},
            "template": "none",
            "sampling": sampled[0] if alike else {**sampled[0], "stop": ()},  # which what judges cuts off
        }

    def _tasks(self, benchmark: str, part: str) -> list[Task]:
        """A task for each part that is asked."""
        known = {each.lower(): each for each in self.parts}
        asked = parts_of(benchmark, part.lower(), known) if part or known else ()
        return [
            replace(
                self,
                name=self.name.replace("{part}", each),
                files={split: file.replace("{part}", each) for split, file in self.files.items()},
                parts=(each,),
            )
            for each in ([known[name] for name in asked] or [""])
        ]

    def asked(self, data: Path | None, shots: int | None) -> Iterator[Record]:
        """Its problems. Each has the row it is of, so that it is judged without the data.

        Raises Unavailable where the data can be had from neither, BadInput for a row without a field.
        """
        paths = {split: path for split, file in self.files.items() if (path := local(file, data)) is not None}
        if paths:
            rows = {split: [self._row(row) for row in self._rows(path)] for split, path in paths.items()}
            found = tasks.over(self.name, rows, ", ".join(map(str, paths.values())))
            self._check_examples(shots, paths)
        else:
            found = self._of_the_hub()
        yield from asking.asked(self.name, shots, found, rows=True)

    def _check_examples(self, shots: int | None, paths: Mapping[str, Path]) -> None:
        """Raises Unavailable where examples are to be shown, and the file that has them is not there."""
        config = tasks.config(self.name)
        if config.fewshot_config.samples is not None or not (config.num_fewshot if shots is None else shots):
            return
        split = config.fewshot_split or config.training_split or config.validation_split or config.test_split
        if split not in paths:
            beside = self.files.get(split)
            put = f"put {beside} beside {next(iter(paths.values()))}, or " if beside else ""
            raise Unavailable(
                f"lm_eval:{self.name} shows examples of its part {split}, which is not on this machine; "
                f"{put}ask with shots=0"
            )

    def _of_the_hub(self) -> Any:
        wanted = next(iter(self.files.values()), "")
        folder = f"let {FOLDER} name a folder that holds {wanted}"
        if self.shared:
            raise Unavailable(f"lm_eval:{self.name} has no task for {self.parts[0]} alone: {folder}")
        try:
            return tasks.load(self.name)
        except Unavailable as error:
            instead = f", or {folder}" if wanted else ""
            raise Unavailable(f"{error.what}{instead}", install=error.install) from error

    def _rows(self, path: Path) -> Iterator[Record]:
        (part,) = self.parts
        for row in self.read(path) if self.read else read_rows(str(path)):
            if not self.part or row.get(self.part) == part:
                yield row

    def _row(self, row: Record) -> dict[str, Any]:
        missing = next((name for name in self.columns.values() if name not in row), None)
        if missing is not None:
            raise BadInput(f"no field {missing!r}", place=row.place, remedy="take the published file")
        return {**row, **{theirs: row[ours] for theirs, ours in self.columns.items()}}
