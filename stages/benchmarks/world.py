"""The world: endless families of tasks with known answers, in English and Chinese, and corpora of them.

`world:sum`, `countdown`, `program`, `knights`, `fact` and `chat`, several joined by `+`, or all of them. A
problem belongs to the test split by a digest of what it is in any language, so none is in both splits. With
`worked=noisy` each comes with a completion as a base model's corpus might have it (stages/world/corpus.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.records.record import Record, digest, seed_of
from stages.runtime.errors import UsageError, nearest
from stages.world import chat, countdown, facts, knights, programs, sums
from stages.world.corpus import SHARES, Shares, document
from stages.world.family import Family, Levels, Problem

SPLITS = ("train", "test")
REWARDS = ("world",)
SAMPLES = 16
TEST_SHARE = 10  # one problem in ten is for testing
MISSES = 5000  # problems in a row that came before, after which there are no more
FAMILIES: Mapping[str, Family] = {
    "sum": sums,
    "countdown": countdown,
    "program": programs,
    "knights": knights,
    "fact": facts,
    "chat": chat,
}


def problems(
    *,
    task: str = "all",
    split: str = "test",
    data: Path | None = None,
    limit: int = 256,
    seed: int = 0,
    difficulty: str = "",
    worked: str = "none",
    **shares: float,
) -> Iterator[Record]:
    """`limit` problems, as many of each family of `task`; distinct, but with `worked` set.

    `difficulty` is a number or a range, `2-6`; each family's usual one by default. Raises UsageError for a
    setting that makes no sense, and where a family has no more problems.
    """
    families = _families(task)
    bounds = {name: _bounds(name, FAMILIES[name].LEVELS, difficulty) for name in families}
    drawn = Shares(worked, shares, seed_of("world", split, seed))
    rng = random.Random(seed_of("world", split, seed, difficulty, worked))
    seen: set[str] | None = set() if worked == "none" else None
    turn: list[str] = []
    for number in range(limit):
        turn = turn or rng.sample(families, len(families))
        name = turn.pop()
        lang = "zh" if drawn.draw("chinese", name) else "en"
        level = rng.randint(*bounds[name])
        problem = _new(name, level, lang, split, seen, rng)
        record = Record(id=f"{name}-{digest(problem.prompt)}", prompt=problem.prompt)
        record |= {"lang": lang, "kind": name, "difficulty": level, **problem.fields}
        if worked != "none":
            plan = drawn.plan(name, habits=FAMILIES[name].HABITS)
            record["id"] += f"-{number}"
            record["completion"] = document(FAMILIES[name], problem, plan, lang, rng)
        yield record


def settings(task: str) -> dict[str, type]:
    """The shares of a corpus, and of the languages."""
    return dict.fromkeys(SHARES, float)


def _families(task: str) -> list[str]:
    """The families that `sum+fact` names. Raises UsageError for one that there is not."""
    names = list(FAMILIES) if task == "all" else task.split("+")
    for name in names:
        if name not in FAMILIES:
            known = f"name one or several of {'+'.join(FAMILIES)}, or all"
            raise UsageError(f"world has no family {name!r}{nearest(name, FAMILIES) or f'; {known}'}")
    if len(set(names)) < len(names):
        raise UsageError(f"world:{task}: a family stands twice")
    return names


def _bounds(name: str, levels: Levels, difficulty: str) -> tuple[int, int]:
    """The lowest and the highest difficulty that are asked for."""
    if not difficulty:
        return levels.usual, levels.usual
    low, _, high = difficulty.partition("-")
    asked = tuple(int(each) if each.isdecimal() and len(each) < 4 else -1 for each in (low, high or low))
    if not levels.low <= asked[0] <= asked[1] <= levels.high:
        raise UsageError(
            f"difficulty={difficulty}: world:{name} has {levels.low} to {levels.high}; give one, or 2-4"
        )
    return asked[0], asked[1]


def _new(name: str, level: int, lang: str, split: str, seen: set[str] | None, rng: random.Random) -> Problem:
    """A problem of the split that is not in `seen`, where one is kept."""
    for _ in range(MISSES):
        problem = FAMILIES[name].make(rng, level, lang)
        if (int(digest("world", name, *problem.key), 16) % TEST_SHARE == 0) != (split == "test"):
            continue
        if seen is None:
            return problem
        if problem.prompt not in seen:
            seen.add(problem.prompt)
            return problem
    raise UsageError(
        f"world:{name} has no more problems of difficulty {level} for {split} in {lang}: ask for fewer "
        "problems, or for several difficulties, difficulty=2-5"
    )
