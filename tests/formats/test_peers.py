"""What `export` writes is read by the programs it is for, and what they write is read here.

A program that is not installed is skipped with its name; its folder on PYTHONPATH is enough.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.formats.export import FORMS, exported
from stages.formats.rows import Reader, records_of
from stages.formats.tables import read_rows, write_parquet
from stages.records import jsonl
from stages.records.record import Record

pytestmark = pytest.mark.full
SYSTEM = {"role": "system", "content": "Be brief."}
MADE = [
    Record(id="a#0", group="a", prompt="1+1?", answer="2", completion="It is \\boxed{2}.", finish="stop"),
    Record(id="a#1", group="a", prompt="1+1?", answer="2", completion="\\boxed{3}", finish="length"),
    Record(id="b#0", group="b", prompt="1+2?", answer="3", completion="\\boxed{3}", finish="stop"),
]
TALK = Record(
    id="c#0", answer="2", completion="2",
    prompt=[SYSTEM, {"role": "user", "content": "1+0?"}, {"role": "assistant", "content": "1"},
            {"role": "user", "content": "and 1 more?"}],
)  # fmt: skip


def rows(form: str, records: Sequence[Record] = MADE) -> list[Record]:
    return list(exported(records, form, "m"))


def back(made: Sequence[dict[str, Any]], **options: Any) -> list[Record]:
    return list(records_of(map(Record, made), stem="x", **options))


@pytest.mark.parametrize("form", [*(form for form in FORMS if form != "swe-bench"), "open-r1"])
def test_datasets_loads_each_form_from_lines_and_parquet(form: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = rows(form)
    jsonl.write(tmp_path / "a.jsonl", made)
    write_parquet(tmp_path / "a.parquet", made)
    for kind, name in (("json", "a.jsonl"), ("parquet", "a.parquet")):
        files = str(tmp_path / name)
        loaded = datasets.load_dataset(
            kind, data_files=files, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert loaded.num_rows == len(made)
        again = back([dict(row) for row in loaded])
        assert [record["prompt"] for record in again] == [record["prompt"] for record in back(made)]


def test_trl_takes_the_rows_for_what_they_are() -> None:
    trl = pytest.importorskip("trl.data_utils")
    rewards = pytest.importorskip("trl.rewards")
    talk = Record(id="d", prompt=[{"role": "user", "content": "1+1?"}], answer="2", completion="2")
    assert not trl.is_conversational(rows("prompt-completion")[0])
    for form in ("messages", "prompt-completion", "prompt"):
        assert trl.is_conversational(rows(form, [talk])[0])
    (chatml,) = (trl.maybe_convert_to_chatml(dict(row)) for row in rows("sharegpt", [TALK]))
    turns = rows("messages", [TALK])[0]["messages"]
    assert [turn["content"] for turn in chatml["messages"]] == [turn["content"] for turn in turns]
    said = [[{"role": "assistant", "content": record["completion"]}] for record in MADE]
    solution = {row["id"]: row["solution"] for row in rows("prompt")}
    found = rewards.accuracy_reward(said, [solution[record["group"]] for record in MADE])
    assert found == [1.0, 0.0, 1.0]


def test_preferences_are_split_as_trl_splits_them() -> None:
    trl = pytest.importorskip("trl.data_utils")
    turns = [SYSTEM, {"role": "user", "content": "1+1?"}]
    pair = {
        key: [*turns, {"role": "assistant", "content": text}]
        for key, text in (("chosen", "2"), ("rejected", "3"))
    }
    (record,) = back([pair])
    assert {key: record[key] for key in ("prompt", "chosen", "rejected")} == trl.extract_prompt(pair)


def test_math500_as_trl_judges_it(data: Path) -> None:
    """The references that are written score 1 by TRL's own reward, as they do by ours."""
    rewards = pytest.importorskip("trl.rewards")
    problems = list(records_of(read_rows(str(data / "math/math500.jsonl")), stem="m"))[:40]
    made = rows("prompt", problems)
    said = [[{"role": "assistant", "content": f"\\boxed{{{problem['answer']}}}"}] for problem in problems]
    found = rewards.accuracy_reward(said, [row["solution"] for row in made])
    assert [value for value in found if value is not None].count(1.0) >= 39
    assert [record["answer"] for record in back(made)] == [problem["answer"] for problem in problems]


