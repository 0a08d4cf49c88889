"""Records in, scored records out: in order, streaming, with bounded memory.

    with Scorer(["accuracy", "format*0.5"]) as scorer:
        for record in scorer.score(records): ...

Each record gets `rewards`, `reasons` and `reward`, the weighted sum: null where any part is null. A
part of weight 0 is a measurement: recorded, but outside the sum, and its null makes nothing null.
Rewards that are there already under other names stay. What is cheap is judged at once, the rest in
worker processes (pool.py) that live as long as the Scorer. Rewards of a group wait for its last
record: records of one problem must follow one another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from stages.data.errors import BadInput, R1Error, UsageError
from stages.data.groups import groups
from stages.data.jsonl import Journal, encode
from stages.data.options import cores
from stages.data.record import Record, code_version, digest, place_of
from stages.rewards.pool import Job, Pool
from stages.rewards.spec import Part, parts
from stages.rewards.verdict import Counts, Verdict
from stages.rewards.worker import checked

BATCH = 64  # records that a model judges at once
AHEAD = 256  # records (or groups) read ahead of the oldest one that waits for its verdict


@dataclass
class Slot:
    """Records that one verdict or several are out for: one, a batch, or all of a group."""

    records: list[Record]
    verdicts: dict[str, list[Verdict | Counts]] = field(default_factory=dict)
    jobs: list[tuple[Part, Job]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    finished: list[Record] | None = None  # from the journal


class Scorer:
    """Judges records by `specs`, as often as asked. Close it, or use it in a with statement.

    `workers` 0 takes one for each core, eight at most; `timeout` is seconds of work on one record.
    A reward that raises stops the run with the record's place, or gives null under `on_error` "null".
    """

    def __init__(
        self,
        specs: Sequence[str],
        workers: int = 0,
        timeout: float = 10.0,
        on_error: Literal["stop", "null"] = "stop",
    ) -> None:
        if timeout <= 0 or workers < 0:
            raise UsageError("--timeout must be above 0, and --workers not below")
        self.parts = parts(specs)
        self.on_error = on_error
        self.pool = Pool(
            [part.text for part in self.parts],
            size=workers or min(cores(), 8),
            timeout=timeout,
            limited=not any(part.foreign for part in self.parts),
        )
        self.timeouts = 0
        self.slowest: tuple[float, str] = (0.0, "")
        self.origin = {
            "rewards": [part.text for part in self.parts],
            "version": code_version(),
        }

    @property
    def names(self) -> list[str]:
        """The rewards' names, in the order given."""
        return [part.name for part in self.parts]

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers."""
        self.pool.close()

    def score(self, records: Iterable[Record], journal: Journal | None = None) -> Iterator[Record]:
        """The scored copies of `records`, in order. With a `journal`, what it holds is not judged again.

        Raises BadInput for a record that cannot be judged by its shape, R1Error where a reward fails.
        """
        alone = [part for part in self.parts if not part.after and not part.batch]
        batched = [part for part in self.parts if part.batch]
        later = [part for part in self.parts if part.after and not part.group]
        grouped = [part for part in self.parts if part.group]
        stream: Iterable[Record] = records
        if alone:
            first = None if batched else journal  # a record is kept once, after what costs the most
            stream = self._pass(([record] for record in records), alone, first)
        if batched:
            stream = self._pass(batches(stream), batched, journal)
        if later:
            stream = self._pass(([record] for record in stream), later, None)
        if grouped:
            stream = self._pass(groups(stream), grouped, None)
        for record in stream:
            yield self._summed(record)

    def _pass(
        self, groups_of: Iterable[list[Record]], judges: list[Part], journal: Journal | None
    ) -> Iterator[Record]:
        """Judges each list, of one record, a batch or a group, keeping the order."""
        waiting: deque[Slot] = deque()
        try:
            for batch in groups_of:
                slot = self._open(batch, judges, journal)
                waiting.append(slot)
                if slot.jobs:
                    self.pool.step(0)
                while waiting and (done(waiting[0]) or len(waiting) > AHEAD):
                    if not done(waiting[0]):
                        self.pool.step(None)
                        continue
                    yield from self._finish(waiting.popleft(), journal)
            while waiting:
                while not done(waiting[0]):
                    self.pool.step(None)
                yield from self._finish(waiting.popleft(), journal)
        finally:
            if waiting:
                self.pool.abandon()

    def _open(self, batch: list[Record], judges: list[Part], journal: Journal | None) -> Slot:
        slot = Slot(batch)
        if journal is not None:
            about = [(part.text, part.source) for part in judges]
            slot.keys = [digest([record], about, code_version()) for record in batch]
            if all(key in journal for key in slot.keys):
                slot.finished = [
                    Record(journal.get(key) or {}, place=record.place)
                    for key, record in zip(slot.keys, batch, strict=True)
                ]
                return slot
        for part in judges:
            verdicts = self._here(part, batch)
            if verdicts is not None:
                slot.verdicts[part.name] = verdicts
            else:
                message = {
                    "part": self.parts.index(part),
                    "records": batch,
                    "places": [place_of(record) for record in batch],
                }
                job = Job(encode(message), limit=part.deadline)
                slot.jobs.append((part, job))
                self.pool.add(job)
        return slot

    def _here(self, part: Part, batch: list[Record]) -> list[Verdict | Counts] | None:
        """The verdicts that cost no more than a call in this process."""
        call = part.quick if part.pooled else part.function
        if call is None:
            return None
        subject: Any = batch if part.many else batch[0]
        try:
            result = call(subject, **part.options)
            if result is None:
                return None
            return _counted(part, batch, result if part.many else [result])
        except R1Error:
            raise
        except Exception as error:
            return self._failed(part, batch, f"{type(error).__name__}: {error}")

    def _finish(self, slot: Slot, journal: Journal | None) -> Iterator[Record]:
        if slot.finished is not None:
            yield from slot.finished
            return
        for part, job in slot.jobs:
            slot.verdicts[part.name] = self._answered(part, slot.records, job)
        for k, record in enumerate(slot.records):
            verdicts = {
                part.name: slot.verdicts[part.name][k]
                for part in self.parts
                if part.name in slot.verdicts
            }
            values: dict[str, float | None] = {}
            for name, verdict in verdicts.items():
                values[name] = verdict.value
                if isinstance(verdict, Counts):
                    values |= {f"{name}/{part}": value for part, value in verdict.parts.items()}
            scored = record.adding(
                rewards={**_held(record, "rewards"), **values},
                reasons={**_held(record, "reasons"), **{n: v.reason for n, v in verdicts.items()}},
            )
            if journal is not None:
                journal.put(slot.keys[k], scored)
            yield scored

    def _answered(self, part: Part, batch: list[Record], job: Job) -> list[Verdict | Counts]:
        answer = job.answer or {}
        self.slowest = max(self.slowest, (job.seconds, place_of(batch[0])))
        if "bad" in answer:
            what, place, remedy = answer["bad"]
            raise BadInput(what, place=place, remedy=remedy)
        if "bug" in answer:
            return self._failed(part, batch, answer["bug"])
        for lost in ("late", "lost"):
            if lost in answer:
                self.timeouts += 1
                return [Verdict(None, answer[lost])] * len(batch)
        return _counted(part, batch, [tuple(each) for each in answer["verdicts"]])

    def _failed(self, part: Part, batch: list[Record], why: str) -> list[Verdict | Counts]:
        if self.on_error == "null":
            return [Verdict(None, f"{part.name} failed: {why}")] * len(batch)
        raise R1Error(
            f"reward {part.name} failed on {place_of(batch[0])} (id {batch[0].get('id', '?')}): "
            f"{why}; mend it, or give --on-error null"
        )

    def _summed(self, record: Record) -> Record:
        values = [(record["rewards"][part.name], part.weight) for part in self.parts if part.weight]
        known = all(value is not None for value, _ in values)
        total = sum(value * weight for value, weight in values) if known else None
        if not values:  # measured, not judged
            total = record.get("reward", 0.0)
        meta = record.get("meta")
        origin = {**(meta if isinstance(meta, dict) else {}), "score": self.origin}
        return record.adding(reward=total, meta=origin)


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records, BATCH at once; fewer at the end."""
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def done(slot: Slot) -> bool:
    """Whether nothing is out for this slot."""
    return all(job.answer is not None for _, job in slot.jobs)


def _counted(part: Part, batch: list[Record], results: Sequence[Any]) -> list[Verdict | Counts]:
    if len(results) != len(batch):
        raise ValueError(f"{len(results)} verdicts for {len(batch)} records")
    return [checked(each) for each in results]


def _held(record: Record, name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}
