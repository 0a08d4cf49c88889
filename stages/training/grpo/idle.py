"""Steps that teach nothing: why, with an example; and the end of a run of which none can teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stages.records.record import Record, group_of, place_of
from stages.records.templates import asked
from stages.runtime.errors import R1Error
from stages.settings.grpo import Settings
from stages.training.loop.run import Run

SHOWN = 60  # characters of a text in a message


def refuse_unjudged(run: Run, settings: Settings, rollouts: Sequence[Record]) -> None:
    """Raises R1Error, with the reason, in a run in which no completion of any problem could be judged.

    It ends once all problems have been sampled, at its last step or after `idle_steps`; never after a
    completion was judged, and never where `idle_steps` is 0.
    """
    if any(record.get("reward") is not None for record in rollouts):
        run.extra["judged"] = True
    if run.extra.get("judged") or not settings.idle_steps:
        return
    sampled = run.step * settings.problems
    if sampled < run.inputs.get("records", 0) and run.step < min(settings.steps, settings.idle_steps):
        return
    name, reason = _unjudged(rollouts)
    raise R1Error(
        f"step {run.step}: no completion could be judged, so nothing can be learned: {name}: {reason}; "
        f"the first is {_example(rollouts[0])}"
    )


def tell_idle(run: Run, settings: Settings, rollouts: Sequence[Record], figures: dict[str, Any]) -> None:
    """Says why the last `idle_steps` steps taught nothing, at that many, twice as many and so on."""
    idle = int(run.extra.get("idle", 0)) + 1 if figures["frac_reward_zero_std"] == 1 else 0
    run.extra["idle"] = idle
    if not settings.idle_steps or idle % settings.idle_steps:
        return
    times = idle // settings.idle_steps
    if times and not times & (times - 1):
        run.report.note(
            f"no problem of the last {idle} steps had rewards that differ, so they taught nothing: "
            f"{_why(rollouts, settings)}; the first is {_example(rollouts[0])}"
        )


def _unjudged(rollouts: Sequence[Record]) -> tuple[str, str]:
    """The reward that was null most often, and its commonest reason."""
    counts = Counter(
        (name, str((record.get("reasons") or {}).get(name, "no reason given")))
        for record in rollouts
        for name, value in record["rewards"].items()
        if value is None
    )
    if not counts:
        return "reward", "null, though each of its rewards is known"
    return counts.most_common(1)[0][0]


def _why(rollouts: Sequence[Record], settings: Settings) -> str:
    """What the completions of each problem have in common, and what would change it."""
    groups: dict[str, list[Any]] = {}
    for record in rollouts:
        groups.setdefault(group_of(record), []).append(next(iter(record["rewards"].values()), None))
    kinds = Counter(map(_kind, groups.values()))
    if kinds["right"] == len(groups):
        return "all completions are right; harder problems would teach (`r1 filter --max-pass`)"
    if all(record["finish"] == "length" for record in rollouts):
        most = settings.sampling.max_tokens
        return f"every completion was cut off at --max-tokens {most}; raise it"
    if kinds["wrong"] == len(groups):
        return (
            "all completions are wrong; easier problems, more completions (-n) or an r1 sft first would teach"
        )
    said = ", ".join(f"{count} of {len(groups)} problems {kind}" for kind, count in kinds.most_common())
    return f"{said}, in all of their completions"


def _kind(values: list[Any]) -> str:
    """What the first reward says of all completions of a problem."""
    known = [value for value in values if value is not None]
    if not known:
        return "unjudged"
    if min(known) >= 1:
        return "right"
    if max(known) <= 0:
        return "wrong"
    return "of equal rewards" if min(known) == max(known) else "of equal sums"


def _example(record: Record) -> str:
    """The record with its place, prompt and completion, cut short."""
    said = f"{_short(asked(record))!r} -> {_short(str(record['completion']))!r}"
    reasons = record.get("reasons") or {}
    why = next((f" ({reason})" for reason in reasons.values() if reason), "")
    return f"{place_of(record)}: {said}{_short(why)}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