def test_openai_takes_the_requests_and_its_answers_are_joined() -> None:
    openai = pytest.importorskip("openai")
    from openai.types.chat import ChatCompletion
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from pydantic import TypeAdapter

    requests = rows("openai-batch")
    messages = [{"role": "assistant", "content": f"\\boxed{{{k}}}"} for k in (2, 3)]
    choices = [{"index": k, "finish_reason": "stop", "message": each} for k, each in enumerate(messages)]
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
    assert openai.__version__
    for request in requests:
        TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(request["body"])
    answer = ChatCompletion.model_validate(body).model_dump()
    lines = [
        {"id": "o", "custom_id": request["custom_id"], "error": None,
         "response": {"status_code": 200, "request_id": "r", "body": answer}}
        for request in requests
    ]  # fmt: skip
    failed = {"id": "o", "custom_id": "b", "response": None, "error": {"code": "x", "message": "y"}}
    reader = Reader(requests={record["group"]: record for record in back_problems()})
    joined = back([*lines, failed], reader=reader)
    assert [(r["id"], r["answer"], r["completion"]) for r in joined] == [
        ("a#0", "2", "\\boxed{2}"), ("a#1", "2", "\\boxed{3}"),
        ("b#0", "3", "\\boxed{2}"), ("b#1", "3", "\\boxed{3}"),
    ]  # fmt: skip
    assert [count for count, _ in reader.notes.found.values()] == [1]


def back_problems() -> list[Record]:
    """The problems of the completions above, under their names."""
    return [
        Record(id=name, group=name, prompt=p, answer=a)
        for name, p, a in (("a", "1+1?", "2"), ("b", "1+2?", "3"))
    ]


def test_vllms_batch_runner_reads_the_requests_and_is_read() -> None:
    runner = pytest.importorskip("vllm.entrypoints.launchers.run_batch")
    (first, _) = [
        runner.BatchRequestInput.model_validate_json(jsonl.encode(row)) for row in rows("openai-batch")
    ]
    assert (first.custom_id, first.body.messages[0]["content"]) == ("a", "1+1?")
    message = {"role": "assistant", "content": "\\boxed{2}", "reasoning": "One and one."}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    response = {"status_code": 200, "request_id": "r", "body": body}
    answered = runner.BatchRequestOutput.model_validate(
        {"id": "v", "custom_id": "a", "response": response, "error": None}
    )
    line = json.loads(answered.model_dump_json())
    (record,) = back([line], reader=Reader(requests={r["id"]: r for r in back_problems()}))
    assert record["completion"] == [
        {"role": "assistant", "content": "\\boxed{2}", "reasoning_content": "One and one."}
    ]
    assert record["meta"]["generate"] == {"model": "m", "tokens": 5, "prompt_tokens": 3}


def test_lm_evals_samples_are_read(tmp_path: Path) -> None:
    tracker = pytest.importorskip("lm_eval.loggers.evaluation_tracker").EvaluationTracker(str(tmp_path))
    tracker.general_config_tracker.model_name_sanitized = "m"
    tracker.date_id = "now"
    sample = {
        "doc": {"question": "1+1?"}, "target": "One and one.\n#### 2",
        "arguments": [("Question: 1+1?", {"until": []})], "resps": [["#### 2", "#### 3"]],
        "metrics": ["exact_match"],
    }  # fmt: skip
    logged = [
        {**sample, "doc_id": n, "filter": name, "filtered_resps": ["2"], "exact_match": 1.0}
        for n in range(2) for name in ("strict-match", "flexible-extract")
    ]  # fmt: skip
    likely = {
        "doc": {"question": "?", "choices": ["4", "7"]}, "target": 1, "doc_id": 2, "filter": "none",
        "arguments": [("?", " 4"), ("?", " 7")], "resps": [[("-2.0", "False")], [("-1.0", "True")]],
        "filtered_resps": [("-2.0", "False"), ("-1.0", "True")], "metrics": ["acc"], "acc": 1.0,
    }  # fmt: skip
    tracker.save_results_samples("sums", logged)
    tracker.save_results_samples("likely", [likely])
    (file,), (other,) = tmp_path.glob("m/samples_sums*"), tmp_path.glob("m/samples_likely*")
    records = list(records_of(read_rows(str(file)), stem="s"))
    assert [(r["id"], r["answer"], r["completion"]) for r in records] == [
        (f"s-{n}#{k}", "2", f"#### {k + 2}") for n in range(2) for k in range(2)
    ]
    (problem,) = records_of(read_rows(str(other)), stem="s")
    assert (problem["prompt"], problem["answer"], "completion" in problem) == ("?\nA. 4\nB. 7", "B", False)


