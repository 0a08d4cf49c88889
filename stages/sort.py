"""Sort records: by problem, from easy to hard, or by a field.

By group, the completions of a problem come to stand together, as the rules of `filter` on whole problems need
them. By difficulty, problems with the greatest share of correct completions come first, each with all its
completions: a curriculum for `grpo --order given`. By a field, numbers come before texts. What has no value
comes last, also under --reverse. Equals stay in their order. Memory is bounded: what is more than --memory
lies in temporary files (TMPDIR), as large as the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from stages.records.groups import groups
from stages.records.ordering import Key, Memory, in_order
from stages.records.record import Record, bad_record, group_of, kind_of
from stages.runtime.errors import UsageError, nearest
from stages.runtime.report import SILENT, Report
from stages.selection.rules import correct
from stages.settings.criteria import RewardName, Selection, Threshold
from stages.settings.options import Doc, Flag

EXAMPLES = (
    "r1 sort --by group shuffled.jsonl | r1 filter --min-pass 0.1 --max-pass 0.9 > useful.jsonl",
    "r1 sort --by difficulty scored.jsonl > from-easy-to-hard.jsonl",
    "r1 sort --by reward --reverse scored.jsonl | head -n 20",
)
NUMBER, TEXT, NOTHING = range(3)


def run(
    records: Iterable[Record],
    *,
    by: Annotated[
        str,
        Doc("group, difficulty, or the name of a field; a.b is a field of a field."),
        Flag("--by", metavar="KEY"),
    ] = "group",
    reverse: Annotated[bool, Doc("The greatest, or the hardest problem, first.")] = False,
    reward_name: RewardName = ("accuracy",),
    threshold: Threshold = 0.5,
    memory: Memory = 256,
    report: Report = SILENT,
) -> Iterator[Record]:
    """All records in order, each as it is.

    Raises BadInput for a record that lacks what the order needs, UsageError for a field that none has.
    """
    if not by or "" in by.split("."):
        raise UsageError(f"--by {by!r}: must be group, difficulty or the name of a field")
    count = 0

    def counted() -> Iterator[Record]:
        nonlocal count
        for record in records:
            count += 1
            report.advance()
            yield record

    report.start(None, "records")
    room = memory << 20
    if by == "difficulty":
        chosen = Selection(reward_name=reward_name, threshold=threshold)
        together = in_order(_by_group(counted()), room // 2)
        ordered = in_order(_by_difficulty(together, chosen, reverse, report), room // 2)
    else:
        keyed = _by_group(counted()) if by == "group" else _by_field(counted(), by, reverse)
        ordered = in_order(keyed, room, reverse=reverse)
    for _, record in ordered:
        yield record
    report.summary(f"{count} records by {by}")


def _by_group(records: Iterable[Record]) -> Iterator[tuple[Key, Record]]:
    return (([group_of(record)], record) for record in records)


def _by_difficulty(
    keyed: Iterable[tuple[Key, Record]], selection: Selection, reverse: bool, report: Report
) -> Iterator[tuple[Key, Record]]:
    """Each record with the pass rate of its problem; the records of a problem follow one another."""
    unjudged = 0
    for batch in groups(record for _, record in keyed):
        judged = [right for record in batch if (right := correct(record, selection)) is not None]
        unjudged += not judged
        rate = sum(judged) / len(judged) if judged else 0.0
        key = [NUMBER if judged else NOTHING, rate if reverse else -rate, group_of(batch[0])]
        yield from ((key, record) for record in batch)
    if unjudged:
        report.note(f"{unjudged} problems without a completion that could be judged come last")


def _by_field(records: Iterable[Record], name: str, reverse: bool) -> Iterator[tuple[Key, Record]]:
    """Keys of numbers, then texts, then nothing, which is the least under `reverse` so that it is last."""
    path = name.split(".")
    fields: dict[str, None] = {}
    known = False
    for record in records:
        value: Any = record
        for part in path:
            here = isinstance(value, dict) and part in value
            value = value[part] if here else None
        known = known or here
        if not known:
            fields.update(dict.fromkeys(record))
        if isinstance(value, (dict, list)):
            raise bad_record(
                record, f"field {name!r} is {kind_of(value)}", "give --by a field of numbers or texts"
            )
        yield _key(value, reverse), record
    if fields and not known:  # all is read before anything is written
        hint = nearest(name, fields if len(path) == 1 else ()) or f"; they have {', '.join(fields)}"
        raise UsageError(f"--by {name}: no record has that field{hint}")


def _key(value: Any, reverse: bool) -> Key:
    if value is None:
        return [-1 if reverse else NOTHING, 0]
    return [TEXT if isinstance(value, str) else NUMBER, value]
