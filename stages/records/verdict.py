"""What a reward returns: a number, or null where it could not judge, and why."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

from stages.settings.options import Range

# What an option may make a reward be: sums and differences of such numbers are finite.
Value = Annotated[float, Range(low=-(10**9), high=10**9)]


class Verdict(NamedTuple):
    """`value` is None where the completion could not be judged: never a silent 0."""

    value: float | None
    reason: str


class Counts(NamedTuple):
    """A verdict made of several figures: each of `parts` is recorded, too, as `<reward>/<part>`."""

    value: float | None
    reason: str
    parts: Mapping[str, float | None]


class Spent(NamedTuple):
    """What a model that judges was asked: `asked` replies, and `kept` taken from a cache, which cost nothing.

    Tokens are as the server counts them, which it did not for `uncounted` replies. `cost` is None without a
    price.
    """

    model: str
    asked: int
    kept: int
    tokens_in: int
    tokens_out: int
    uncounted: int
    cost: float | None

    def told(self) -> str:
        """In words."""
        kept = f" and {self.kept:,} from the cache" if self.kept else ""
        cost = "" if self.cost is None else f"; cost {self.cost:,.4f}"
        unsure = f"; the tokens of {self.uncounted:,} are not known" if self.uncounted else ""
        return (
            f"the judge {self.model}: {self.asked:,} replies{kept}; {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out{cost}{unsure}"
        )


@runtime_checkable
class Costly(Protocol):
    """An option of a reward that says what it has cost since it was last asked."""

    def spent(self) -> Spent: ...


def verdict_of(result: Any) -> Verdict | Counts:
    """What a reward returned, as a Verdict: a number, None, a dict of parts, or one of these and a reason.

    Raises ValueError or TypeError for what is none of them.
    """
    value, reason, *counted = result if isinstance(result, tuple) else (result, "")
    parts = dict(value if isinstance(value, Mapping) else counted[0] if counted else {})
    if isinstance(value, Mapping):
        if not parts:
            raise ValueError("the reward is an empty dict: give it a part, or return None")
        value = parts.pop("reward") if "reward" in parts else _sum(parts)
    value, reason = _finite(value), legible(str(reason))
    if not parts:
        return Verdict(value, reason)
    return Counts(value, reason, {legible(str(name)): _finite(part) for name, part in parts.items()})


def _sum(parts: Mapping[str, Any]) -> float | None:
    """What parts count together; None where one of them could not be judged."""
    values = [_finite(part) for part in parts.values()]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _finite(value: Any) -> float | None:
    """`value` as a float. Raises ValueError for one that no record may hold, TypeError for what is none."""
    if value is None:
        return None
    try:
        number = float(value)
    except TypeError:
        what = f"the reward is of type {type(value).__name__}"
        raise TypeError(
            f"{what}: it must be a number, None, a dict of such parts, or (value, reason)"
        ) from None
    if not math.isfinite(number):
        raise ValueError(f"the reward is {number}: it must be a finite number, or None")
    return number


def legible(reason: str) -> str:
    r"""A reason that a terminal shows as it is, whatever a program or a model has put into it.

    Controls, marks that turn the direction of text, and halves of characters are written out, as `\x1b`.
    """
    if reason.isprintable():
        return reason
    return "".join(
        each if each.isprintable() or unicodedata.category(each) == "Zs" else ascii(each)[1:-1]
        for each in reason
    )


# (record, options, expected value): one shared test runs them all. For a group reward the record
# is the list of the group's records, and the value the list of theirs.
Example = tuple[Any, dict[str, Any], Any]
