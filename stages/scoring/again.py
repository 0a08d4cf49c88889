"""Problems that a model is asked in several tries: what it is asked after a completion that was judged.

A reward's file may hold `again(record, **options)`: the fields that the next try has besides, and the turns
that it is asked with; None where nothing more is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stages.records.record import Record, object_of
from stages.records.references import ANSWERED
from stages.scoring.spec import Part, parts

SPENT = ("tokens", "prompt_tokens", "thinking_tokens")  # of meta.generate: those of all tries are added up
ASKED = "last_prompt"  # the turns of the last try; `prompt` stays what it was


def asks_again(specs: Sequence[str]) -> bool:
    """Whether one of the rewards may have a model asked again."""
    return bool(specs) and any(_hook(part) is not None for part in parts(specs))


def tried(
    first: Iterable[Record], specs: Sequence[str], ask: Callable[[Iterable[Record]], Iterable[Record]]
) -> list[Record]:
    """The judged completions in order, each as its last try left it. All are held until then.

    `ask` gives one judged completion for each problem, in their order.
    """
    given = [(part, hook) for part in parts(specs) if (hook := _hook(part)) is not None]
    done = list(first)
    waiting = list(range(len(done)))
    while waiting:
        next_tries = {k: made for k in waiting if (made := _next(done[k], given)) is not None}
        waiting = list(next_tries)
        for k, made in zip(waiting, ask(next_tries.values()) if waiting else (), strict=True):
            done[k] = _settled(done[k], made)
    return done


def _next(record: Record, given: Sequence[tuple[Part, Callable[..., Any]]]) -> Record | None:
    for part, hook in given:
        told = hook(record, **part.options)
        if told is not None:
            fields, turns = told
            kept = {key: value for key, value in record.items() if key not in (*ANSWERED, ASKED, "meta")}
            meta = {
                stage: said
                for stage, said in object_of(record.get("meta")).items()
                if stage not in ("generate", "score")
            }
            return Record({**kept, **fields, "prompt": turns, "meta": meta}, place=record.place)
    return None


def _settled(before: Record, made: Record) -> Record:
    """The later completion as one of the first problem."""
    meta = object_of(made.get("meta"))
    earlier = object_of(object_of(before.get("meta")).get("generate"))
    said = object_of(meta.get("generate"))
    spent = {
        key: said[key] + earlier[key]
        for key in SPENT
        if isinstance(said.get(key), int) and isinstance(earlier.get(key), int)
    }
    same = {key: before[key] for key in ("id", "group", "sample", "prompt")}
    return made.adding(**same, **{ASKED: made["prompt"]}, meta={**meta, "generate": {**said, **spent}})


def _hook(part: Part) -> Callable[..., Any] | None:
    return None if part.custom else getattr(sys.modules.get(part.function.__module__), "again", None)
