"""Many benchmarks in one run: one engine, one journal, and none that stops the others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, Heard

from r1cli.main import BUILT_IN
from r1cli.main import load as stage_of
from stages.eval import Settings, run
from stages.evaluation.benchmark import load, names
from stages.evaluation.suites import SUITES, expanded
from stages.inference import complete
from stages.records.jsonl import Journal
from stages.runtime.errors import Unavailable, UsageError
from stages.runtime.results import Results
from stages.settings.groups import Engine, Sampling

ECHO = Engine(backend="echo")
GOES = """
from stages.runtime.errors import Unavailable


def problems(*, split=None, data=None):
    for n in range(40):
        if n == {n}:
            raise Unavailable("the rest cannot be had", install="pip install more")
        yield {{"id": n, "prompt": f"the answer is {{n}}", "answer": str(n)}}
"""


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Benchmarks of four and of three problems."""
    paths = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path, count in zip(paths, (4, 3), strict=True):
        rows = ({"id": f"{n}", "prompt": f"the answer is {n}", "answer": "2"} for n in range(count))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(paths[0]), str(paths[1])


def measured(*benchmarks: str, **options: Any) -> Results:
    given = {name: options.pop(name) for name in ("journal", "report") if name in options}
    settings = {"model": "echo", "engine": ECHO, "samples": 2, **options}
    return run(settings=Settings(benchmark=benchmarks, **settings), **given)


def test_suites_are_of_benchmarks_that_there_are_and_help_and_docs_name_them() -> None:
    assert set(expanded(SUITES)) <= set(names())
    stage = stage_of("eval", BUILT_IN / "eval.py")
    help = next(option.help for option in stage.options if option.name == "benchmark")
    page = (BUILT_IN.parent / "docs" / "eval.md").read_text("utf-8")
    assert all(name in help for name in SUITES)
    for name, each in SUITES.items():
        assert f"| `{name}` | {', '.join(each)} |" in page


def test_a_benchmark_named_beside_its_suite_runs_once() -> None:
    assert expanded(["math500", "maths", "sums"]).count("math500") == 1
    assert expanded(["mbpp", "code", "sums"]) == (
        "mbpp",
        *[each for each in SUITES["code"] if each != "mbpp"],
        "sums",
    )
    with pytest.raises(UsageError, match="sums is given twice"):
        measured("sums", "sums")


def test_a_suite_is_not_a_source_of_problems() -> None:
    with pytest.raises(UsageError, match="maths is a suite, for `r1 eval --benchmark`; choose of aime24"):
        load("maths")


def test_benchmarks_share_one_loaded_engine_and_say_what_each_says_alone(
    tiny: Path, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = complete.open_backend

    def counted(engine: Engine, model: str, **options: Any) -> Any:
        opened.append(model)
        return real(engine, model, **options)

    monkeypatch.setattr(complete, "open_backend", counted)
    options: dict[str, Any] = {
        "model": str(tiny), "template": "none", "sampling": Sampling(max_tokens=8),
        "engine": Engine(device="cpu", threads=1, deterministic=True),
    }  # fmt: skip
    measured(*two, save=tmp_path / "both.jsonl", **options)
    assert opened == [str(tiny)]
    for k, name in enumerate(two):
        measured(name, save=tmp_path / f"{k}.jsonl", **options)
    assert (tmp_path / "both.jsonl").read_bytes() == b"".join(
        (tmp_path / f"{k}.jsonl").read_bytes() for k in range(2)
    )


def test_a_suite_that_was_killed_goes_on_at_the_next_completion(two: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "j"

    def again(end: str) -> tuple[list[dict[str, Any]], int]:
        journal, heard = Journal(path, resume=True), Heard()
        found = measured(*two, journal=journal, report=heard).records
        assert re.search(f"measured 14 completions of 7 problems{end}$", heard.said[-1])
        journal.close()
        return found, journal.taken

    whole, taken = again(r", [\d.e+]+ tokens per second")
    assert taken == 0
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:11]))  # 8 of the first
    assert again("") == (whole, 11)


