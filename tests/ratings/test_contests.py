"""A rating by the ranks in contests: by hand, as another writing has it, and from a user's files."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from stages.rank import Settings, run
from stages.ratings.contests import Contest, Person, codeelo, rating, score
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError

HARD = (800, 1100, 1400, 1700, 2000, 2300, 2600, 2900)
HELD = {
    "contest_id": 7, "problems": [{"index": "A", "points": 500}, {"index": "B", "points": 1000}],
    "rows": [{"points": points, "penalty": 0, "rating": 1500} for points in (1450, 450, 100, 0)],
}  # fmt: skip


def attempt(index: str, sample: int, value: float | None) -> Record:
    fields = {"contest_id": "7", "index": index, "sample": sample, "rewards": {"code": value}, "model": "m"}
    return Record({"id": f"7{index}#{sample}", **fields})


def ranked(tmp_path: Path, records: list[Record], held: Any = HELD, **options: Any) -> dict[str, Any]:
    (tmp_path / "held.jsonl").write_text(json.dumps(held))
    settings = Settings(by="elo", decide="code", standings=tmp_path / "held.jsonl", **options)
    (line,) = run(records, settings).records
    return line


def test_wrong_attempts_cost_what_they_cost_in_a_contest() -> None:
    assert score(500, 0) == (500, 0)
    assert score(500, 3) == (350, 0)
    assert score(500, 20) == (150, 0)
    assert score(None, 2) == (1, 20)


def test_the_first_accepted_attempt_counts_and_the_rank_gives_the_rating(tmp_path: Path) -> None:
    """450 points after one wrong attempt: above two people, level with one, below one, all rated 1500."""
    (tmp_path / "people.csv").write_text("rating,count\n1000,60\n1600,30\n2000,10\n")
    records = [attempt("A", 2, 1.0), attempt("A", 0, 0.0), attempt("A", 1, 1.0), attempt("B", 0, None)]
    line = ranked(tmp_path, records, people=tmp_path / "people.csv")
    assert line["rating"] == pytest.approx(1500 + 400 * math.log10(2.5 / 1.5), abs=1e-6)
    assert (line["percentile"], line["attempts"], line["solved"], line["unjudged"]) == (60, 3, 1, 1)
    assert line["codeelo"] == pytest.approx(1600)  # 1690.8, but 100 above the best is where it ends


def test_all_behind_or_none_leaves_one_end_open(tmp_path: Path) -> None:
    best = ranked(tmp_path, [attempt("A", 0, 1.0), attempt("B", 0, 1.0)])
    assert (best["rating"], best["rating_high"]) == (None, None)
    assert best["rating_low"] < 3000
    rows = [{"points": points, "penalty": 0, "rating": 1500} for points in (500, 300)]
    last = ranked(tmp_path, [attempt("A", 0, 0.0)], {**HELD, "rows": rows})
    assert (last["rating"], last["rating_low"]) == (None, None)


def newton(contests: list[Contest]) -> float:
    """Another writing: the pairs' likelihood by Newton's method, in natural units."""
    unit, r = math.log(10) / 400, 1500.0
    for _ in range(60):
        slope = bend = 0.0
        for contest in contests:
            own = (contest.points, -contest.penalty)
            for each in contest.people:
                chance = 1 / (1 + math.exp((each.rating - r) * unit))
                other = (each.points, -each.penalty)
                slope += ((own > other) + (own == other) / 2 - chance) / len(contest.people)
                bend += unit * chance * (1 - chance) / len(contest.people)
        r += max(-200.0, min(200.0, slope / bend))
    return r


def performed(rng: random.Random, ability: float) -> tuple[float, float, int]:
    """Points, penalty and solved of one whose performance spreads as Elo's formula has it."""
    shown = ability - math.log(-math.log(rng.random())) * 400 / math.log(10)
    made = [score(None, int(max(0, min(9, (hard + 300 - shown) // 30)))) for hard in HARD if shown >= hard]
    return sum(each[0] for each in made), sum(each[1] for each in made), len(made)


def test_contestants_get_their_rating_back() -> None:
    """60 of them in 4 contests of 40: unbiased, covered in 95 %, and as the other writing has it."""
    rng = random.Random(3)
    errors, covered = [], 0
    for k in range(60):
        truth, contests = rng.uniform(1000, 2000), []
        for _ in range(4):
            ratings = [rng.gauss(1500, 400) for _ in range(40)]
            people = [Person(each, *performed(rng, each)[:2]) for each in ratings]
            points, penalty, solved = performed(rng, truth)
            contests.append(Contest(people, points, penalty, len(HARD), solved))
        found = rating(contests)
        assert found.value is not None
        if k < 3:
            assert found.value == pytest.approx(newton(contests), abs=1e-5)
            assert 0 <= codeelo(contests) < 4000
        errors.append(found.value - truth)
        covered += (found.low or -math.inf) <= truth <= (found.high or math.inf)
    assert abs(statistics.fmean(errors)) < 3 * statistics.stdev(errors) / math.sqrt(len(errors))
    assert covered >= 53


@pytest.mark.parametrize(
    ("record", "held", "says"),
    [
        (attempt("C", 0, 1.0), HELD, "has no problem 'C'"),
        (Record({**attempt("A", 0, 1.0), "contest_id": "8"}), HELD, "contest 8 is not in the standings"),
        (Record({**attempt("A", 0, 1.0), "index": None}), HELD, "field 'index' is null"),
        (Record({**attempt("A", 0, 1.0), "rewards": {}}), HELD, "no reward 'code'"),
        (attempt("A", 0, None), HELD, "no attempt up to here was judged"),
        (attempt("A", 0, 1.0), {**HELD, "rows": []}, "field 'rows' is no list of objects"),
        (attempt("A", 0, 1.0), {**HELD, "rows": [{"points": 1}]}, "field 'rating' is None, no number"),
        (attempt("A", 0, 1.0), {"problems": [], "rows": []}, "field 'contest_id' is missing"),
    ],
    ids=["problem", "contest", "index", "reward", "unjudged", "people", "rating", "name"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(record: Record, held: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says):
        ranked(tmp_path, [record], held)


def test_ratings_of_people_are_read_in_both_forms_or_refused(tmp_path: Path) -> None:
    path, records = tmp_path / "people.json", [attempt("A", 0, 1.0)]
    path.write_text(json.dumps({"1000": 3, "1900": 1}))
    assert ranked(tmp_path, records, people=path)["percentile"] == 75
    for text in ('{"rating": "x"}', '{"rating": 1, "count": -1}', "[]"):
        path.write_text(text)
        with pytest.raises(BadInput, match=r"rating|people"):
            ranked(tmp_path, records, people=path)
    with pytest.raises(UsageError, match=r"--people .* add --by elo"):
        run(records, Settings(people=path))
