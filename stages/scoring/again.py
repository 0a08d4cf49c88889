"""Problems that a model is asked more than once: what it is asked after a completion that was judged, be it
another try, or the next step of a conversation.

What the model's context does not hold is not asked: the completion before it is the last, and judged once
more with the field `ended_early`, which says why.

A reward's file may hold `again(record, **options)`: the fields that the problem then has besides, and the
turns that it is asked with; None where nothing more is asked. A worker calls it, with the reward's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stages.records.record import Record, object_of
from stages.records.references import ANSWERED
from stages.scoring.scorer import Scorer

SPENT = ("tokens", "prompt_tokens", "thinking_tokens")  # of meta.generate: those of all tries are added up
ASKED = "last_prompt"  # the turns that were asked last; `prompt` and `tools` stay what they were


def tried(
    first: Iterable[Record], scorer: Scorer, ask: Callable[[Iterable[Record]], Iterable[Record]]
) -> Iterable[Record]:
    """The judged completions in order, each as its last try left it. All are held until then, where one of
    the rewards may have a model asked again.

    `ask` gives one judged completion for each problem, in their order.
    """
    asking = [part for part in scorer.parts if part.again is not None]
    if not asking:
        return first
    done = list(first)
    waiting = [k for k, record in enumerate(done) if not record.get("unasked")]
    while waiting:
        next_tries: dict[int, Record] = {}
        for part in asking:
            left = [k for k in waiting if k not in next_tries]
            for k, told in zip(left, scorer.asked_next(part, [done[k] for k in left]), strict=True):
                if isinstance(told, str):
                    done[k] = _lost(done[k], part.name, told)
                elif told is not None:
                    next_tries[k] = _next(done[k], *told)
        waiting = [k for k in waiting if k in next_tries]
        ended: dict[int, Record] = {}
        for k, made in zip(waiting, ask([next_tries[k] for k in waiting]) if waiting else (), strict=True):
            if made.get("unasked"):
                ended[k] = done[k].adding(ended_early=made["unasked"])
            else:
                done[k] = _settled(done[k], made)
        for k, judged in zip(ended, scorer.score(ended.values()), strict=True):
            done[k] = judged
        waiting = [k for k in waiting if k not in ended]
    return done


def _next(record: Record, fields: dict[str, Any], turns: list[dict[str, Any]]) -> Record:
    kept = {key: value for key, value in record.items() if key not in (*ANSWERED, ASKED, "meta")}
    meta = {
        stage: said
        for stage, said in object_of(record.get("meta")).items()
        if stage not in ("generate", "score")
    }
    return Record({**kept, **fields, "prompt": turns, "meta": meta}, place=record.place)


def _lost(record: Record, name: str, why: str) -> Record:
    """A completion of which is not known what follows: unjudged."""
    rewards, reasons = (object_of(record.get(key)) for key in ("rewards", "reasons"))
    return record.adding(rewards={**rewards, name: None}, reasons={**reasons, name: why}, reward=None)


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
    same = {key: before[key] for key in ("id", "group", "sample", "prompt", "tools") if key in before}
    return made.adding(**same, **{ASKED: made["prompt"]}, meta={**meta, "generate": {**said, **spent}})
