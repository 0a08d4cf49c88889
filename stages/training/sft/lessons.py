"""What of a record is learned: its turns, whose they are, and their weight; no tokens yet, and no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal

from stages.evaluation.held_out import HeldOut
from stages.formats.rows import Reader
from stages.records import templates
from stages.records.record import Record, bad_record, need, place_of, said_by
from stages.records.turns import Turn, answer_turns, share, turns_of
from stages.runtime.errors import UsageError
from stages.settings.sft import Settings
from stages.training.loop.preflight import due, nothing_to_train_on

Learn = Literal["completion", "last", "all"]
COMPLETION = "a text, or a list of messages"
FORMS = (
    "sft reads prompt and completion, messages that end with the assistant's, or a data set's "
    "own form; see docs/data.md"
)


def looked_over(
    records: Iterable[Record], settings: Settings, *, resume: bool
) -> tuple[Iterator[Record], list[HeldOut]]:
    """All records, the first of which has been read, and has something to learn; and what is held out.

    Where `resume` finds the run finished they are as they came. Raises what `due` raises, and BadInput
    where there is no record, or the first has nothing to learn.
    """
    remaining = iter(records)
    sets = due(settings, "sft", templates.load(settings.template), resume=resume, lessons=True)
    if sets is None:
        return remaining, []
    if settings.batch < 1 or settings.epochs <= 0 or settings.row_tokens < 1:
        raise UsageError("--batch, --epochs and --row-tokens must be above 0")
    for first in remaining:
        for record in lessons(first):
            turns, own = conversation(record)
            chosen(turns, own, settings.learn, record)
        return chain([first], remaining), sets
    raise nothing_to_train_on()


def lessons(line: Record) -> Iterator[Record]:
    """The records in a line of any form that `prompts` reads, each with words of the assistant's."""
    if "prompt" in line and "completion" in line:
        yield line
        return
    for record in Reader().records(line, str(line.get("id") or place_of(line))):
        if not any(turn["role"] == "assistant" for turn in turns_of(record)):
            need(record, "completion", (str, list), FORMS)
        yield record


def conversation(record: Record) -> tuple[list[Turn], int]:
    """All turns of the record, and how many of them are the prompt's."""
    turns = turns_of(record)
    if "completion" not in record:
        return turns, len(turns)
    return [*turns, *answer_turns(record, COMPLETION)], len(turns)


def sampled(record: Record) -> bool:
    """Whether the completion is what a model wrote after the prompt, and not a message to be shown as one."""
    return "finish" in record or "prefill" in record or bool(said_by(record, "generate"))


def chosen(turns: Sequence[Turn], own: int, learn: Learn, record: Record) -> list[tuple[int, float]]:
    """The turns that are learned, each with its weight: what a turn says of itself goes before `learn`."""
    answers = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    asked = answers[1:] if answers[:1] == [0] else answers  # a greeting answers nothing
    wanted = {"all": asked, "last": answers[-1:], "completion": [i for i in answers if i >= own]}
    found = []
    for index, turn in enumerate(turns):
        said = share(turn, record)
        weight = float(index in wanted[learn]) if said is None else said
        if weight:
            found.append((index, weight))
    if not found:
        need(record, "completion", (str, list), COMPLETION)
        raise bad_record(record, "no turn of it is learned", "drop the record, or see `r1 sft --learn`")
    return found
