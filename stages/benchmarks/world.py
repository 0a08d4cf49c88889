"""The world: endless families of tasks with known answers, in English and Chinese, and corpora of them.

`world:sum`, `countdown`, `program`, `knights`, `fact` and `chat`, several joined by `+`, or all of them;
with `sum=3+fact=1` three sums for each question of fact. A problem belongs to the test split by a digest of
what it is in any language, so none is in both splits. With `worked=noisy` each comes with a completion as a
base model's corpus might have it (stages/world/corpus.py).
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
HEAVIEST = 1000  # weight of a family
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
    """`limit` problems, of each family of `task` by its weight; distinct, but with `worked` set.

    `difficulty` is a number or a range, `2-6`; each family's usual one by default. Raises UsageError for a
    setting that makes no sense, and where a family has no more problems.
    """
    weights = _weights(task)
    families = [name for name, weight in weights.items() for _ in range(weight)]
    bounds = {name: _bounds(name, FAMILIES[name].LEVELS, difficulty) for name in weights}
    drawn = Shares(worked, shares, seed_of("world", split, seed))
    rng = random.Random(seed_of("world", split, seed, difficulty, worked))
    seen: set[str] | None = set() if worked == "none" else None
    turn: list[str] = []
    for number in range(limit):
        turn = turn or _turn(families, weights, limit - number, rng)
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


def _weights(task: str) -> dict[str, int]:
    """The families that `sum+fact` or `sum=3+fact=1` names, each with its weight, 1 where it has none.

    Raises UsageError for a family that there is not, and for a weight that is none.
    """
    found: dict[str, int] = {}
    for each in FAMILIES if task == "all" else task.split("+"):
        name, given, said = each.partition("=")
        if name not in FAMILIES:
            known = f"name one or several of {'+'.join(FAMILIES)}, or all"
            raise UsageError(f"world has no family {name!r}{nearest(name, FAMILIES) or f'; {known}'}")
        if name in found:
            raise UsageError(f"world:{task}: a family stands twice")
        weight = int(said) if said.isascii() and said.isdecimal() and len(said) < 5 else 0
        if given and not 1 <= weight <= HEAVIEST:
            raise UsageError(
                f"world:{each}: a weight is a whole number from 1 to {HEAVIEST}, as in sum=3+fact=1"
            )
        found[name] = weight if given else 1
    return found


def _turn(families: list[str], weights: Mapping[str, int], left: int, rng: random.Random) -> list[str]:
    """The families of the next problems, each as often as its weight says, in a random order.

    Where fewer than that are left, they are shared out by weight: rounded down, what remains to the largest
    remainders. Among families without weights chance says which come.
    """
    if left < len(families) and max(weights.values()) > 1:
        parts = {name: divmod(left * weight, len(families)) for name, weight in weights.items()}
        counts = {name: whole for name, (whole, _) in parts.items()}
        largest = sorted(weights, key=lambda name: -parts[name][1])
        for name in largest[: left - sum(counts.values())]:
            counts[name] += 1
        families = [name for name, count in counts.items() for _ in range(count)]
    return rng.sample(families, len(families))


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
