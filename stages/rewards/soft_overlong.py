"""0 for a completion well within the limit, down to -1 at the limit and beyond (DAPO, equation 13).

    0                                  length <= limit - cache
    (limit - cache - length) / cache   up to the limit
    -1                                 beyond

DAPO (arXiv 2503.14476) takes a limit of 20480 and a cache of 4096 tokens.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from stages.records.lengths import limit_of, size_of
from stages.records.verdict import Example, Verdict
from stages.runtime.errors import UsageError
from stages.settings.options import Range

EXAMPLES: list[Example] = [
    ({"completion": "abcdef"}, {"limit": 10, "cache": 4, "unit": "characters"}, 0.0),
    ({"completion": "abcdefgh"}, {"limit": 10, "cache": 4, "unit": "characters"}, -0.5),
    ({"completion": "abcdefghij"}, {"limit": 10, "cache": 4, "unit": "characters"}, -1.0),
    ({"completion": "abcdefghijkl"}, {"limit": 10, "cache": 4, "unit": "characters"}, -1.0),
    ({"completion": "a", "completion_ids": [1] * 9}, {"limit": 10}, -0.5),
    ({"completion": "a", "completion_ids": [1]}, {}, None),
]


def soft_overlong(
    record: dict[str, Any],
    *,
    limit: Annotated[int, Range(low=0)] = 0,
    cache: Annotated[int, Range(low=0)] = 0,
    unit: Literal["tokens", "characters"] = "tokens",
) -> Verdict:
    """`limit` 0 is the record's --max-tokens, null where that is not known; `cache` 0 a fifth of it.

    Raises BadInput without `completion_ids` to count tokens, UsageError for a cache beyond the limit.
    """
    size = size_of(record, unit, "soft_overlong")
    most = limit or limit_of(record, unit)
    if not most:
        return Verdict(None, "no limit: give limit=N")
    soft = cache or max(1, most // 5)
    if not 0 < soft <= most:
        raise UsageError(f"soft_overlong: a cache of {soft} does not fit a limit of {most}")
    over = size - (most - soft)
    value = -min(1.0, max(0.0, over / soft))
    return Verdict(value + 0.0, f"{size} {unit}, free up to {most - soft}, limit {most}")
