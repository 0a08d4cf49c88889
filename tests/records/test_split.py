"""A split is by problem, the same whatever stands beside it, and its files appear whole or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stages import split
from stages.records import jsonl
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import Silent

RECORDS = [Record(id=f"p{k // 4}#{k % 4}", group=f"p{k // 4}", completion=str(k)) for k in range(2000)]


class Said(Silent):
    """A report that keeps its last line."""

    line = ""

    def summary(self, message: str) -> None:
        self.line = message


def names(path: Path) -> list[str]:
    with jsonl.open_input(path) as stream:
        return [record["id"] for record in jsonl.read_lines(stream, path.name)]


def test_every_record_is_in_one_share_and_every_problem_whole(tmp_path: Path) -> None:
    val, test, said = tmp_path / "val.jsonl", tmp_path / "a=b.jsonl.gz", Said()
    left = list(split.run(RECORDS, share=(f"{val}=0.2", f"{test}=0.1"), report=said))
    parts = [names(val), names(test), [record["id"] for record in left]]
    assert sorted(name for part in parts for name in part) == sorted(record["id"] for record in RECORDS)
    problems = [{name.partition("#")[0] for name in part} for part in parts]
    assert sum(map(len, problems)) == 500
    for found, wanted in zip(problems, (100, 50, 350), strict=True):
        assert len(found) == pytest.approx(wanted, abs=5 * (500 * 0.25) ** 0.5 / 2)
    assert [record for record in RECORDS if record["id"] in set(parts[2])] == left
    counts = [
        f"{len(part)} of 2000 ({len(found)} problems)" for part, found in zip(parts, problems, strict=True)
    ]
    assert said.line == f"{val} {counts[0]}, {test} {counts[1]}, rest {counts[2]}"


def test_the_seed_and_the_problem_alone_decide(tmp_path: Path) -> None:
    """Not the order, not what else is there; a greater share has all of a smaller one."""

    def taken(records: list[Record], size: float, seed: int = 0) -> set[str]:
        path = tmp_path / "val.jsonl"
        list(split.run(records, share=(f"{path}={size}",), seed=seed))
        return set(names(path))

    shuffled = random.Random(0).sample(RECORDS, len(RECORDS))
    whole = taken(RECORDS, 0.1)
    assert taken(shuffled, 0.1) == whole
    assert taken(RECORDS[:800], 0.1) == {r["id"] for r in RECORDS[:800]} & whole
    assert whole < taken(RECORDS, 0.3)
    assert taken(RECORDS, 0.1, seed=1) != whole
    first = sorted({int(name[1:].partition("#")[0]) for name in whole})[:5]
    assert first == [2, 14, 19, 31, 41]  # on any machine, in any version


def test_shares_that_are_one_leave_no_rest(tmp_path: Path) -> None:
    shares = tuple(f"{tmp_path / str(k)}=0.1" for k in range(10))
    assert list(split.run(RECORDS, share=shares)) == []
    assert sum(len(names(tmp_path / str(k))) for k in range(10)) == 2000


@pytest.mark.parametrize("share", [("a=0",), ("a=1.5",), ("a",), ("=0.5",), ("a=x",), ("a=0.6", "b=0.6"), ()])
def test_shares_that_make_no_sense_are_refused(share: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--share"):
        list(split.run(RECORDS, share=share))


def test_nothing_appears_where_the_input_breaks_off(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'id' is missing"):
        list(split.run([*RECORDS, Record(text="no id")], share=(f"{tmp_path / 'val'}=0.5",)))
    assert list(tmp_path.iterdir()) == []
