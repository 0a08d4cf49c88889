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


def verdict(record: Record) -> tuple[str, str]:
    """`correct`, `wrong` or `not judged`, and the reward that says so; empty where there is none."""
    rewards = object_of(record.get("rewards"))
    if not rewards:
        return "", ""
    name = named_of(record, (*RULE.reward_name, *rewards))
    value = figure(rewards.get(name))
    return ("not judged" if value is None else "correct" if value >= RULE.threshold else "wrong"), name


class Funnel:
    """Counts the records of one source, whether or not the page holds their text."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._problems: set[int] = set()
        self._reasons = {fate: Counter[str]() for fate in ("unjudged", "wrong", "dropped")}
        self._examples: dict[tuple[str, str], str] = {}
        self._first: dict[str, str] = {}  # the first that came so far, by its id

    def add(self, record: Record) -> None:
        """One record. Raises BadInput for one that has no id."""
        self._problems.add(hash(group_of(record)))
        self.counts["records"] += 1
        if "completion" not in record:
            return
        self._passed("generated", record)
        self._judge(record, *verdict(record))
        gain = figure(record.get("advantage"))
        if gain is not None:
            self.counts["advantages"] += 1
            if gain:
                self._passed("taught", record)
        if record.get("dropped") is None:
            self._passed("kept", record)
        else:
            self.counts["dropped"] += 1
            self._because("dropped", short(worded("dropped", str(record["dropped"]))), record)

    def _judge(self, record: Record, found: str, name: str) -> None:
        if not found:
            return
        self.counts["scored"] += 1
        if found == "not judged":
            self._because("unjudged", _why(record, name), record)
            return
        self._passed("judged", record)
        if found == "correct":
            self._passed("correct", record)
        else:
            self._because("wrong", _why(record, name), record)

    def _passed(self, what: str, record: Record) -> None:
        self.counts[what] += 1
        self._first.setdefault(what, short(record.get("id", "")))

    def _because(self, fate: str, why: str, record: Record) -> None:
        reasons = self._reasons[fate]
        if why in reasons or len(reasons) < KINDS:
            reasons[why] += 1
            self._examples.setdefault((fate, why), short(record.get("id", "")))

    def told(self) -> dict[str, Any]:
        """Counts, the first of what passed each, the most frequent reasons of each fate with an example."""
        reasons = {
            fate: [
                {"why": why, "count": count, "example": self._examples[fate, why]}
                for why, count in counted.most_common(TOLD)
            ]
            for fate, counted in self._reasons.items()
        }
        return {**self.counts, "problems": len(self._problems), "reasons": reasons, "first": self._first}


def _why(record: Record, name: str) -> str:
    """The kind of the reason for this reward."""
    why = object_of(record.get("reasons")).get(name)
    return short(worded(f"reasons.{name}", why)) if isinstance(why, str) and why else "no reason given"
