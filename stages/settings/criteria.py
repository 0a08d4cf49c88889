"""The options that say which records to keep: the same for `filter` and `distill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.runtime.errors import UsageError
from stages.settings import groups
from stages.settings.options import Doc, Flag, Range

SHARE = 0.65  # of a benchmark's problem; measured by tests/bench/decontamination.py

RewardName = Annotated[
    tuple[str, ...],
    Doc("The reward that says what is correct; of several the first that a record has. Repeatable."),
    Flag("--reward-name", metavar="TEXT"),
]
Threshold = Annotated[float, Doc("From this reward on, a completion is correct.")]


@dataclass(frozen=True)
class Selection:
    """Which records to keep."""

    keep: Annotated[
        Literal["all", "correct", "best", "shortest"],
        Doc("Keep all; the correct; per problem the highest reward; or the shortest correct."),
    ] = "all"
    reward_name: RewardName = ("accuracy",)
    threshold: Threshold = 0.5
    min_pass: Annotated[
        float | None, Doc("Drop problems with a smaller share of correct completions."), Range(0, 1)
    ] = None
    max_pass: Annotated[
        float | None, Doc("Drop problems with a greater share of correct completions."), Range(0, 1)
    ] = None
    pass_of: Annotated[
        tuple[str, ...],
        Doc(
            "Take the share of correct completions from this file of another model's. Repeatable: all count."
        ),
        Flag("--pass-of", metavar="FILE"),
    ] = ()
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
    max_code: Annotated[float | None, Doc("Greatest share of characters in code."), Range(0, 1)] = None
    max_paragraph: Annotated[int | None, Doc("Most words a paragraph may have."), Range(low=1)] = None
    well_formed: Annotated[
        bool,
        Doc("Drop what breaks off, does not close, is wrongly encoded, or needs an image that is not there."),
    ] = False
    decontaminate: Annotated[
        tuple[str, ...],
        Doc("Drop problems that repeat one of this benchmark file. Repeatable."),
        Flag("--decontaminate", metavar="FILE"),
    ] = ()
    overlap: Annotated[
        float,
        Doc("Share of the benchmark's problem, rare words first, that makes a problem its repetition."),
        Range(above=0, high=1),
    ] = SHARE
    ngram: Annotated[
        int | None,
        Doc("Instead, this many successive words make one, however common; GPT-3 took 13."),
        Range(low=1),
    ] = None
    near_duplicates: Annotated[
        float | None,
        Doc("Drop problems that share this much of their runs of three words with one kept before."),
        Flag("--near-duplicates", metavar="SHARE"),
        Range(above=0, high=1),
    ] = None
    where: Annotated[
        str | None,
        Doc("A condition on fields, such as 'reward >= 0.5 and finish == \"stop\"'."),
        Flag("--where", metavar="EXPR"),
    ] = None


def check(selection: Selection) -> None:
    """Raises UsageError for options that make no sense, alone or together."""
    groups.check(selection)
    if selection.ngram is not None and selection.overlap != SHARE:
        raise UsageError("--overlap weighs what is shared, and --ngram takes any run of words: give one")
    if selection.pass_of and selection.min_pass is None and selection.max_pass is None:
        raise UsageError("--pass-of needs --min-pass or --max-pass, which say what share to keep")
    for low, high in (("min_pass", "max_pass"), ("min_length", "max_length")):
        a, b = getattr(selection, low), getattr(selection, high)
        if a is not None and b is not None and a > b:
            raise UsageError(f"--{low.replace('_', '-')} {a} is above --{high.replace('_', '-')} {b}")
