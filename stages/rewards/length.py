"""Shorter is better among the completions of one problem, from 0.5 to -0.5 (Kimi k1.5, section 2.3.3).

    0.5 - (length - shortest) / (longest - shortest) where correct; where wrong the same, at most 0

All of one length: 0. Lengths are tokens where each completion of the group has `completion_ids`,
else characters. Correct is what reward `of` says (`accuracy`, at 0.5 or more): score it in the
same command, before or after this one, or earlier.

A group reward: it takes all records of the problem, which must follow one another.
"""

from __future__ import annotations

from typing import Any

from stages.records.record import need, reward_of
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    (
        [
            {"completion": "ab", "rewards": {"accuracy": 1.0}},
            {"completion": "abcd", "rewards": {"accuracy": 1.0}},
            {"completion": "abcdef", "rewards": {"accuracy": 1.0}},
            {"completion": "ab", "rewards": {"accuracy": 0.0}},
            {"completion": "abcdef", "rewards": {"accuracy": 0.0}},
            {"completion": "abc", "rewards": {"accuracy": None}},
        ],
        {},
        [0.5, 0.0, -0.5, 0.0, -0.5, None],
    ),
    ([{"completion": "ab", "rewards": {"accuracy": 1.0}}], {}, [0.0]),
]


def length(group: list[dict[str, Any]], *, of: str = "accuracy") -> list[Verdict]:
    """One verdict for each record. Null where correctness is. Raises BadInput without a reward `of`."""
    texts = [
        need(each, "completion", str, "length judges completions: run r1 generate first") for each in group
    ]
    tokens = all(isinstance(each.get("completion_ids"), list) for each in group)
    unit = "tokens" if tokens else "characters"
    sizes = [len(each["completion_ids"]) for each in group] if tokens else [len(t) for t in texts]
    shortest, longest = min(sizes), max(sizes)
    verdicts = []
    for record, size in zip(group, sizes, strict=True):
        right = correctness(record, of)
        if right is None:
            verdicts.append(Verdict(None, f"{of} could not be judged"))
            continue
        value = 0.5 - (size - shortest) / (longest - shortest) if longest > shortest else 0.0
        if not right:
            value = min(0.0, value)
        verdicts.append(Verdict(value, f"{size} {unit}, group {shortest} to {longest}"))
    return verdicts


def correctness(record: dict[str, Any], of: str) -> bool | None:
    """Whether reward `of` says right, None where it is null. Raises BadInput where there is none."""
    right = reward_of(record, of, f"add {of} to the rewards, to tell right from wrong")
    return None if right is None else right >= 0.5
