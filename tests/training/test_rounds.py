"""Ten rounds of generate, filter and sft on real vocabularies: sft learns the very tokens that were
generated.

A small model of the family learns a few answers by heart, then each round trains on what the former model
wrote: once as it was sampled, and once as text alone, without its ids, which is tokenised again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import pytest
import torch

from stages import filter as filter_
from stages import generate, sft
from stages.records import jsonl
from stages.records.record import Record
from stages.settings.criteria import Selection
from stages.settings.groups import Engine, Optimizer, Sampling
from stages.training.rows import Sample
from stages.training.sft.examples import Examples

pytestmark = pytest.mark.full

CPU = Engine(device="cpu", threads=1)
ROUNDS = 10
FAMILIES = ("Llama-2", "SmolLM2")  # of SentencePiece, and of bytes; test_families.py has more
ANSWERS = ("2+2 is 4.", "我很好！", "    x = 1\n", "🤔 naïve", "<answer>7</answer>")


def born(found: Any, folder: Path) -> Path:
    """A random Llama with the family's real vocabulary and template."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(found), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=512,
        tie_word_embeddings=True, bos_token_id=found.bos_token_id, eos_token_id=found.eos_token_id,
        pad_token_id=found.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    found.save_pretrained(folder)
    return folder


def learn(records: list[Record], model: Path, out: Path, lr: float, epochs: int) -> None:
    steady = Optimizer(lr=lr, schedule="constant", warmup=0.0)
    sft.run(
        records,
        sft.Settings(model=str(model), out=out, epochs=epochs, batch=64, optimizer=steady, engine=CPU),
    )


def through_a_pipe(records: list[Record], file: Path) -> list[Record]:
    """The records as the next command reads them."""
    file.write_bytes(b"".join(map(jsonl.encode, records)))
    with jsonl.open_input(file) as stream:
        return list(jsonl.read_lines(stream, str(file)))


@pytest.mark.parametrize("name", FAMILIES)
def test_ten_rounds_learn_what_was_generated(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    if name == "SmolLM2":
        found = AutoTokenizer.from_pretrained(request.getfixturevalue("smollm2"))
    else:
        found = families.tokenizer(name)
    learned: dict[str, Sample] = {}
    of = Examples.of

    def seen(self: Examples, record: Record) -> list[Sample]:
        (sample,) = of(self, record)
        learned[record["id"]] = sample
        return [sample]

    monkeypatch.setattr(Examples, "of", seen)
    problems = [Record(id=f"p{i}", prompt=f"question {i}?") for i in range(len(ANSWERS))]
    told = [
        problem.adding(completion=text, finish="stop")
        for problem, text in zip(problems, ANSWERS, strict=True)
    ]
    model = tmp_path / "0"
    learn(told, born(found, tmp_path / "born"), model, 2e-2, 60)
    by_heart = {record["id"]: list(learned[record["id"]].completion_ids) for record in told}
    rows = tokens = by_text = 0
    for turn in range(1, ROUNDS + 1):
        made = generate.run(
            problems,
            generate.Settings(
                model=str(model),
                samples=2,
                tokens=True,
                seed=turn,
                engine=CPU,
                sampling=Sampling(max_tokens=24, temperature=0.8),
            ),
        )
        made_all = through_a_pipe(list(made), tmp_path / "made.jsonl")
        kept = through_a_pipe(list(filter_.run(made_all, selection=Selection())), tmp_path / "kept.jsonl")
        ids = ("prompt_ids", "completion_ids", "logprobs")
        texts = [
            Record({k: v for k, v in record.items() if k not in ids} | {"id": f"{record['id']} text"})
            for record in kept
        ]
        learn([*kept, *texts], model, tmp_path / str(turn), 1e-4, 1)
        model = tmp_path / str(turn)
        for record in kept:
            sampled, told_ = learned[record["id"]], learned[f"{record['id']} text"]
            assert list(sampled.prompt_ids) == record["prompt_ids"] == list(told_.prompt_ids)
            assert list(sampled.completion_ids) == record["completion_ids"], (turn, record)
            rows += 1
            tokens += len(record["completion_ids"])
            found = list(told_.completion_ids)
            if record["completion_ids"] == by_heart[record["group"]]:
                assert found == record["completion_ids"], (turn, record)
            by_text += found == record["completion_ids"]
    print(f"{name}: {ROUNDS} rounds, {rows} completions of {tokens} tokens learned as they were sampled,")
    print(f"  {by_text} of them by the same tokens from their text alone")
    assert by_text >= rows * 0.9