def test_lightevals_details_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    requests = pytest.importorskip("lighteval.tasks.requests")
    output = pytest.importorskip("lighteval.models.model_output")
    from dataclasses import asdict

    doc = requests.Doc(query="1+1?", choices=["2"], gold_index=0, task_name="own|sums")
    response = output.ModelResponse(input="1+1?", text=["2", "3"])
    detail = {"doc": asdict(doc), "model_response": asdict(response), "metric": {"em": 0.5}}
    datasets.Dataset.from_list([detail] * 2).to_parquet(str(tmp_path / "details.parquet"))
    records = list(records_of(read_rows(str(tmp_path / "details.parquet")), stem="d"))
    assert [(r["id"], r["answer"], r["completion"]) for r in records] == [
        (f"d-{n}#{k}", "2", f"{k + 2}") for n in range(2) for k in range(2)
    ]


def test_axolotl_learns_the_same_parts() -> None:
    alpaca = pytest.importorskip("axolotl.prompt_strategies.alpaca_w_system")
    plain = pytest.importorskip("axolotl.prompt_strategies.input_output")
    row = {"segments": [{"label": False, "text": "1+1="}, {"label": True, "text": "2"}]}
    (record,) = back([row])
    parts = list(plain.RawInputOutputPrompter().build_prompt(row["segments"]))
    assert parts == [(False, record["prompt"]), (True, record["completion"])]
    (written,) = rows("alpaca", [TALK])
    parsed = alpaca.InstructionWSystemPromptTokenizingStrategy.parse_instruction_fields(None, written)
    assert parsed[0] == "and 1 more?"
    assert parsed[2:] == ("2", "Be brief.")


def test_verl_reads_the_parquet_file(tmp_path: Path) -> None:
    dataset = pytest.importorskip("verl.utils.dataset.rl_dataset")
    options = {"filter_overlong_prompts": False, "cache_dir": str(tmp_path)}
    config = pytest.importorskip("omegaconf").OmegaConf.create(options)
    write_parquet(tmp_path / "train.parquet", rows("verl"))
    loaded = dataset.RLHFDataset(str(tmp_path / "train.parquet"), None, config)
    assert [row["raw_prompt"][0]["content"] for row in loaded] == ["1+1?", "1+2?"]
    assert [row["reward_model"]["ground_truth"] for row in loaded] == ["2", "3"]


def test_llama_factory_reads_both_of_its_forms() -> None:
    converter = pytest.importorskip("llamafactory.data.converter")
    parser = pytest.importorskip("llamafactory.data.parser")
    columns = {"load_from": "file", "dataset_name": "x", "system": "system", "history": "history"}
    alpaca = parser.DatasetAttr(**columns)
    read = converter.AlpacaDatasetConverter(alpaca, None)(rows("alpaca", [TALK])[0])
    sharegpt = parser.DatasetAttr(load_from="file", dataset_name="x", formatting="sharegpt")
    other = converter.SharegptDatasetConverter(sharegpt, None)(rows("sharegpt", [TALK])[0])
    for found in (read, other):
        assert found["_system"] == "Be brief."
        assert [turn["content"] for turn in found["_prompt"]] == ["1+0?", "1", "and 1 more?"]
        assert [turn["content"] for turn in found["_response"]] == ["2"]
