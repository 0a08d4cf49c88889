"""A mixture has exact counts, takes no record twice unasked, and is the same for the same seed."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import mix
from stages.records import ordering
from stages.records.groups import groups
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, StreamError, UsageError


def file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return file(tmp_path / "a.jsonl", [{"id": f"a{k}", "prompt": str(k)} for k in range(60)])


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return file(tmp_path / "b.jsonl", [{"id": f"b{k}", "prompt": str(k)} for k in range(10)])


def mixed(*files: str, **options: Any) -> list[Record]:
    return list(mix.run(files, **options))


def counts(records: list[Record]) -> Counter[str]:
    return Counter(record["id"][0] for record in records)


def test_counts_are_the_shares_to_the_record(a: Path, b: Path) -> None:
    said = Heard()
    assert counts(mixed(f"{a}=3", f"{b}=1", report=said)) == {"a": 30, "b": 10}
    assert said.said == [f"40 records: {a} 30 of 60, {b} 10 of 10"]
    assert counts(mixed(f"{a}=0.1", f"{b}=0.2", count=9)) == {"a": 3, "b": 6}
    assert counts(mixed(f"{a}=1", f"{b}=1", count=7)) == {"a": 4, "b": 3}  # what is left goes to the first


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fractions(min_value=1e-6, max_value=1000), min_size=1, max_size=6), st.integers(1, 10**6))
def test_counts_add_up_and_are_next_to_the_share(weights: list[Any], total: int) -> None:
    made = mix._counts(weights, total)
    assert sum(made) == total
    assert all(abs(many - total * w / sum(weights)) < 1 for many, w in zip(made, weights, strict=True))


def test_no_record_is_taken_twice_unless_that_is_asked_for(a: Path, b: Path) -> None:
    whole = [record["id"] for record in mixed(f"{a}=6", f"{b}=1")]
    assert len(set(whole)) == len(whole) == 70
    with pytest.raises(UsageError, match=r"b\.jsonl has 10 records, and 25 of it are wanted; give --repeat"):
        mixed(f"{a}=1", f"{b}=1", count=50)
    said = Heard()
    made = mixed(f"{a}=1", f"{b}=1", count=50, repeat=True, report=said)
    times = Counter(record["prompt"] for record in made if record["id"].startswith("b"))
    assert sorted(times.values()) == [2] * 5 + [3] * 5
    assert said.said[-1] == f"50 records: {a} 25 of 60, {b} 25 of 10; 15 of them repeated"
    assert len({record["id"] for record in made}) == 50  # a copy has a name of its own
    first = [record["prompt"] for record in made if record["id"].startswith("b")]
    assert first[:10] != first[10:20]  # each turn in an order of its own
    with pytest.raises(UsageError, match="--repeat needs -n"):
        mixed(f"{a}=1", repeat=True)


def test_the_seed_decides_and_every_place_is_as_likely(a: Path, b: Path) -> None:
    files = f"{a}=1", f"{b}=1"
    assert mixed(*files) == mixed(*files)
    assert mixed(*files, seed=1) != mixed(*files)
    places = [0] * 20
    for seed in range(400):
        for place, record in enumerate(mixed(*files, seed=seed)):
            places[place] += record["id"].startswith("b")
    assert all(abs(found - 200) < 50 for found in places)  # five standard deviations
    assert [record["id"] for record in mixed(*files)][:4] == [
        "b2",
        "b5",
        "a11",
        "a51",
    ]  # on any machine, in any version


def test_memory_is_bounded_and_changes_nothing(
    a: Path, b: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Any] = []
    whole = mixed(f"{a}=1", f"{b}=1", count=80, repeat=True)
    plain = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **where: made.append(plain(**where)) or made[-1])
    monkeypatch.setattr(ordering, "BESIDES", 1 << 18)  # a record counts as a quarter of a MiB
    assert mixed(f"{a}=1", f"{b}=1", count=80, repeat=True, memory=1) == whole
    assert len(made) > 20
    assert all(file.closed for file in made[:5])
    monkeypatch.setattr(tempfile, "TemporaryFile", plain)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(StreamError, match=r"cannot write to .*set TMPDIR"):
        mixed(f"{a}=1", f"{b}=1", memory=1)


def test_a_problem_of_two_files_gets_two_names(tmp_path: Path) -> None:
    """Its completions stay one group in each, and nothing is lost of what stands in the records."""
    rows = [{"id": f"p{k}#{j}", "group": f"p{k}", "completion": "x"} for k in range(3) for j in range(2)]
    one = file(tmp_path / "one.jsonl", rows)
    two = file(tmp_path / "two.v1.jsonl", [*rows[:4], {"id": "q", "prompt": "x"}, {"text": "no id"}])
    said = Heard()
    made = mixed(f"{one}=1", f"{two}=1", report=said)
    assert len({json.dumps(record) for record in made}) == 12
    by_name = sorted(made, key=lambda record: str(record.get("group")))
    sizes = [len(batch) for batch in groups(record for record in by_name if "group" in record)]
    assert sizes == [2] * 5
    renamed = {record["id"] for record in made if "@" in record.get("id", "")}
    assert len(renamed) == 4
    assert all(name.endswith(("@one#0", "@one#1", "@two#0", "@two#1")) for name in renamed)
    assert said.said[0].startswith("4 records of problems that another file")


def test_rows_of_other_programs_and_packed_files_are_read(r1: Any, tmp_path: Path, a: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]}] * 3
    packed = tmp_path / "trl.jsonl.gz"
    assert r1("mix", f"{file(tmp_path / 'trl.jsonl', rows)}=1", "-o", packed).returncode == 0
    done = r1("mix", f"{packed}=1", "/dev/stdin=2", "-n", "6", "-o", tmp_path / "m.jsonl", stdin=a.open())
    assert done.returncode == 0, done.stderr
    made = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert len(made) == 6
    assert sum(record.get("completion") == "2" for record in made) == 2


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        (["A"], UsageError, "must be FILE=WEIGHT"),
        (["A="], UsageError, "must be FILE=WEIGHT"),
        (["=1"], UsageError, "must be FILE=WEIGHT"),
        (["A=0"], UsageError, "a weight above 0"),
        (["A=-1"], UsageError, "a weight above 0"),
        (["A=nan"], UsageError, "a weight above 0"),
        (["A=1e999999999"], UsageError, "a weight above 0"),
        (["A=1", "A=2"], UsageError, "is given twice; add up its weights"),
        (["A=1", "no.jsonl=1"], StreamError, "cannot read no.jsonl: no such file"),
        (["A=1", "EMPTY=1"], BadInput, "no records to mix; leave the file out"),
        (["A=1", "BROKEN=1"], BadInput, "not JSON"),
    ],
)
def test_what_is_no_mixture_is_refused(
    tmp_path: Path, a: Path, files: list[str], error: type[R1Error], said: str
) -> None:
    file(tmp_path / "empty.jsonl", [])
    (tmp_path / "broken.jsonl").write_text('{"id":1}\n{bad\n')
    names = {"A": a, "EMPTY": tmp_path / "empty.jsonl", "BROKEN": tmp_path / "broken.jsonl"}
    given = [
        "=".join([str(names.get(name, name)), *rest]) for name, *rest in (text.split("=") for text in files)
    ]
    with pytest.raises(error, match=said):
        mixed(*given)
