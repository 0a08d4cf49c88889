"""`r1 eval --against`: which rows are compared, what is left out, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, Heard

from stages.eval import Settings, run
from stages.evaluation.comparison.paired import Counted, difference
from stages.records.jsonl import encode
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.settings.groups import Engine


def scored(model: str, rates: dict[str, str], benchmark: str = "gsm8k", **settings: Any) -> list[Record]:
    """Completions of problems; of each a 1 or 0 for each of its samples, `-` where it was not judged."""
    return [
        Record(
            id=f"{name}#{k}",
            group=name,
            sample=k,
            prompt=settings.get("prompt", "?"),
            completion="x",
            rewards={"accuracy": None if mark == "-" else float(mark)},
            meta={
                "prompts": {"source": benchmark, "split": "test"},
                "generate": {"model": model, "revision": "r", **settings},
            },
        )
        for name, marks in rates.items()
        for k, mark in enumerate(marks)
    ]


def compared(records: list[Record], against: str, heard: Heard | None = None) -> list[dict[str, Any]]:
    """The lines of comparison among the results."""
    found = run(records, Settings(against=against), report=heard or Heard())
    return [line for line in found.records if "against" in line]


BASE = {"a": "1100", "b": "0000", "c": "1000", "d": "11"}


def test_the_difference_of_two_models_by_hand() -> None:
    """a: +1/2, b: 0, c: +1/4 and d: -1/2, so 1/16 on average."""
    records = [*scored("ckpt/base", BASE), *scored("sft", {"a": "1111", "b": "0000", "c": "1100", "d": "10"})]
    (line,) = compared(records, "base")
    assert (line["model"], line["against"], line["benchmark"]) == ("sft", "ckpt/base", "gsm8k")
    assert line["difference"] == pytest.approx(1 / 16)
    assert line["pass@1"] - line["against_pass@1"] == pytest.approx(line["difference"])
    assert (line["problems"], line["problems_better"], line["problems_worse"]) == (4, 2, 1)
    assert line["difference_low"] < 0 < line["difference_high"]
    assert line["p"] == line["p_holm"]


def test_what_both_do_not_have_is_left_out_and_said() -> None:
    heard = Heard()
    base = [*scored("base", {**BASE, "u": "--"}), *scored("base", {"e": "1"}, prompt="new?")]
    here = scored("sft", {**BASE, "e": "1", "u": "1", "x": "1", "y": "0"})
    for record in (*base, *here):
        del record["meta"]["generate"]["revision"]
        record["meta"]["generate"].pop("prompt", None)
    (line,) = compared([*base, *here], "base", heard)
    assert line["problems"] == 4
    assert line["problems_only_here"] == 2
    assert (line["problems_changed"], line["problems_unjudged"], line["problems_only_against"]) == (1, 1, 0)
    said = "problems left out: 2 only here, 1 with another prompt or answer, 1 that could not be judged"
    assert f"sft on gsm8k against base: {said}" in heard.said


def test_each_benchmark_is_compared_and_the_p_values_are_corrected_together() -> None:
    records = []
    for benchmark in ("gsm8k", "math500"):
        names = [f"{benchmark}-{k}" for k in range(12)]
        records += scored("base", dict.fromkeys(names, "10"), benchmark)
        records += scored("sft", {name: "11" if k > 3 else "10" for k, name in enumerate(names)}, benchmark)
    lines = compared(records, "base")
    assert [line["benchmark"] for line in lines] == ["gsm8k", "math500"]
    assert [line["p_holm"] / line["p"] for line in lines] == pytest.approx([2, 2])
    assert {line["comparisons"] for line in lines} == {2}


def test_the_row_with_the_nearest_settings_is_the_one_to_compare_with() -> None:
    heard = Heard()
    cold, warm = scored("base", BASE, temperature=0.0), scored("base", {"a": "1", "b": "1"}, temperature=0.6)
    (line,) = compared([*cold, *warm, *scored("sft", BASE, temperature=0.6, top_p=0.9)], "base", heard)
    assert (line["problems"], line["settings_unlike"]) == (2, ["top_p"])
    assert "sft on gsm8k against base: settings differ in top_p" in heard.said
    lines = compared([*cold, *warm, *scored("sft", BASE, temperature=1.0)], "base", heard)
    assert lines == []
    assert any("2 rows of the baseline are as near (temperature)" in said for said in heard.said)


def test_nothing_in_common_is_a_failure_after_the_figures() -> None:
    found = run([*scored("base", {"a": "1"}), *scored("sft", {"b": "1"})], Settings(against="base"))
    assert [line["pass@1"] for line in found.records] == [1.0, 1.0]
    assert found.failure == "nothing could be compared with base"
    other = run([*scored("base", {"a": "1"}, "x"), *scored("sft", {"a": "1"}, "y")], Settings(against="base"))
    assert other.failure == "nothing could be compared with base"


def test_a_single_problem_has_a_difference_and_no_interval() -> None:
    (line,) = compared([*scored("base", {"a": "10"}), *scored("sft", {"a": "11"})], "base")
    assert (line["difference"], line["p"], line["p_holm"], line["difference_low"]) == (0.5, None, None, None)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--against nobody: no such file, and no such model among base"):
        run(scored("base", BASE), Settings(against="nobody"))
    with pytest.raises(UsageError, match="with -m, name one of scored records"):
        run([], Settings(model="echo", against="base"))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two files of the same model name: only the file says which is which."""
    one, two = tmp_path / "A.jsonl", tmp_path / "B.jsonl"
    one.write_bytes(b"".join(map(encode, scored("m", BASE))))
    two.write_bytes(b"".join(map(encode, scored("m", {**BASE, "b": "1111"}))))
    return one, two


