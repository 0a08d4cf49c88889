"""What became of a source's completions: generated, judged, correct, taught, kept, and why not."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stages.overview.fields import worded
from stages.overview.values import figure, short
from stages.records.record import Record, group_of, named_of, object_of
from stages.settings.criteria import Selection

TOLD = 12  # reasons that are told of a source
KINDS = 500  # kinds of reasons that are counted
RULE = Selection()  # what `r1 filter --keep correct` goes by


class Funnel:
    """Counts the records of one source, whether or not the page holds their text."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._problems: set[int] = set()
        self._reasons = {fate: Counter[str]() for fate in ("unjudged", "wrong", "dropped")}
        self._examples: dict[tuple[str, str], str] = {}

    def add(self, record: Record) -> None:
        """One record. Raises BadInput for one that has no id."""
        self._problems.add(hash(group_of(record)))
        self.counts["records"] += 1
        if "completion" not in record:
            return
        self.counts["generated"] += 1
        rewards = object_of(record.get("rewards"))
        if rewards:
            self._judge(record, rewards)
        gain = figure(record.get("advantage"))
        if gain is not None:
            self.counts["advantages"] += 1
            self.counts["taught"] += bool(gain)
        if record.get("dropped") is None:
            self.counts["kept"] += 1
        else:
            self.counts["dropped"] += 1
            self._because("dropped", short(worded("dropped", str(record["dropped"]))), record)

    def _judge(self, record: Record, rewards: dict[str, Any]) -> None:
        name = named_of(record, (*RULE.reward_name, *rewards))
        value = figure(rewards.get(name))
        self.counts["scored"] += 1
        if value is None:
            self._because("unjudged", _why(record, name), record)
            return
        self.counts["judged"] += 1
        if value >= RULE.threshold:
            self.counts["correct"] += 1
        else:
            self._because("wrong", _why(record, name), record)

    def _because(self, fate: str, why: str, record: Record) -> None:
        reasons = self._reasons[fate]
        if why in reasons or len(reasons) < KINDS:
            reasons[why] += 1
            self._examples.setdefault((fate, why), short(record.get("id", "")))

    def told(self) -> dict[str, Any]:
        """Counts, and of each fate its most frequent reasons with the id of an example."""
        reasons = {
            fate: [
                {"why": why, "count": count, "example": self._examples[fate, why]}
                for why, count in counted.most_common(TOLD)
            ]
            for fate, counted in self._reasons.items()
        }
        return {**self.counts, "problems": len(self._problems), "reasons": reasons}


def _why(record: Record, name: str) -> str:
    """The kind of the reason for this reward."""
    why = object_of(record.get("reasons")).get(name)
    return short(worded(f"reasons.{name}", why)) if isinstance(why, str) and why else "no reason given"
