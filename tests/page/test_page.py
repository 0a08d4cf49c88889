"""`report --html`: one file that shows what runs and records hold, whatever is in their texts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import eval as evaluation
from stages import report
from stages.page import traces
from stages.page.document import PLOTTING, SCRIPTS, encoded
from stages.page.evaluations import TOLD
from stages.page.traces import Drawn
from stages.page.write import page as page_of
from stages.records import jsonl
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import SILENT

ASSETS = Path(report.__file__).parent / "page" / "assets"
VOID = {"meta", "input", "link", "br"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u202eabc\x1b[31m<!--"
# What is shown of it: marks that turn text, and control characters, are written out.
SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")


def lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def rollout(problem: str, sample: int, right: float | None, **fields: Any) -> dict[str, Any]:
    """A judged completion."""
    return {
        "id": f"{problem}#{sample}", "group": problem, "prompt": "1+1?", "answer": "2",
        "completion": f"<think>one and one is {sample}</think>so {sample}", "finish": "stop",
        "rewards": {"accuracy": right, "format": 1.0}, "reward": None if right is None else right + 1,
        "reasons": {"accuracy": f"last '{sample}' against '2'"}, "meta": {"grpo": {"step": 1}}, **fields,
    }  # fmt: skip


def trained(folder: Path, *rewards: float, options: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A run of grpo; without options it is unfinished."""
    steps = [
        {"step": k, "loss": 0.5, "reward": reward, "step_time": 3.0, "time/generate": 2.0, "time/learn": 0.5,
         "num_tokens": 100, "total_flos": 10 * k, **fields}
        for k, reward in enumerate(rewards, 1)
    ]  # fmt: skip
    lines(folder / "metrics.jsonl", steps)
    if options is not None:
        (folder / "r1.json").write_text(json.dumps({"stage": "grpo", "options": options}))
    return folder


def made(tmp_path: Path, *paths: Path, **options: Any) -> str:
    """The page of runs and files."""
    page = tmp_path / "page.html"
    report.run(paths, html=page, **options)
    return page.read_text("utf-8")