def test_a_file_is_the_baseline_whether_it_is_among_those_given_or_not(
    r1: R1, files: tuple[Path, Path]
) -> None:
    one, two = files
    said = []
    for given in ([one, two], [two, one], [two]):
        done = r1("eval", *given, "--against", one)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["pass@1"] for line in lines if "against" not in line].count(0.4375) == 1
        said.append(lines[-1])
        assert b"Differences of pass@1" in done.stderr
    assert said[0] == said[1] == said[2]
    assert said[0]["difference"] == 0.25


def test_a_file_without_a_record_is_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    empty = tmp_path / "none.jsonl"
    empty.write_text("")
    with pytest.raises(BadInput, match="no completions to compare with"):
        run(scored("m", BASE), Settings(against=str(empty)))


def test_a_model_is_sampled_and_compared_with_a_file(tmp_path: Path) -> None:
    problems = tmp_path / "four.jsonl"
    rows = [{"prompt": f"Is it so that the answer is {n}", "answer": str(min(n, 3))} for n in (1, 2, 3, 4)]
    problems.write_bytes(b"".join(encode(row) for row in rows))
    save = tmp_path / "base.jsonl"
    asked = Settings(model="echo", benchmark=(str(problems),), samples=2, engine=Engine(backend="echo"))
    run(settings=Settings(**{**vars(asked), "save": save}))
    found = run(settings=Settings(**{**vars(asked), "against": str(save)}))
    (line,) = [line for line in found.records if "against" in line]
    assert (line["difference"], line["problems"], line["settings_unlike"]) == (0, 4, [])


def test_rows_are_compared_by_protocol_and_seed_and_settings_of_a_benchmark_part_rows() -> None:
    def of(model: str, seed: int, protocol: str, shots: int, right: int) -> list[Record]:
        said = {"source": "gsm8k", "protocol": protocol, "settings": {"shots": shots, "limit": seed}}
        meta = {"prompts": said, "generate": {"model": model, "seed": seed}}
        given = {"prompt": "?", "completion": "7", "answer": "7", "meta": meta}
        return [
            Record(given, id=f"{k}#0", group=str(k), rewards={"accuracy": float(k < right)}) for k in range(4)
        ]

    sets = [
        (seed, protocol, shots) for seed in (0, 1) for protocol in ("paper", "official") for shots in (0, 5)
    ]
    records = [record for k, each in enumerate(sets) for record in of("one", *each, right=k % 4)]
    records += [record for k, each in enumerate(sets) for record in of("two", *each, right=k % 4)]
    lines = [each for each in run(records, Settings(against="one")).records if "difference" in each]
    assert [(line["difference"], line["settings_unlike"]) for line in lines] == [(0, [])] * 4
    assert [(line["seeds"], line["against_seeds"], line["comparisons"]) for line in lines] == [
        ([0, 1], [0, 1], 4)
    ] * 4
    (once,) = [
        each for each in run(records[-4:] + records[:32], Settings(against="one")).records if "p" in each
    ]
    assert (once["seeds"], once["against_seeds"]) == ([1], [0, 1])


def test_runs_that_differ_in_the_seed_alone_are_one_test_by_problem() -> None:
    """Of each run a, b, c and d: 1, 1, 0, 0 against 0, 0, 0, 0; then 1, 0, 1, 0 and 0, 1, 0, 0. Together the
    rates are 1, 1/2, 1/2, 0 less 0, 1/2, 0, 0.
    """
    here = ({"a": "1", "b": "1", "c": "0", "d": "0"}, {"a": "1", "b": "0", "c": "1", "d": "0"})
    base = (dict.fromkeys("abcd", "0"), {**dict.fromkeys("abcd", "0"), "b": "1"})
    records = [
        record
        for model, runs in (("sft", here), ("base", base))
        for seed, rates in enumerate(runs)
        for record in scored(model, rates, seed=seed, temperature=1.0)
    ]
    (line,) = compared(records, "base")
    assert (line["problems"], line["comparisons"], line["seeds"]) == (4, 1, [0, 1])
    assert (line["pass@1"], line["against_pass@1"], line["difference"]) == (0.5, 0.125, 0.375)
    assert (line["problems_better"], line["problems_worse"]) == (2, 0)
    assert line["p"] == line["p_holm"]
    alone = difference([(Counted(2, n), Counted(2, m)) for n, m in ((2, 0), (1, 1), (1, 0), (0, 0))])
    assert (line["difference_low"], line["difference_high"], line["p"]) == alone[1:4]


def test_runs_that_nothing_was_drawn_in_are_one_run() -> None:
    def lines(*seeds: int) -> dict[str, Any]:
        records = [
            record
            for model, rates in (("base", "0011"), ("sft", "0111"))
            for seed in seeds
            for record in scored(model, dict(zip("abcd", rates, strict=True)), seed=seed, temperature=0.0)
        ]
        (line,) = compared(records, "base")
        return {key: value for key, value in line.items() if "seeds" not in key}

    assert lines(0, 1, 2) == lines(0)


def test_seeds_that_made_other_problems_stay_apart() -> None:
    records = [
        record
        for model in ("base", "sft")
        for seed, names in enumerate(("ab", "cd"))
        for record in scored(model, dict.fromkeys(names, "1"), seed=seed)
    ]
    assert [(line["seeds"], line["problems"]) for line in compared(records, "base")] == [([0], 2), ([1], 2)]
