"""A chat with tools and thinking through every stage, as docs/chat.md shows it, on a model of random
weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dialects import backend, tokenizer

from stages import eval as evaluation
from stages import filter as selecting
from stages import generate, grpo, prompts, score, sft
from stages.records import templates
from stages.records.record import Record
from stages.settings.criteria import Selection
from stages.settings.groups import Engine, Optimizer, Sampling
from stages.training.learned_text import marked
from stages.training.sft.examples import Examples

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes"
TEMPLATE = (RECIPES / "chatml-tools.jinja").read_text("utf-8")
REWARDS = ("accuracy", "format:style=think*0.5")
COMPUTED: dict[str, Any] = {"engine": Engine(device="cpu", threads=1)}
SHORT = Sampling(max_tokens=6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    found = tokenizer("chatml")
    found.chat_template = TEMPLATE
    torch.manual_seed(0)
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(found), hidden_size=32, intermediate_size=48, num_hidden_layers=1,
            num_attention_heads=4, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2,
        )
    )  # fmt: skip
    path = tmp_path_factory.mktemp("chat") / "model"
    made.save_pretrained(path)
    found.save_pretrained(path)
    return path


def talks() -> list[Record]:
    return list(prompts.run(str(RECIPES / "shop.jsonl"), prompts.Settings(limit=2)))


def problems() -> list[Record]:
    return list(prompts.run(str(RECIPES / "shop.jsonl"), prompts.Settings(limit=2, map=("completion=",))))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def keeps(made: dict[str, Any], problem: Record) -> bool:
    """Whether the record has all of its problem, but for the id and what `meta` gained."""
    return all(made[key] == problem[key] for key in problem if key not in ("id", "meta"))


def test_of_a_chat_the_assistants_turns_are_learned_with_their_ends() -> None:
    found = tokenizer("chatml")
    found.chat_template = TEMPLATE
    shown = {}
    for learn in ("all", "last"):
        (sample,) = Examples(templates.load("chat"), backend(found), learn).of(talks()[0])
        shown[learn] = marked(found, sample)
    call = (
        "<think>\n12 pens in each of 34 boxes are 12 * 34.\n</think>\n\n<tool_call>\n"
        '{"name": "calculator", "arguments": {"expression": "12 * 34"}}\n</tool_call><|im_end|>'
    )
    last = "<think>\n408 less 2 is 406.\n</think>\n\n406 pens are left.<|im_end|>"
    learned = [call, "There are 408 pens.<|im_end|>", last]
    assert [part.split("⟧")[0] for part in shown["all"].split("⟦")[1:]] == learned
    assert [part.split("⟧")[0] for part in shown["last"].split("⟦")[1:]] == [last]
    bare = shown["all"].replace("⟦", "").replace("⟧", "")
    assert bare == shown["last"].replace("⟦", "").replace("⟧", "")
    assert "<tool_response>\n408\n</tool_response><|im_end|>" in bare
    assert '<tools>\n{"type": "function", "function": {"name": "calculator"' in bare


def test_a_chat_goes_through_every_stage_token_for_token(model: Path, tmp_path: Path, reward: str) -> None:
    asked = {str(problem["id"]): problem for problem in problems()}
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps(problem) + "\n" for problem in asked.values()), "utf-8")
    cold = sft.run(
        talks(),
        sft.Settings(model=str(model), out=tmp_path / "cold", learn="all", epochs=1, batch=2, **COMPUTED),
    ).path
    made = list(
        generate.run(
            asked.values(),
            generate.Settings(model=str(cold), samples=2, tokens=True, sampling=SHORT, **COMPUTED),
        )
    )
    found = tokenizer("chatml")
    read = found.decode(made[0]["prompt_ids"])
    assert read.endswith("How many are left?<|im_end|>\n<|im_start|>assistant\n")
    kept = list(
        selecting.run(
            score.run(made, score.Settings(reward=REWARDS, workers=1)), selection=Selection(keep="best")
        )
    )
    assert {record["group"] for record in kept} == set(asked)
    assert all(keeps(record, asked[record["group"]]) for record in kept)
    found.chat_template = TEMPLATE
    examples = Examples(templates.load("chat"), backend(found), "last")
    for record in kept:
        (sample,) = examples.of(record)
        drawn = record["completion_ids"]
        assert sample.prompt_ids == record["prompt_ids"]
        assert sample.completion_ids[: len(drawn)] == drawn
        assert set(sample.weight) == {1.0}
    assert not examples.notes.found
    tuned = sft.run(
        kept, sft.Settings(model=str(cold), out=tmp_path / "sft", learn="last", epochs=1, batch=2, **COMPUTED)
    ).path
    rl = grpo.run(
        list(asked.values()),
        grpo.Settings(
            model=str(tuned),
            out=tmp_path / "grpo",
            reward=(reward,),
            steps=2,
            problems=2,
            samples=2,
            workers=1,
            sampling=SHORT,
            optimizer=Optimizer(),
            **COMPUTED,
        ),
    ).path
    prompt_ids = {record["group"]: record["prompt_ids"] for record in made}
    rollouts = [line for path in sorted(rl.glob("rollouts/*")) for line in lines(path)]
    assert len(rollouts) == 8
    for line in rollouts:
        assert line["prompt_ids"] == prompt_ids[line["group"]]
        assert keeps(line, asked[line["group"]])
    assert max(line["sampling/logp_gap_max"] for line in lines(rl / "metrics.jsonl")) < 1e-4
    assert (rl / "chat_template.jinja").read_text("utf-8") == TEMPLATE
    saved = tmp_path / "eval.jsonl"
    list(
        evaluation.run(
            settings=evaluation.Settings(
                model=str(rl),
                benchmark=(str(file),),
                samples=2,
                reward=REWARDS,
                workers=1,
                save=saved,
                sampling=SHORT,
                **COMPUTED,
            )
        ).records
    )
    for line in lines(saved):
        assert line["meta"]["generate"]["prompt_tokens"] == len(prompt_ids[line["group"]])
        assert keeps(line, asked[line["group"]])


def called() -> list[Record]:
    """A call after an earlier question, its call and its answer; the call is the completion."""
    talk, other = (talk["prompt"] for talk in talks())
    (tools,) = {json.dumps(talk["tools"]) for talk in talks()}
    found = []
    for k, (first, then) in enumerate(((talk, other), (other, talk))):
        call = then[2]
        record = Record(
            id=f"call-{k}", prompt=[*first[:5], then[1]], completion=[call], tools=json.loads(tools)
        )
        found.append(record.adding(expected_calls=call["tool_calls"]))
    return found


@pytest.mark.full
def test_a_call_after_earlier_turns_is_learned_made_scored_and_rewarded(model: Path, tmp_path: Path) -> None:
    records, rewards = called(), ("function_calls", "format:style=think*0.5", "json_schema:form=plain*0")
    for scored in score.run(records, score.Settings(reward=rewards[:1], workers=1)):
        assert scored["rewards"]["function_calls"] == 1  # a completion in turns
        assert scored["completion"][0]["tool_calls"]
    learning = Optimizer(lr=2e-2)
    settings = sft.Settings(
        model=str(model),
        out=tmp_path / "cold",
        learn="last",
        epochs=80,
        batch=2,
        optimizer=learning,
        **COMPUTED,
    )
    cold = str(sft.run(records, settings).path)
    asked = [Record({key: record[key] for key in record if key != "completion"}) for record in records]
    greedy = Sampling(max_tokens=128, temperature=0.0)
    made = list(generate.run(asked, generate.Settings(model=cold, tokens=True, sampling=greedy, **COMPUTED)))
    kept = list(
        selecting.run(
            score.run(made, score.Settings(reward=rewards, workers=1)),
            selection=Selection(keep="correct", reward_name=("function_calls",)),
        )
    )
    assert [record["group"] for record in kept] == ["call-0", "call-1"]
    assert [record["rewards"]["format"] for record in kept] == [1, 1]
    assert {record["rewards"]["json_schema"] for record in kept} == {None}  # the records have no schema
    again = replace(settings, model=cold, out=tmp_path / "sft", epochs=1, optimizer=Optimizer(lr=1e-4))
    tuned = sft.run(kept, again).path
    rl = grpo.run(
        asked,
        grpo.Settings(
            model=str(tuned), out=tmp_path / "grpo", reward=rewards[:2], steps=1, problems=2, samples=2,
            workers=1,
            sampling=replace(greedy, temperature=1.0), **COMPUTED,
        ),
    ).path  # fmt: skip
    rollouts = [line for path in sorted(rl.glob("rollouts/*")) for line in lines(path)]
    assert len(rollouts) == 4
    for line in rollouts:
        assert set(line["rewards"]) == {"function_calls", "function_calls/made", "format"}
        assert line["prompt_ids"] == made[int(line["group"][-1])]["prompt_ids"]
    assert sum(line["rewards"]["function_calls"] for line in rollouts) > 0
