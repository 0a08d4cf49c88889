"""What stands beside pass@1: its spread over seeds, what it cost, and how much of it a training file has."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard

from stages.eval import Settings, run
from stages.evaluation.seeds import spread
from stages.formats.written_table import FORMS, latex, markdown
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.selection.decontamination import repeated
from stages.settings.groups import Engine, Sampling

LONG = "A farmer has {} hens and sells half of their eggs each day at the market for two dollars apiece"


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    rows = [{"id": str(n), "prompt": LONG.format(n * 111), "answer": "111"} for n in (1, 2, 3, 4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def measured(path: Path, report: Report = SILENT, **options: Any) -> Results:
    own = Settings(model="echo", engine=Engine(backend="echo"), benchmark=(str(path),), samples=2, **options)
    return run(settings=own, report=report)


def test_runs_with_other_seeds_are_rows_and_a_line_of_their_spread(problems: Path) -> None:
    made = measured(problems, repeats=3, seed=5)
    *rows, line = made.records
    assert [row["settings"]["seed"] for row in rows] == [5, 6, 7]
    assert len({row["digest"] for row in rows}) == 1
    assert (line["spread"], line["runs"], line["seeds"]) == ("seed", 3, [5, 6, 7])
    assert line["pass@1_each"] == [row["pass@1"] for row in rows]
    assert [table.title for table in made.further] == ["Spread over seeds"]
    rows = [{**rows[0], "settings": {"seed": k}, "pass@1": k / 10} for k in (1, 2, 3)]
    (line,) = spread([*rows, {**rows[0], "benchmark": "other"}])
    assert line["pass@1"] == pytest.approx(0.2)
    assert line["pass@1_sd"] == pytest.approx(0.1)
    assert line["pass@1_high"] - 0.2 == pytest.approx(4.3026527 * 0.1 / 3**0.5)
    measured(problems, heard := Heard(), repeats=2, sampling=Sampling(temperature=0.0))
    assert f"{problems}: at temperature 0 all 2 runs are alike" in heard.said
    with pytest.raises(UsageError, match="--repeats 2 asks a benchmark again"):
        run(settings=Settings(repeats=2))


def test_tokens_are_counted_and_have_a_price(problems: Path) -> None:
    (row,) = measured(problems).records
    assert row["tokens_in"] > row["problems"]
    assert row["tokens_out"] == row["completions/mean_length"] * row["completions"]
    assert "cost" not in row
    assert "seconds" not in row
    made = measured(problems, price="0.5, 2", timing=True)
    (row,) = made.records
    assert row["cost"] == pytest.approx((row["tokens_in"] * 0.5 + row["tokens_out"] * 2) / 1e6)
    assert row["price"] == [0.5, 2.0]
    assert row["tokens_per_second"] == pytest.approx(row["tokens_out"] / row["seconds"])
    assert [table.title for table in made.further] == ["What it cost"]
    for wrong, said in (
        ("1", "two numbers"),
        ("1,x", "a number"),
        ("1,-2", "at least 0"),
        ("1,2,3", "two n"),
    ):
        with pytest.raises(UsageError, match=said):
            measured(problems, price=wrong)


def test_problems_that_a_training_file_has_are_told_apart(problems: Path, tmp_path: Path) -> None:
    seen = tmp_path / "train.jsonl"
    turns = [{"role": "user", "content": "Solve it. " + LONG.format(111) + "!"}]
    rows = [{"messages": [*turns, {"role": "assistant", "content": "222"}]}, {"problem": LONG.format(444)}]
    rows += [{"prompt": "Quite another problem, which has nothing of them"}]
    seen.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = measured(problems, contamination=seen)
    (row,) = made.records
    assert (row["contaminated"], row["contamination"]) == (2, 0.5)
    assert row["pass@1"] == (row["pass@1_contaminated"] + row["pass@1_clean"]) / 2
    assert row["pass@1_contaminated"] != row["pass@1_clean"]
    assert row["pass@1_clean_low"] <= row["pass@1_clean"] <= row["pass@1_clean_high"]
    assert [table.rows[0][2] for table in made.further] == ["2 of 4"]
    with pytest.raises(UsageError, match="no such file"):
        measured(problems, contamination=tmp_path / "none.jsonl")
    twins = ["What is 7 + 2 of the sum?", "what is 7 - 2 of the sum", "What is 8 + 2 of the sum?"]
    seen.write_text(json.dumps({"prompt": "Tell: " + twins[0]}) + "\n")
    assert repeated(twins, str(seen)) == {*twins[:2]}
    with pytest.raises(UsageError, match="a directory: name a file in it"):
        measured(problems, contamination=tmp_path)
    seen.write_text("")
    with pytest.raises(BadInput, match="no training data in it"):
        measured(problems, contamination=seen)
    seen.write_text('{"x": 1}\n')
    with pytest.raises(BadInput, match=r"train.jsonl:1: no problem in it"):
        measured(problems, contamination=seen)


def test_a_table_is_written_for_papers_and_model_cards(problems: Path, tmp_path: Path) -> None:
    names = ["t.md", "t.tex", "t.csv", "t.yaml"]
    for name in names:
        (row,) = measured(problems, table=tmp_path / name).records
    markdown, latex, separated, card = ((tmp_path / name).read_text("utf-8") for name in names)
    assert markdown.splitlines()[0].startswith("| benchmark | model | pass@1 | 95 % |")
    assert markdown.splitlines()[2].startswith(f"| {problems} | echo |")
    assert r"benchmark & model & pass@1 & 95 \% &" in latex
    assert latex.endswith("\\bottomrule\n\\end{tabular}\n")
    (line,) = csv.DictReader(separated.splitlines())
    assert float(line["pass@1"]) == row["pass@1"]
    hub = pytest.importorskip("huggingface_hub")
    (result, *_) = hub.ModelCard(f"---\n{card}---\n").data.eval_results
    assert (result.metric_type, result.metric_value) == ("pass@1", row["pass@1"])
    with pytest.raises(UsageError, match=r"name a file that ends in .md, .tex, .csv, .yaml"):
        measured(problems, table=tmp_path / "t.txt")


def test_names_mean_nothing_to_the_form_of_a_table_and_models_of_one_name_stay_apart() -> None:
    hostile = "a\\|b\n`*_x_[y]<b>&\x85\u2028\x7f😀{é}"
    rows = [
        {"model": f"{folder}/{hostile}", "benchmark": hostile, "protocol": protocol, "pass@1": 0.5,
         "settings": {"seed": 3}}
        for folder, protocol in (("one", "paper"), ("two", "official"))
    ]  # fmt: skip
    made = Results(rows, "", ["model"], [[hostile], ["[x]"], ["*y"]], None)
    first = markdown(made).splitlines()[2]
    assert first == "| a\\\\\\|b \\`\\*\\_x\\_\\[y\\]\\<b>\\& \x7f😀{é} |"
    assert latex(made).splitlines()[5:7] == [r"{[}x{]} \\", r"{*}y \\"]
    yaml = pytest.importorskip("yaml")
    index = yaml.safe_load(FORMS[".yaml"](made))["model-index"]
    assert [each["name"] for each in index] == [row["model"] for row in rows]
    assert [each["results"][0]["dataset"]["args"] for each in index] == [
        {"protocol": "paper", "seed": 3},
        {"protocol": "official", "seed": 3},
    ]
