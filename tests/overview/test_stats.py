"""`r1 stats`: shares, quantiles and histograms of any field, in bounded memory."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, peak_of
from hypothesis import given, settings
from hypothesis import strategies as some

from stages import stats
from stages.overview import distribution, fields
from stages.overview.distribution import QUANTILES, Distribution
from stages.overview.pass_rates import PassRates
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError


def scored(k: int, reward: float | None, file: str = "in.jsonl", **more: Any) -> Record:
    fields = {
        "id": f"p{k // 4}#{k % 4}", "prompt": "1+2=?", "completion": "<think>We add.</think>3",
        "finish": "stop" if reward else "length", "rewards": {"accuracy": reward}, "reward": reward,
        "reasons": {"accuracy": f"last '{k}' is not '3' (exact)"}, "meta": {"generate": {"tokens": k}},
    }  # fmt: skip
    return Record({**fields, **more}, place=f"{file}:{k + 1}")


def counted(*records: Record, **options: Any) -> dict[Any, dict[str, Any]]:
    """The lines by field, or by field and what else tells them apart."""
    lines = stats.run(records, stats.Settings(**options)).records
    keys = [tuple(line[key] for key in ("field", "file", "by") if key in line) for line in lines]
    assert len(set(keys)) == len(lines)
    return {key if len(key) > 1 else key[0]: line for key, line in zip(keys, lines, strict=True)}


def test_the_usual_fields_are_counted_without_being_asked_for() -> None:
    batch = [scored(k, [1.0, 0.0, None, 1.0][k % 4], flag=k < 3, note="x", extra={"a": 1}) for k in range(8)]
    found = counted(*batch, Record({"id": "new", "dropped": "short: 3 is below 9"}, place="in.jsonl:9"))
    assert list(found) == [
        "finish", "rewards.accuracy", "reward", "reasons.accuracy", "flag", "tokens", "characters", "dropped",
        "pass_rate",
    ]  # fmt: skip
    assert found["finish"]["values"] == {"stop": 4, "length": 4}
    assert found["flag"]["values"] == {"false": 5, "true": 3}
    assert found["dropped"]["values"] == {"short": 1}
    assert found["reasons.accuracy"]["values"] == {"last … is not … (exact)": 8}
    reward = found["reward"]
    shares = {name: reward[name] for name in ("records", "missing", "numbers", "texts", "null", "mean")}
    assert shares == {"records": 9, "missing": 1, "numbers": 6, "texts": 0, "null": 2, "mean": 4 / 6}
    assert reward["quantiles"] == {"0.05": 0.0, "0.25": 0.0, "0.5": 1.0, "0.75": 1.0, "0.95": 1.0}
    assert reward["histogram"] == [[0.0, 0.0, 2], [1.0, 1.0, 4]]
    assert reward["exact"] is True
    assert (found["tokens"]["min"], found["tokens"]["max"]) == (0, 7)
    assert found["pass_rate"] | {"mean": 2 / 3, "numbers": 2, "std": 0.0} == found["pass_rate"]


def test_fields_that_are_asked_for_are_the_only_ones() -> None:
    batch = [scored(k, 1.0, list=[1] * k, deep={"a": {"b": k}, "c": "d"}) for k in range(4)]
    found = counted(*batch, field=("deep", "list", "thinking", "language", "pass_rate"))
    assert list(found) == ["deep.a.b", "deep.c", "list", "thinking", "language", "pass_rate"]
    assert found["list"]["mean"] == 1.5
    assert found["thinking"]["max"] == 7
    assert found["language"]["values"] == {"en": 4}
    assert list(counted(*batch, field=("deep.a.b",))) == ["deep.a.b"]
    assert counted(scored(0, 1.0, tokens="mine"), field=("tokens",))["tokens"]["values"] == {"mine": 1}


def test_files_and_groups_stand_beside_each_other() -> None:
    batch = [scored(k, float(k % 2), f"{'ab'[k // 4]}.jsonl") for k in range(8)]
    found = counted(*batch, field=("reward",), by="finish")
    assert [(*key[1:], line["records"], line["mean"]) for key, line in found.items()] == [
        ("a.jsonl", "length", 2, 0.0), ("a.jsonl", "stop", 2, 1.0),
        ("b.jsonl", "length", 2, 0.0), ("b.jsonl", "stop", 2, 1.0),
    ]  # fmt: skip
    results = stats.run(batch, stats.Settings(by="meta.generate.tokens", field=("reward", "finish")))
    assert results.columns[:3] == ["field", "file", "by"]
    assert len(results.rows) == 16
    assert list(
        counted(scored(0, 1.0), Record({"id": "x"}, place="in.jsonl:2"), by="reward", field=("reward",))
    ) == [("reward", 1.0)]


def test_the_table_shows_bars_and_shares() -> None:
    batch = [scored(k, float(k % 3)) for k in range(9)]
    results = stats.run(batch, stats.Settings(field=("reward", "finish")))
    assert results.columns == ["field", "count", "mean", "min", "5 %", "median", "95 %", "max", "values"]
    assert results.rows == [
        ["reward", "9", "1", "0", "0", "1", "2", "2", "███"],
        ["finish", "9", "", "", "", "", "", "", "stop 66.7 %, length 33.3 %"],
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"field": ("rewrad",)}, "--field rewrad: no record has that field; did you mean reward"),
        ({"field": ("reward.",)}, "must be the name of a field"),
        ({"by": ""}, "must be the name of a field"),
        ({"by": "zork"}, "--by zork: no record has that field"),
        ({"field": ("pass_rate",), "reward_name": ("zork",)}, "no record has a reward zork"),
    ],
)
def test_what_is_not_there_is_an_error(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        counted(scored(0, 1.0), **options)


def test_groups_that_are_no_values_or_too_many_are_errors() -> None:
    with pytest.raises(BadInput, match=r"in\.jsonl:1: field 'rewards' is an object; give --by"):
        counted(scored(0, 1.0), by="rewards")
    with pytest.raises(UsageError, match="more than 1000 distributions"):
        counted(*(scored(k, 1.0) for k in range(2000)), by="id")
    with pytest.raises(BadInput, match="reward 'accuracy' is a string"):
        counted(scored(0, 1.0, rewards={"accuracy": "x"}))


def filled(values: Sequence[Any]) -> dict[str, Any]:
    made = Distribution()
    for value in values:
        made.add(value)
    return made.figures()


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@settings(max_examples=60, deadline=None)
@given(some.lists(some.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
def test_few_numbers_are_counted_exactly(values: list[float]) -> None:
    told = filled(values)
    assert told["exact"] is True
    assert list(told["quantiles"].values()) == [quantile(values, share) for share in QUANTILES]
    assert (told["min"], told["max"]) == (min(values), max(values))
    assert sum(bar[2] for bar in told["histogram"]) == told["numbers"] == len(values)
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("kind", ["uniform", "normal", "lognormal", "tiny"])
def test_many_numbers_keep_the_error_that_is_promised(kind: str) -> None:
    drawn = random.Random(kind)
    draws = {
        "uniform": drawn.random, "normal": lambda: drawn.gauss(0, 5),
        "lognormal": lambda: drawn.lognormvariate(5, 2), "tiny": lambda: drawn.random() * 1e-300,
    }  # fmt: skip
    values = [draws[kind]() for _ in range(20_000)]
    told = filled(values)
    assert told["exact"] is False
    for share, found in zip(QUANTILES, told["quantiles"].values(), strict=True):
        right = quantile(values, share)
        assert abs(found - right) <= 1.0001 * distribution.ERROR * abs(right)
    mean = math.fsum(values) / len(values)
    assert told["mean"] == pytest.approx(mean, rel=1e-9)
    assert told["std"] == pytest.approx(
        math.sqrt(math.fsum((v - mean) ** 2 for v in values) / 20_000), rel=1e-6
    )
    assert (told["min"], told["max"]) == (min(values), max(values))
    assert sum(bar[2] for bar in told["histogram"]) == 20_000


def test_numbers_of_any_size_and_texts_of_any_number_end_as_json() -> None:
    huge = [10**400, -(10**400), 1e308, -1e308, 0, 5e-324, -0.0]
    for values in (huge, [*huge, *range(3000)], [1e308] * 9, [*(k * 1e305 for k in range(-1700, 1700))]):
        json.dumps(filled(values), allow_nan=False)
    told = filled([*(str(k) for k in range(1000)), "1" * 1000, True, None, [1, 2], *["a"] * 5])
    assert (told["texts"], told["null"], told["numbers"]) == (1007, 1, 1)
    assert told["others"] == 1007 - sum(told["values"].values())
    assert len(told["values"]) == distribution.SHOWN


def test_a_problem_whose_records_stand_apart_is_one() -> None:
    rates = PassRates()
    for name, right in (("a", True), ("b", False), ("a", False), ("c", True), ("b", False)):
        rates.add(name, right)
    told = rates.distribution().figures()
    assert told["histogram"] == [[0.0, 0.0, 1], [0.5, 0.5, 1], [1.0, 1.0, 1]]
    assert PassRates().distribution().figures()["numbers"] == 0


def test_what_a_reason_says_of_its_own_is_left_out() -> None:
    said = dict(fields.leaves("reasons", {"a": "length 12.5 of -3", "b": "got \"x\" not 'y'", "c": None}))
    assert said == {"reasons.a": "length … of …", "reasons.b": "got … not …", "reasons.c": None}


def test_lines_go_to_stdout_and_the_table_to_stderr(r1: R1, tmp_path: Path) -> None:
    for name in "ab":
        lines = (json.dumps(scored(k, float(k % 2))) + "\n" for k in range(4))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    done = r1("stats", "--field", "reward", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(Path(each["file"]).name, each["mean"]) for each in found] == [("a.jsonl", 0.5), ("b.jsonl", 0.5)]
    text = done.stderr.decode()
    assert "Fields of records\nfield" in text
    assert text.endswith("stats: 8 records, 1 fields\n")
    assert r1("stats", input=b"").stdout == b""
    bad = r1("stats", input=b'{"id":"a","prompt":"x"}\n{bad\n')
    assert (bad.returncode, bad.stdout) == (65, b"")
    assert b"stdin:2: not JSON" in bad.stderr


@pytest.mark.full
def test_memory_does_not_grow_with_the_file(command: list[str], tmp_path: Path) -> None:
    used = []
    for count in (2_000, 200_000):
        path = tmp_path / f"{count}.jsonl"
        drawn = random.Random(0)
        with open(path, "w") as stream:
            for k in range(count):
                fields = scored(k, float(k % 3 == 0), format=drawn.random(), note=str(drawn.random()))
                stream.write(json.dumps(fields) + "\n")
        used.append(peak_of(command, "stats", path))
    assert used[1] < used[0] + 10
    assert used[1] < 100
