"""The options that say which records to keep: the same for `filter` and `distill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.data import options
from stages.data.errors import UsageError
from stages.data.options import Doc, Flag, Range


@dataclass(frozen=True)
class Selection:
    """Which records to keep."""

    keep: Annotated[
        Literal["all", "correct", "best", "shortest"],
        Doc("Keep all; the correct; per problem the highest reward; or the shortest correct."),
    ] = "all"
    reward_name: Annotated[str, Doc("The reward that says what is correct.")] = "accuracy"
    threshold: Annotated[float, Doc("From this reward on, a completion is correct.")] = 0.5
    min_pass: Annotated[
        float | None, Doc("Drop problems with a smaller share of correct completions."), Range(0, 1)
    ] = None
    max_pass: Annotated[
        float | None, Doc("Drop problems with a greater share of correct completions."), Range(0, 1)
    ] = None
    max_per_group: Annotated[
        int | None,
        Doc("Completions to keep of a problem: the first, or the best or shortest."),
        Range(low=1),
    ] = None
    dedup: Annotated[
        Literal["none", "exact", "normalised"],
        Doc("Drop completions that repeat one of the same problem; normalised ignores case, "
            "white space and punctuation."),
    ] = "none"  # fmt: skip
    min_length: Annotated[
        int | None, Doc("Shortest completion: tokens where known, else characters."), Range(low=0)
    ] = None
    max_length: Annotated[
        int | None, Doc("Longest completion: tokens where known, else characters."), Range(low=1)
    ] = None
    max_mixing: Annotated[
        float | None,
        Doc("Greatest share of words in another language than the problem's."),
        Range(0, 1),
    ] = None
    max_code: Annotated[float | None, Doc("Greatest share of characters in code."), Range(0, 1)] = (
        None
    )
    max_paragraph: Annotated[int | None, Doc("Most words a paragraph may have."), Range(low=1)] = (
        None
    )
    decontaminate: Annotated[
        tuple[str, ...],
        Doc("Drop problems that repeat one of this benchmark file. Repeatable."),
        Flag("--decontaminate", metavar="FILE"),
    ] = ()
    ngram: Annotated[
        int, Doc("Successive words that make a problem a repetition."), Range(low=1)
    ] = 13
    where: Annotated[
        str | None,
        Doc("A condition on fields, such as 'reward >= 0.5 and finish == \"stop\"'."),
        Flag("--where", metavar="EXPR"),
    ] = None


def check(selection: Selection) -> None:
    """Raises UsageError for options that make no sense, alone or together."""
    options.check(selection)
    for low, high in (("min_pass", "max_pass"), ("min_length", "max_length")):
        a, b = getattr(selection, low), getattr(selection, high)
        if a is not None and b is not None and a > b:
            raise UsageError(
                f"--{low.replace('_', '-')} {a} is above --{high.replace('_', '-')} {b}"
            )