def data(page: str, kind: str) -> Any:
    """The first value of a kind that stands in the page."""
    found = re.search(f'<script type="application/json" class="{kind}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


class Elements(HTMLParser):
    """Those of a page, each closed where it must be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        if self.open and self.open[-1] in ("style", "script") and "type" not in attributes:
            assert tag == self.open[-1]
            self.code.append(text)


def test_the_page_is_well_formed_and_its_policy_lets_its_own_code_run_alone(tmp_path: Path) -> None:
    page = made(tmp_path, trained(tmp_path / "zero", 0.5, options={}))
    elements = Elements(page)
    assert elements.open == []
    assert [tag for tag, _ in elements.found].count("script") == len(SCRIPTS) + 1 + 2  # uPlot; two of data
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    wanted = {
        f"'sha256-{base64.b64encode(hashlib.sha256(c.encode()).digest()).decode()}'" for c in elements.code
    }
    assert set(re.findall(r"'sha256-[^']+'", policy)) == wanted
    assert "unsafe" not in policy


def test_the_page_names_no_host_and_carries_the_licence_of_what_it_contains(tmp_path: Path) -> None:
    page = made(tmp_path, trained(tmp_path / "zero", 0.5))
    assert re.findall(r"(?:https?|wss?|ftp):|[\"'(]//\w", page) == []
    assert not {"src", "href"} & {
        name for tag, attributes in Elements(page).found if tag != "a" for name in attributes
    }
    licence = (ASSETS / PLOTTING[2]).read_text()
    assert licence.strip() in page


def test_own_scripts_put_nothing_into_the_page_as_markup() -> None:
    assert {path.name for path in ASSETS.glob("*.js")} == set(SCRIPTS)
    for path in ASSETS.glob("*.js"):
        code = path.read_text("utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(", code
        )


def test_hostile_texts_stand_in_the_page_as_text(tmp_path: Path) -> None:
    run = trained(tmp_path / HOSTILE.replace("/", "∕"), 0.5, options={HOSTILE: HOSTILE}, **{HOSTILE: 1.0})
    record = rollout("p", 1, 0.0, completion=HOSTILE, prompt=HOSTILE, answer=HOSTILE, finish=HOSTILE)
    record |= {"reasons": {"accuracy": HOSTILE}, "kind": HOSTILE, "rewards": {HOSTILE: 1.0}}
    lines(run / "rollouts" / "step_000001.jsonl", [record])
    page = made(tmp_path, run, lines(tmp_path / "figures.jsonl", [{"pass@1": 1.0, "model": HOSTILE}]))
    elements = Elements(page)
    assert elements.open == []
    assert "img" not in {tag for tag, _ in elements.found}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", page)
    overview, index = data(page, "overview"), data(page, "traces")
    assert overview["runs"][0]["name"] == SHOWN.replace("/", "∕")
    assert overview["runs"][0]["options"][SHOWN] == SHOWN
    assert SHOWN in overview["runs"][0]["metrics"]
    assert overview["evaluations"][0]["model"] == SHOWN
    assert index["problems"] == [{"name": "p", "prompt": SHOWN, "reference": SHOWN}]
    assert SHOWN in index["words"]
    assert list(index["rewards"]) == [SHOWN]
    assert data(page, "texts")[0][1] == SHOWN


def test_json_in_the_page_is_the_value_that_was_given() -> None:
    value = {"<a>&": ["</script>", "é\u202e\u2028", 0.1, None]}
    assert json.loads(encoded(value)) == value
    assert not set("<>&\u202e\u2028") & set(encoded(value).decode())


def test_runs_are_told_beside_each_other(tmp_path: Path) -> None:
    one = trained(tmp_path / "one", 0.25, 0.5, options={"steps": 2, "objective": {"beta": 0.1}})
    two = trained(tmp_path / "two", 0.5, options={"steps": 1, "objective": {"beta": 0.1}})
    runs = data(made(tmp_path, one, two), "overview")["runs"]
    assert [(run["name"], run["stage"], run["finished"]) for run in runs] == [
        ("one", "grpo", True), ("two", "grpo", True),
    ]  # fmt: skip
    assert (runs[0]["steps"], runs[0]["metrics"]["reward"]) == ([1, 2], [0.25, 0.5])
    assert [run["options"]["objective.beta"] for run in runs] == ["0.1", "0.1"]
    assert [run["options"]["steps"] for run in runs] == ["2", "1"]


def test_cost_is_added_up_by_what_the_time_went_to(tmp_path: Path) -> None:
    overview = data(made(tmp_path, trained(tmp_path / "zero", 0.5, 0.5), price_hour=2.5), "overview")
    assert overview["price_hour"] == 2.5
    (run,) = overview["runs"]
    # Two steps of 3 s: 2 s and 0.5 s of each are told, half a second is not.
    assert run["cost"]["seconds"] == {"generate": 4.0, "learn": 1.0, "other": 1.0}
    assert (run["cost"]["tokens"], run["cost"]["flos"]) == (200, 20)
    assert run["cost"]["paid"] == 6


def test_what_the_guards_watch_is_told_with_its_steps(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero", 0.5, options={"objective": {"ref_reset": 2}, "logp_diff_limit": 0.1})
    cuts = [0.1, 0.5, 0.9, 0.2]
    steps = [
        {"step": k, "loss": 0.0, "completions/clipped_ratio": cut, "sampling/logp_gap_mean": 0.05 * k,
         "frac_reward_zero_std": 1.0 if k == 4 else 0.5, "completions/unjudged": 0}
        for k, cut in enumerate(cuts, 1)
    ]  # fmt: skip
    lines(run / "metrics.jsonl", steps)
    lines(
        run / "eval.jsonl",
        [{"step": k, "name": "held", "pass@1": p, "decides": "accuracy"} for k, p in ((0, 0.1), (4, 0.3))],
    )
    events = data(made(tmp_path, run), "overview")["runs"][0]["events"]
    told = [(each["from"], each["to"], each["what"]) for each in events]
    assert told == [
        (2, 2, "the policy becomes the reference"),
        (2, 3, "half of the completions or more are cut off"),
        (3, 4, "sampler and trainer differ by more than 0.1"),
        (4, 4, "no group's rewards differ: nothing is learned"),
        (4, 4, "the best evaluation"),
        (4, 4, "the policy becomes the reference"),
    ]


def test_a_run_that_is_being_written_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero.partial", 0.5, 0.75)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step":3,"loss":0.1,"rew')
    (shown,) = data(made(tmp_path, run), "overview")["runs"]
    assert (shown["steps"], shown["finished"], shown["options"]) == ([1, 2], False, {})


def test_options_of_a_run_that_goes_on_are_those_of_a_checkpoint_it_has_kept(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero.partial", 0.5)
    lines(run / "best" / "r1.json", [{"stage": "grpo", "options": {"steps": 9}}])
    (shown,) = data(made(tmp_path, run), "overview")["runs"]
    assert (shown["finished"], shown["stage"], shown["options"]) == (False, "grpo", {"steps": "9"})


def test_the_funnel_counts_what_became_of_completions(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero", 0.5)
    records = [
        rollout("a", 0, 1.0, advantage=0.7), rollout("a", 1, 0.0, advantage=-0.7),
        rollout("b", 0, 0.0, advantage=0.0), rollout("b", 1, None, advantage=0.0),
    ]  # fmt: skip
    records[3]["reasons"]["accuracy"] = "timed out after 3 s"
    lines(run / "rollouts" / "step_000001.jsonl", records)
    (source,) = data(made(tmp_path, run), "overview")["sources"]
    names = ("problems", "records", "generated", "scored", "judged", "correct", "advantages", "taught")
    assert [source[name] for name in names] == [2, 4, 4, 4, 3, 1, 4, 2]
    assert source["reasons"]["wrong"] == [{"why": "last … against …", "count": 2, "example": "a#1"}]
    assert source["reasons"]["unjudged"] == [{"why": "timed out after … s", "count": 1, "example": "b#1"}]


def test_traces_of_a_distillation_say_what_was_kept(tmp_path: Path) -> None:
    run = trained(tmp_path / "student", 0.5)
    lines(run / "traces" / "completions.jsonl", [rollout("a", 0, 1.0), rollout("a", 1, 0.0)])
    source = data(made(tmp_path, run), "overview")["sources"][0]
    assert (source["name"], source["generated"], source.get("dropped")) == ("student: traces", 2, None)
    lines(run / "traces" / "kept.jsonl", [rollout("a", 0, 1.0)])
    lines(run / "traces" / "rejected.jsonl", [rollout("a", 1, 0.0, dropped="incorrect: accuracy 0")])
    source = data(made(tmp_path, run), "overview")["sources"][0]
    assert (source["generated"], source["kept"], source["dropped"]) == (2, 1, 1)
    assert source["reasons"]["dropped"] == [{"why": "incorrect", "count": 1, "example": "a#1"}]


def test_completions_are_columns_with_their_texts_apart(tmp_path: Path) -> None:
    first = rollout("a", 0, 1.0, advantage=0.5, completion_ids=[1, 2, 3], logprobs=[0.0] * 3)
    second = {"id": "b#0", "prompt": "2+2?", "completion": "four, I think", "dropped": "length"}
    page = made(tmp_path, lines(tmp_path / "scored.jsonl", [first, second]))
    index, texts = data(page, "traces"), data(page, "texts")
    columns, words = index["columns"], index["words"]
    assert index["count"] == 2
    assert columns["id"] == ["a#0", "b#0"]
    assert (columns["step"], columns["reward"], columns["advantage"]) == ([1, None], [2, None], [0.5, None])
    assert columns["tokens"] == [3, None]
    assert [words[k] for k in columns["language"]] == ["en", "en"]
    assert words[columns["dropped"][1]] == "length"
    assert index["rewards"] == {"accuracy": [1, None], "format": [1, None]}
    assert words[index["reasons"]["accuracy"][0]] == "last '0' against '2'"
    assert texts[0][:4] == ["one and one is 0", "so 0", "", ""]
    assert texts[1] == [None, "four, I think", "", "open", None]
    assert words[texts[0][4]] == "no tokenizer.json in any folder"
    assert [words[k] if k is not None else None for k in columns["verdict"]] == ["correct", None]
    assert "logprobs" not in str(index)


def bytewise(folder: Path) -> Any:
    """A tokenizer of single bytes, which the folder then has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(
        models.BPE({letter: k for k, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, [])
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    return made


def warm(tokenizer: Any, problem: str, text: str) -> dict[str, Any]:
    """A rollout with log-probabilities. The policy has each a tenth higher than the sampler, but for the
    first, which was not drawn.
    """
    ids = tokenizer.encode(text).ids
    drawn = [None, *(-0.25 * (k % 60) for k in range(1, len(ids)))]
    kept = [-1.0, *(value + 0.1 for value in drawn[1:] if value is not None)]
    tokens = {"completion_ids": ids, "logprobs": drawn, "policy_logprobs": kept}
    return rollout(problem, 0, 0.0, completion=text, advantage=-0.5, **tokens)


def unpacked(text: str, width: int) -> list[int]:
    """Numbers that so many characters say each."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = [text[k : k + width] for k in range(0, len(text), width)]
    return [sum(letters.index(c) * 64 ** (width - 1 - at) for at, c in enumerate(part)) for part in parts]


def test_tokens_are_told_with_their_log_probability_and_ratio(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero", 0.5)
    record = warm(bytewise(run), "p", HOSTILE + " é")
    lines(run / "rollouts" / "step_000001.jsonl", [record])
    page = made(tmp_path, run)
    index, texts = data(page, "traces"), data(page, "texts")
    assert "img" not in {tag for tag, _ in Elements(page).found}
    pieces, logprobs, ratios = texts[0][4]
    told = [index["pieces"][number] for number in unpacked(pieces, 3)]
    assert "".join(told) == SHOWN + " é"
    assert told[-2:] == ["", "é"]  # its second byte ends it
    assert unpacked(logprobs, 2) == [4095, *(50 * (k % 60) for k in range(1, len(told)))]
    assert unpacked(ratios, 2) == [4095, *[2147] * (len(told) - 1)]
    known = [value for value in record["logprobs"] if value is not None]
    assert index["columns"]["logprob"] == [pytest.approx(sum(known) / len(known), rel=1e-5)]
    assert index["columns"]["ratio"] == [pytest.approx(math.exp(0.1), rel=1e-5)]


def test_where_tokens_cannot_be_told_the_page_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = bytewise(tmp_path / "model")
    held = {"meta": {"generate": {"model": str(tmp_path / "model")}}}
    other = warm(tokenizer, "a", "other") | held | {"completion": "than that"}
    many = [warm(tokenizer, f"p{k}", "x" * 40) | held for k in range(4)]
    monkeypatch.setattr(traces, "TOKENS", 100)
    page = made(tmp_path, lines(tmp_path / "scored.jsonl", [*many, other]), completions=5)
    index, texts = data(page, "traces"), data(page, "texts")
    whys = [index["words"][text[4]] if isinstance(text[4], int) else "" for text in texts]
    assert whys[-1].endswith("tokenizer.json reads another text from the ids") or whys[-1] == traces.BEYOND
    assert sorted(whys[:-1])[2:] == [traces.BEYOND] * 2
    assert whys.count("") == 2
    (tmp_path / "model" / "tokenizer.json").write_text("{")
    monkeypatch.setattr(traces, "TOKENS", 1000)
    page = made(tmp_path, tmp_path / "scored.jsonl")
    assert any("tokenizer.json: " in word for word in data(page, "traces")["words"])
    gone = other | {"meta": {"generate": {"model": "m" * 5000}}}
    page = made(tmp_path, lines(tmp_path / "gone.jsonl", [gone]))
    assert any(word.startswith("no tokenizer.json in mmm") for word in data(page, "traces")["words"])


def test_of_two_rewards_that_are_shown_alike_the_first_counts(tmp_path: Path) -> None:
    both = rollout("p", 0, 1.0, rewards={"a\u202e": 0.0, "a\\u202e": 1.0})
    other = rollout("p", 1, 1.0, rewards={"a\\u202e": 0.5})
    page = made(tmp_path, lines(tmp_path / "scored.jsonl", [both, other]))
    assert data(page, "traces")["rewards"] == {"a\\u202e": [0.0, 0.5]}


def test_the_last_line_says_how_many_completions_the_page_has(tmp_path: Path) -> None:
    records = [rollout(f"p{k // 2}", k % 2, 1.0) for k in range(4)]
    target, file = tmp_path / "page.html", lines(tmp_path / "scored.jsonl", records)
    for most, said in (
        (4, "4 completions"),
        (2, "2 of 4 completions, drawn by whole problems"),
    ):
        assert page_of(target, [], [("scored", file)], most, SILENT) == f"{target} with {said}"


def evaluated(path: Path, model: str, right: int, problems: int = 12, **generate: Any) -> Path:
    """Scored completions of a benchmark, four of each problem: `right` correct ones, in others fewer."""
    made = {"prompts": {"source": "sums", "split": "test"}, "generate": {"model": model, **generate}}
    records = [
        rollout(f"q{p}", s, float(s < right - p % 3), prompt=f"{p}?", meta=made)
        for p in range(problems)
        for s in range(4)
    ]
    return lines(path, records)


def test_completions_are_measured_as_r1_eval_does(tmp_path: Path) -> None:
    one = evaluated(tmp_path / "one.jsonl", "ckpt/one", 1, thinking_tokens=10)
    two = evaluated(tmp_path / "two.jsonl", "ckpt/two", 3, thinking_tokens=20)
    three = evaluated(tmp_path / "three.jsonl", "ckpt/three", 4, problems=9, thinking_tokens=30)
    told = data(made(tmp_path, one, two, three), "overview")
    assert [row["source"] for row in told["evaluations"]] == ["one.jsonl", "two.jsonl", "three.jsonl"]
    assert [group["against"] for group in told["differences"]] == ["one.jsonl", "two.jsonl", "three.jsonl"]
    records = [record for path in (one, two, three) for record in jsonl.read_file(path)]
    settings = evaluation.Settings(against=str(one), curves=tmp_path / "curves.jsonl", decide=("accuracy",))
    result = [line for line in evaluation.run(records, settings).records if "against" in line]
    shown = told["differences"][0]["rows"]
    assert [row["label"] for row in shown] == ["two.jsonl", "three.jsonl"]
    for row, line in zip(shown, result, strict=True):
        assert {name: row[name] for name in TOLD} == {name: line[name] for name in TOLD}
    assert shown[1]["left"] == "3 only in the baseline"
    given = lines(tmp_path / "figures.jsonl", result)
    again = data(made(tmp_path, given, tmp_path / "curves.jsonl", two, three), "overview")
    (group,) = [each for each in again["differences"] if each["against"] == "one (figures.jsonl)"]
    assert [{name: row[name] for name in TOLD} for row in group["rows"]] == [
        {name: row[name] for name in TOLD} for row in shown
    ]
    samples = {each["label"]: each for each in again["samples"]}
    assert list(samples) == ["two (curves.jsonl)", "three (curves.jsonl)"]
    (same,) = [each for each in told["samples"] if each["label"] == "two.jsonl"]
    assert (same["k"], same["pass@k"]) == ([1, 2, 3, 4], samples["two (curves.jsonl)"]["pass@k"])
    assert [each["thinking_tokens"] for each in told["budgets"]] == [[10], [20], [30]]
    assert len(again["budgets"]) == 2


def test_curves_of_lengths_and_of_rows_that_differ_in_their_settings_are_shown(tmp_path: Path) -> None:
    both = [
        record
        for shots, right in ((0, 4), (2, 1))
        for record in jsonl.read_file(evaluated(tmp_path / f"{shots}.jsonl", "m", right, shots=shots))
    ]
    for k, record in enumerate(both):
        record["meta"]["generate"]["tokens"] = 1 + k % 5
    path = tmp_path / "curves.jsonl"
    rows = evaluation.run(both, evaluation.Settings(curves=path, decide=("accuracy",))).records
    told = data(made(tmp_path, path), "overview")
    names = ["m (curves.jsonl)", "m (curves.jsonl), no. 2"]
    for kind, field in (("samples", "pass@k"), ("lengths", "correct")):
        assert [each["label"] for each in told[kind]] == names, kind
        assert told[kind][0][field] != told[kind][1][field]
    assert [each["pass@k"][0] for each in told["samples"]] == pytest.approx(
        [row["pass@1"] for row in rows], abs=1e-6
    )
    (length, _) = told["lengths"]
    assert (length["unit"], length["mean_length"]) == ("tokens", [1, 2, 3, 4, 5])
    assert sum(length["completions"]) == len(both) / 2
    own = data(made(tmp_path, tmp_path / "0.jsonl"), "overview")
    assert [(each["label"], each["unit"]) for each in own["lengths"]] == []  # all are of one length


def test_what_cannot_be_measured_is_told(tmp_path: Path) -> None:
    double = lines(tmp_path / "double.jsonl", [rollout("p", 0, 1.0), rollout("p", 0, 1.0)])
    told = data(made(tmp_path, double), "overview")
    assert told["evaluations"] == told["differences"] == []
    (note,) = told["unmeasured"]
    assert note.startswith("double.jsonl is not measured: ")
    assert "came before" in note


def test_a_whole_number_of_more_than_64_bits_is_shown_as_a_float(tmp_path: Path) -> None:
    record = rollout("a", 0, float(10**30)) | {"reward": 10**30}
    index = data(made(tmp_path, lines(tmp_path / "scored.jsonl", [record])), "traces")
    assert index["columns"]["reward"] == index["rewards"]["accuracy"] == [1e30]


def test_of_more_completions_than_fit_whole_problems_are_drawn_the_same_of_each_source() -> None:
    drawn = Drawn(40)
    for source in (0, 1):
        for problem in range(30):
            for sample in range(4):
                drawn.add(source, Record(rollout(f"p{problem}", sample, 1.0)))
    kept = drawn.records()
    assert (drawn.seen, drawn.held) == (240, len(kept) == 40 and 40)
    names = [{each.record["group"] for each in kept if each.source == number} for number in (0, 1)]
    assert names[0] == names[1]
    assert len(names[0]) == 5
    assert [each.source for each in kept] == [0] * 20 + [1] * 20


def test_a_single_problem_of_more_completions_than_fit_is_cut() -> None:
    drawn = Drawn(3)
    for sample in range(5):
        drawn.add(0, Record(rollout("p", sample, 1.0)))
    assert [each.record["id"] for each in drawn.records()] == ["p#0", "p#1", "p#2"]
    none = Drawn(0)
    none.add(0, Record(rollout("p", 0, 1.0)))
    assert (none.seen, none.records()) == (1, [])


def test_the_page_is_small_beside_its_texts(tmp_path: Path) -> None:
    records = [rollout(f"p{k // 8}", k % 8, float(k % 2)) for k in range(1000)]
    size = len(made(tmp_path, lines(tmp_path / "scored.jsonl", records)))
    texts = sum(len(each["completion"] + each["prompt"] + each["answer"]) for each in records)
    bare = len(made(tmp_path, trained(tmp_path / "zero", 0.5)))
    assert bare < 160_000
    assert (size - texts - bare) / 1000 < 250  # bytes of a completion: 5 MB of 20,000


def test_what_cannot_be_shown_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    run = trained(tmp_path / "zero", 0.5)
    with pytest.raises(BadInput, match=r"metrics of a run.*give the directory"):
        made(tmp_path, run / "metrics.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"id":"a#0","prompt":"x","completion":"y"}\n{"id"\n')
    with pytest.raises(BadInput, match=r"broken\.jsonl:2: not JSON"):
        made(tmp_path, broken)
    with pytest.raises(BadInput, match=r"no metrics\.jsonl"):
        made(tmp_path, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="each run by itself"):
        made(tmp_path, run, over_seeds=True)
    with pytest.raises(BadInput, match="add --html FILE"):
        report.run((broken,))
    assert not (tmp_path / "page.html").exists()


def test_of_files_alone_there_is_no_table_of_runs(tmp_path: Path, r1: R1) -> None:
    file = lines(tmp_path / "scored.jsonl", [rollout("p", 0, 1.0)])
    done = r1("report", file, "--html", tmp_path / "page.html")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"report: 0 runs, {tmp_path / 'page.html'} with 1 completions\n"


def test_the_same_input_makes_the_same_page(tmp_path: Path) -> None:
    file = lines(tmp_path / "scored.jsonl", [rollout(f"p{k}", 0, 1.0) for k in range(20)])
    assert made(tmp_path, file, completions=5) == made(tmp_path, file, completions=5)