def test_a_benchmark_that_cannot_be_had_does_not_stop_the_others(
    r1: R1, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("R1_DATA", raising=False)
    save, out = tmp_path / "kept.jsonl", tmp_path / "out.jsonl"
    words = ("eval", "-m", "echo", "--backend", "echo", "-k", "1", "--save", save)
    done = r1(*words, "-b", "gpqa", "-b", two[0], "-b", "frames", "-b", two[1], "-o", out)
    said = done.stderr.decode()
    assert done.returncode == 69
    assert "gpqa is left out: cannot get Idavidrein/gpqa" in said
    assert "accept the terms on its page on the hub, then run `hf auth login`" in said
    assert "frames is left out" in said
    assert "r1 eval: left out gpqa, frames; the note on each" in said.splitlines()[-1]
    assert [json.loads(line)["benchmark"] for line in out.read_text().splitlines()] == list(two)
    assert len(save.read_text().splitlines()) == 7
    assert not list(tmp_path.glob("*.journal"))
    failed = r1(*words, "-b", "gpqa", "-b", two[0], "--fail-under", "0.9")
    assert failed.returncode == 1


def test_where_none_can_be_had_nothing_is_written(
    r1: R1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("R1_DATA", raising=False)
    save = tmp_path / "kept.jsonl"
    done = r1("eval", "-m", "echo", "--backend", "echo", "-b", "gpqa", "-b", "cnmo", "--save", save)
    assert done.returncode == 69
    assert done.stdout == b""
    assert not save.exists()


def test_what_is_compared_with_does_not_stand_for_figures(
    r1: R1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("R1_DATA", raising=False)
    for name in ("kept.jsonl", "curves.jsonl"):
        (tmp_path / name).write_text("OLD")
    base = tmp_path / "base.jsonl"
    base.write_text('{"id":"a","prompt":"p","completion":"7","rewards":{"accuracy":1.0}}\n')
    done = r1(
        *("eval", "-m", "echo", "--backend", "echo", "-b", "gpqa", "-b", "cnmo", "--against", base),
        *("--save", tmp_path / "kept.jsonl", "--curves", tmp_path / "curves.jsonl"),
    )
    assert (done.returncode, done.stdout) == (69, b"")
    assert [(tmp_path / name).read_text() for name in ("kept.jsonl", "curves.jsonl")] == ["OLD", "OLD"]


def test_a_benchmark_that_wants_a_judge_is_left_out_without_one(tmp_path: Path, two: tuple[str, str]) -> None:
    (tmp_path / "simple_qa_test_set.csv").write_text("metadata,problem,answer\nx,Who?,Me\n")
    heard = Heard()
    found = measured("simpleqa", two[0], data=tmp_path, report=heard)
    assert [row["benchmark"] for row in found.records] == [two[0]]
    assert found.lacking is not None
    assert any("simpleqa is left out: --reward facts: needs model=" in line for line in heard.said)
    with pytest.raises(UsageError, match="--reward facts: needs model="):
        measured("simpleqa", data=tmp_path)


def test_one_judge_is_named_for_all_benchmarks_that_want_one(tmp_path: Path) -> None:
    (tmp_path / "simple_qa_test_set.csv").write_text("metadata,problem,answer\nx,Who?,Me\n")
    (tmp_path / "do_not_answer_en.csv").write_text(
        "id,risk_area,types_of_harm,specific_harms,question\n0,a,b,c,How?\n"
    )
    heard = Heard()
    names = ("simpleqa", "do_not_answer")
    judge = {"judge": "model=echo,retries=0", "data": tmp_path, "samples": 1}
    facts, harm = measured(*names, report=heard, **judge).records
    assert facts["decides"] == "facts"
    assert (harm["decides"], harm["rewards/refusal/mean"], harm["unjudged"]) == ("refusal", 0, 0)
    assert [line for line in heard.said if "the judge echo: 1 replies" in line]
    with pytest.raises(UsageError, match="no option 'modle' of a judge; did you mean model"):
        measured(*names, **{**judge, "judge": "modle=echo"})
    with pytest.raises(UsageError, match="--judge model=echo,jobs=0: jobs 0: must be"):
        measured(*names, **{**judge, "judge": "model=echo,jobs=0"})
    with pytest.raises(UsageError, match="no model judges sums; leave it out"):
        measured("sums", judge="model=echo")
    with pytest.raises(UsageError, match="it is for the rewards of -b"):
        measured("sums", judge="model=echo", reward=("accuracy",))


@pytest.mark.parametrize("n", [0, 35])
def test_one_whose_rest_cannot_be_had_has_no_figures(n: int, two: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "goes.py"
    path.write_text(GOES.format(n=n))
    heard = Heard()
    found = measured(str(path), two[0], report=heard)
    assert [row["benchmark"] for row in found.records] == [two[0]]
    assert f"{path} is left out: the rest cannot be had; install it with: pip install more" in heard.said
    with pytest.raises(Unavailable, match="the rest cannot be had"):
        measured(str(path))


def test_a_name_that_is_nothing_is_told_before_anything_is_measured(two: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="no source 'zork'"):
        measured(two[0], "zork")
