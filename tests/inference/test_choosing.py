"""Texts that may follow a prompt are compared by the likelihoods that the model's own code gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from models import KINDS, fresh, tiny
from transformers import AutoModelForCausalLM

from stages.inference.complete import Plan, run_plan
from stages.inference.echo import Echo
from stages.inference.encoding import load_tokenizer
from stages.inference.prompting import encode_pair
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.likelihood import likelihoods
from stages.inference.transformers.model import load_model
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.settings.groups import Engine, Sampling

CPU = Engine(backend="transformers", device="cpu", threads=1)
TEXTS = ["b", "bc", "bcd", "bc", "zz z"]


def alone(model: Any, context: list[int], text: list[int]) -> tuple[float, bool]:
    """By the model's forward pass over the whole text."""
    logits = model(torch.tensor([context + text])).logits[0, len(context) - 1 : -1].float()
    found = torch.log_softmax(logits, -1)[range(len(text)), text].sum().item()
    return found, logits.argmax(-1).tolist() == text


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_share_a_context_have_the_likelihoods_they_have_alone(kind: str, tmp_path: Path) -> None:
    model = tiny(kind)
    model.save_pretrained(tmp_path)
    context, texts = [5, 9, 40, 3, 7, 8, 2, 11], [[4], [4, 6], [4, 6, 9, 12, 3], [4, 7], [30, 31, 32]]
    with torch.no_grad():
        texts.append([int(model(torch.tensor([context])).logits[0, -1].argmax())])
        wanted = [alone(model, context, text) for text in texts]
        found = likelihoods(load_model(str(tmp_path), CPU), context, texts)
    assert [each.logp for each in found] == pytest.approx([logp for logp, _ in wanted], abs=1e-4)
    assert [each.greedy for each in found] == [greedy for _, greedy in wanted]
    assert found[-1].greedy
    assert [each.tokens for each in found] == [len(text) for text in texts]


def plan(**options: Any) -> Plan:
    sampling, template = Sampling(temperature=0.0, max_tokens=4), templates.load("none")
    return Plan("m", template, sampling, 0, options.pop("samples", 1), CPU, **options)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TransformersBackend:
    path = str(fresh(tmp_path_factory.mktemp("choosing") / "model"))
    return TransformersBackend(load_model(path, CPU), load_tokenizer(path), CPU)


def test_the_likeliest_text_is_the_completion_among_problems_that_are_sampled(
    backend: TransformersBackend,
) -> None:
    records = [
        Record(id="a", prompt="a", continuations=TEXTS),
        Record(id="b", prompt="What"),
        Record(id="c", prompt="", continuations=["x", ["other ", "y"]]),
    ]
    made = list(run_plan(records, plan(samples=2), backend))
    assert [each["id"] for each in made] == ["a#0", "a#1", "b#0", "b#1", "c#0", "c#1"]
    chosen, _, sampled, _, last, _ = made
    logps = [logp for logp, _ in chosen["loglikelihoods"]]
    assert chosen["completion"] == TEXTS[logps.index(max(logps))]
    assert logps[1] == logps[3]
    assert "loglikelihoods" not in sampled
    plain, wanted = AutoModelForCausalLM.from_pretrained(backend.tokenizer.name_or_path), []
    with torch.no_grad():
        for before, after in (("", "x"), ("other ", "y")):
            wanted.append(alone(plain, *encode_pair(backend.tokenizer, before, after)))
    assert [logp for logp, _ in last["loglikelihoods"]] == pytest.approx([p for p, _ in wanted], abs=1e-4)
    assert chosen["meta"]["generate"]["tokens"] >= 1


def test_what_cannot_be_compared_is_refused(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(given: Any, backend: Any = backend, **options: Any) -> None:
        list(run_plan([Record(id="a", prompt="a", continuations=given)], plan(**options), backend))

    for given in ([], "x", [""], [3], [["a", ""]], {"a": 1}):
        with pytest.raises(BadInput, match="continuations"):
            ask(given)
    with pytest.raises(BadInput, match="the model's context 256"):
        ask(["x " * 400])
    with pytest.raises(UsageError, match="give --backend transformers"):
        ask(["x"], Echo())
    with pytest.raises(UsageError, match="--tokens"):
        ask(["x"], tokens=True)
    monkeypatch.setattr(backend.tokenizer, "chat_template", "{{ messages[0].content }}")
    chat = Plan("m", templates.load("chat"), Sampling(), 0, 1, CPU)
    with pytest.raises(UsageError, match="--template none"):
        list(run_plan([Record(id="a", prompt="a", continuations=["x"])], chat, backend))
