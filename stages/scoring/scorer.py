"""Records in, scored records out: in order, streaming, with bounded memory.

    with Scorer(["accuracy", "format*0.5"]) as scorer:
        for record in scorer.score(records): ...

Each record gets `rewards`, `reasons` and `reward`, the weighted sum: null where any part is null. A
part of weight 0 is a measurement: recorded, but outside the sum, and its null makes nothing null. So is one
that says it does not apply, as TRL's do by None; where none applies the sum is null.
Rewards that are there already under other names stay. What is cheap, and linear in its text, is judged at
once, the rest in worker processes (pool.py) that live as long as the Scorer. Rewards of a group wait for its
last record: records of one problem must follow one another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from stages.records.groups import groups
from stages.records.jsonl import Journal, encode
from stages.records.record import Record, bad_record, code_version, digest, need, object_of, place_of, stamp
from stages.records.turns import in_words
from stages.records.verdict import Costly, Counts, Spent, Verdict, legible, verdict_of
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.runtime.threads import cores
from stages.scoring.pool import Job, Pool
from stages.scoring.spec import Part, parts, unheld
from stages.scoring.trl import NOT_APPLICABLE

BATCH = 64  # records that a model judges at once
LARGE = 200_000  # characters of a record that are judged in a worker, under the deadline, by any reward
READ = ("completion", "prompt", "answer", "choices", "options", "json_schema", "expected_calls")
ENTRY = 200  # characters that an entry of a list counts for at least
AHEAD = 256  # records (or groups) read ahead of the oldest one that waits for its verdict


@dataclass
class Slot:
    """Records that one verdict or several are out for: one, a batch, or all of a group.

    `chosen` has the indices of those that a reward holds for; its verdicts are of these. `unasked` has those
    of which there is no completion to judge, as their prompts were too long.
    """

    records: list[Record]
    chosen: dict[str, list[int]] = field(default_factory=dict)
    unasked: dict[str, list[int]] = field(default_factory=dict)
    verdicts: dict[str, list[Verdict | Counts]] = field(default_factory=dict)
    jobs: list[tuple[Part, Job]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    finished: list[Record] | None = None  # from the journal


class Scorer(AbstractContextManager["Scorer"]):
    """Judges records by `specs`, as often as asked. Close it, or use it in a with statement.

    `workers` 0 takes one for each core, eight at most; `timeout` is seconds of work on one record.
    A reward that raises stops the run with the record's place and the `remedy`, or gives null under
    `on_error` "null"; so does a record for which no reward holds. With `scheduled`, rewards may hang on the
    step of a run, which each call of `score` then gives.
    """

    def __init__(
        self,
        specs: Sequence[str],
        workers: int = 0,
        timeout: float = 10.0,
        on_error: Literal["stop", "null"] = "stop",
        remedy: str = "mend it",
        scheduled: bool = False,
    ) -> None:
        if timeout <= 0 or workers < 0:
            raise UsageError("--timeout must be above 0, and --workers not below")
        self.parts = parts(specs, scheduled=scheduled)
        self.on_error, self.remedy = on_error, remedy
        self.pool = Pool(
            [part.text for part in self.parts],
            size=workers or min(cores(), 8),
            timeout=timeout,
            limited=not any(part.custom for part in self.parts),
        )
        self.timeouts = 0
        self.slowest: tuple[float, str] = (0.0, "")

    def __exit__(self, *exception: object) -> None:
        self.close()

    def spent(self) -> list[Spent]:
        """What the models that judge were asked since this was last called; only those that were asked."""
        options = (value for part in self.parts for value in part.options.values())
        found = [each.spent() for each in options if isinstance(each, Costly)]
        return [each for each in found if each.asked or each.kept]

    def close(self) -> None:
        """Ends the workers."""
        self.pool.close()

    def score(
        self, records: Iterable[Record], journal: Journal | None = None, step: int | None = None
    ) -> Iterator[Record]:
        """The scored copies of `records`, in order. With a `journal`, what it holds is not judged again.

        Raises BadInput for a record that cannot be judged by its shape or for which no reward holds, at that
        `step` of training where there is one; R1Error where a reward fails.
        """
        alone = [part for part in self.parts if not part.after and not part.batch]
        batched = [part for part in self.parts if part.batch]
        later = [part for part in self.parts if part.after and not part.group]
        grouped = [part for part in self.parts if part.group]
        stream: Iterable[Record] = records
        if alone:
            first = None if batched else journal  # a record is kept once, after what costs the most
            stream = self._pass(([record] for record in records), alone, first, step)
        if batched:
            stream = self._pass(batches(stream), batched, journal, step)
        if later:
            stream = self._pass(([record] for record in stream), later, None, step)
        if grouped:
            stream = self._pass(groups(stream), grouped, None, step)
        for record in stream:
            yield self._summed(record, step)
        for part in self.parts:
            if part.condition is not None and step is None:
                part.condition.check()

    def asked_next(
        self, part: Part, records: Sequence[Record]
    ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]] | str | None]:
        """What `part` has a model asked after each judged completion (again.py): fields that the problem has
        besides, and all turns of its prompt; None where that is nothing, and why where it is not known.

        The workers find out, within their deadline. Raises as `score`.
        """
        jobs = [Job(self._message(part, [record], more=True), limit=part.deadline) for record in records]
        try:
            for job in jobs:
                self.pool.add(job)
            for record, job in zip(records, jobs, strict=True):
                while job.answer is None:
                    self.pool.step(None)
                if "more" in job.answer:
                    yield job.answer["more"]
                else:
                    (lost,) = self._answered(part, [record], job)
                    yield lost.reason
        finally:
            self.pool.abandon()

    def _pass(
        self,
        groups_of: Iterable[list[Record]],
        judges: list[Part],
        journal: Journal | None,
        step: int | None,
    ) -> Iterator[Record]:
        """Judges each list, of one record, a batch or a group, keeping the order."""
        waiting: deque[Slot] = deque()
        try:
            for batch in groups_of:
                slot = self._open(batch, judges, journal, step)
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

    def _open(
        self, batch: list[Record], judges: list[Part], journal: Journal | None, step: int | None
    ) -> Slot:
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
        words = [in_words(record) for record in batch]
        for part in judges:
            held = [k for k, r in enumerate(batch) if part.holds(r, step)]
            chosen = slot.chosen[part.name] = [k for k in held if not batch[k].get("unasked")]
            slot.unasked[part.name] = [k for k in held if batch[k].get("unasked")]
            heard = [(batch if part.turns else words)[k] for k in chosen]
            verdicts = self._here(part, heard) if heard else []
            if verdicts is not None:
                slot.verdicts[part.name] = verdicts
            else:
                job = Job(self._message(part, heard), limit=part.deadline)
                slot.jobs.append((part, job))
                self.pool.add(job)
        return slot

    def _message(self, part: Part, records: Sequence[Record], *, more: bool = False) -> bytes:
        """What a worker is sent: to judge the records or, where `more`, to say what is asked after one."""
        index, places = self.parts.index(part), [place_of(record) for record in records]
        return encode({"part": index, "records": records, "places": places, "more": more})

    def _here(self, part: Part, batch: list[Record]) -> list[Verdict | Counts] | None:
        """The verdicts that cost no more than a call in this process."""
        call = part.quick if part.pooled else part.function
        if call is None or (not part.many and large(batch[0])):
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
            return self._failed(part, batch, legible(f"{type(error).__name__}: {error}"))

    def _finish(self, slot: Slot, journal: Journal | None) -> Iterator[Record]:
        if slot.finished is not None:
            yield from slot.finished
            return
        for part, job in slot.jobs:
            asked = [slot.records[k] for k in slot.chosen[part.name]]
            slot.verdicts[part.name] = self._answered(part, asked, job)
        names = [part.name for part in self.parts if part.name in slot.verdicts]
        of = {name: dict(zip(slot.chosen[name], slot.verdicts[name], strict=True)) for name in names}
        for name, several in slot.unasked.items():
            of[name] |= {k: Verdict(None, f"not asked: {slot.records[k]['unasked']}") for k in several}
        for k, record in enumerate(slot.records):
            scored = _judged(record, {name: of[name].get(k) for name in names})
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
            f"{why}; {self.remedy}"
        )

    def _summed(self, record: Record, step: int | None) -> Record:
        counting = [part for part in self.parts if part.weight]
        judges = [part for part in counting if part.holds(record, step)]
        if counting and not judges and self.on_error == "stop":
            raise bad_record(record, *unheld(self.parts, step))
        applied = [p for p in judges if not record["reasons"][p.name].startswith(NOT_APPLICABLE)]
        values = [(record["rewards"][part.name], part.weight) for part in applied]
        known = bool(values) and all(value is not None for value, _ in values)
        total = sum(value * weight for value, weight in values) if known else None
        if not counting:  # measured, not judged
            total = record.get("reward", 0.0)
            if total is not None:
                need(record.adding(reward=total), "reward", (int, float), "a reward is a number")
        meta = stamp(record, "score", rewards=[part.text for part in self.parts])
        return record.adding(reward=total, meta=meta)


def _judged(record: Record, verdicts: Mapping[str, Verdict | Counts | None]) -> Record:
    """The record with what the rewards say of it; None: the reward is not for it, and leaves no entry."""
    values: dict[str, float | None] = {}
    for name, verdict in verdicts.items():
        if verdict is not None:
            values[name] = verdict.value
        if isinstance(verdict, Counts):
            values |= {f"{name}/{part}": value for part, value in verdict.parts.items()}
    others = {name for name, verdict in verdicts.items() if verdict is None}
    reasons = {name: verdict.reason for name, verdict in verdicts.items() if verdict is not None}
    return record.adding(
        rewards={**_without(others, record.get("rewards")), **values},
        reasons={**_without(others, record.get("reasons")), **reasons},
    )


def _without(names: Container[str], entries: Any) -> dict[str, Any]:
    """The entries but those of the rewards `names` and of their parts, from an earlier scoring."""
    return {key: value for key, value in object_of(entries).items() if key.partition("/")[0] not in names}


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records, BATCH at once; fewer at the end."""
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def large(record: Record) -> bool:
    """Whether so much text is to be read that even a rule of linear time may need a deadline."""
    return sum(_size(record.get(name)) for name in READ) > LARGE


def _size(value: Any, depth: int = 3) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list) and depth:
        return sum(max(ENTRY, _size(each, depth - 1)) for each in value)
    return 0


def done(slot: Slot) -> bool:
    """Whether nothing is out for this slot."""
    return all(job.answer is not None for _, job in slot.jobs)


def _counted(part: Part, batch: list[Record], results: Sequence[Any]) -> list[Verdict | Counts]:
    if len(results) != len(batch):
        raise ValueError(f"{len(results)} verdicts for {len(batch)} records")
    return [verdict_of(each) for each in results]
