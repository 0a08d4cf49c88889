"""Benchmarks whose answers a model judges: which they are, and their rewards with the judge that is named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stages.records.verdict import Costly
from stages.runtime.errors import Unavailable, UsageError, nearest
from stages.scoring.preflight import ready
from stages.scoring.spec import Part, declared, parts

NAME = re.compile(r"([\w-]+)(?::(.*?))?((?:\*.*|\sas\s.*|\sif\s.*)?)", re.DOTALL)


def is_judge(part: Part) -> bool:
    """Whether a reward asks a model that a user has to name."""
    return any(isinstance(value, Costly) for value in part.options.values())


def rewards_with(rewards: Sequence[str], judged: Sequence[str], judge: str | None) -> tuple[str, ...]:
    """A benchmark's `rewards`; with the options of a `judge` also the `judged`, and what asks one has them.

    An option that a reward has of its own wins. Raises UsageError for one that a judge does not have.
    """
    if judge is None:
        return tuple(rewards)
    given = parts([*rewards, *judged])
    return tuple(_with(part.text, judge) if is_judge(part) else part.text for part in given)


def _with(spec: str, judge: str) -> str:
    """The reward with the options in front of its own, of which none is given twice."""
    name, options, rest = NAME.fullmatch(spec.strip()).groups()  # type: ignore[union-attr]
    own = {each.partition("=")[0].strip() for each in (options or "").split(",")}
    added = [each for each in judge.split(",") if each.partition("=")[0].strip() not in own]
    return f"{name}:{','.join([*added, *filter(None, [options])])}{rest}"


def check_options(judge: str, benchmarks: Mapping[str, Sequence[str]]) -> None:
    """Raises UsageError for what are no options of a judge, and where none of the benchmarks has one.

    `benchmarks` are their rewards by name.
    """
    (part,) = parts(["judge"])
    own = [name for name, each in declared(part.function).items() if _is_judges(part, each.group)]
    for each in judge.split(","):
        name, mark, _ = each.partition("=")
        name = name.strip().replace("-", "_")
        if not mark or name not in own:
            hint = nearest(name, own) or f"; it has {', '.join(sorted(own))}"
            raise UsageError(f"--judge {judge}: no option {name!r} of a judge{hint}")
    try:
        parts([f"judge:{judge}"])
    except UsageError as error:
        raise UsageError(str(error).replace("--reward judge:", "--judge ", 1)) from None
    if not any(is_judge(each) for rewards in benchmarks.values() for each in parts(rewards)):
        raise UsageError(f"--judge {judge}: no model judges {', '.join(benchmarks)}; leave it out")


def _is_judges(part: Part, group: str) -> bool:
    return isinstance(part.options.get(group), Costly)


def check_judged(rewards: Sequence[str]) -> None:
    """Raises Unavailable where the rewards of a benchmark want a model that judges, which nothing names."""
    if any(is_judge(part) for part in parts(rewards)):
        try:
            ready(rewards)
        except UsageError as error:
            raise Unavailable(f"{error}; name one with `--judge model=NAME,url=SERVER`") from error
