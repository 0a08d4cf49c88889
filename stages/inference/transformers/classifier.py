"""A sequence-classification checkpoint, which gives a conversation a number: a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from stages.checkpoints.loading import hide_unneeded
from stages.inference import chat
from stages.inference.encoding import load_tokenizer
from stages.inference.transformers.model import load_weights
from stages.records.templates import Rendered
from stages.runtime.errors import Unavailable
from stages.settings.groups import Engine


def conversation_ids(tokenizer: Any, conversation: Sequence[dict[str, str]], place: str) -> list[int]:
    """The tokens of a conversation, by the tokenizer's chat template where it has one.

    Raises BadInput with the record's `place` where the template refuses it.
    """
    if getattr(tokenizer, "chat_template", None):
        text = chat.text_of(tokenizer, Rendered(None, tuple(conversation), "", ()), place, begin=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    text = "\n\n".join(turn["content"] for turn in conversation)
    return list(tokenizer(text)["input_ids"])


def padded_by(model: Any, tokenizer: Any) -> int:
    """The token that fills up shorter texts, which the model's configuration names from here on."""
    pad = tokenizer.pad_token_id
    if pad is None:
        pad = tokenizer.eos_token_id or 0
    model.config.pad_token_id = model.config.get_text_config().pad_token_id = pad
    return int(pad)


def read_at(ids: Sequence[int], pad: int) -> int:
    """The place whose state a classification head reads: the last token that is not padding."""
    return next((at for at in range(len(ids) - 1, -1, -1) if ids[at] != pad), 0)


def longest_of(model: Any) -> int:
    """How many tokens the model reads."""
    return getattr(model.config, "max_position_embeddings", None) or 1 << 30


def with_scalar_head(model: Any) -> Any:
    """A causal language model's layers under a head of one number, which is 0 until it is trained.

    Raises Unavailable for a model that transformers knows no such head for.
    """
    from transformers import AutoModelForSequenceClassification

    automatic: Any = AutoModelForSequenceClassification
    model.config.num_labels = 1
    try:
        with torch.device("meta"):
            made = automatic.from_config(model.config)
    except ValueError as error:  # there is no such class for its configuration
        raise _headless(model) from error
    body: str = made.base_model_prefix
    score: Any = getattr(made, "score", None)
    same = type(getattr(made, body, None)) is type(model.base_model)
    if not same or not isinstance(score, torch.nn.Linear) or getattr(score, "bias", None) is not None:
        raise _headless(model)
    made.score = torch.nn.Linear(score.in_features, 1, bias=False, device=model.device, dtype=model.dtype)
    torch.nn.init.zeros_(made.score.weight)
    setattr(made, body, model.base_model)
    made.config, made.r1_execution = model.config, model.r1_execution
    return made.eval()


def _headless(model: Any) -> Unavailable:
    return Unavailable(
        f"{type(model).__name__} has no sequence-classification form that takes over its layers; "
        "take a model of another family"
    )


class Classifier:
    """Loads `model`. Raises Unavailable where it is not there, not whole, or has more than two classes."""

    def __init__(self, model: str, engine: Engine) -> None:
        hide_unneeded()
        from transformers import AutoModelForSequenceClassification

        self.tokenizer = load_tokenizer(model, engine.trust_remote_code)
        self.model = load_weights(AutoModelForSequenceClassification, model, engine)
        self.classes = self.model.config.num_labels
        if self.classes > 2:
            raise Unavailable(f"{model} has {self.classes} classes; a reward model has one or two")
        self.longest = longest_of(self.model)
        self.pad = padded_by(self.model, self.tokenizer)

    def rate(
        self, conversations: Sequence[list[dict[str, str]]], places: Sequence[str], size: int
    ) -> list[float | int]:
        """A number for each conversation, `size` at once; for one too long its count of tokens, an int.

        One class gives its logit, two the probability of the second. Raises BadInput with one of `places`.
        """
        rows = [
            conversation_ids(self.tokenizer, each, place)
            for each, place in zip(conversations, places, strict=True)
        ]
        values: list[float | int] = [len(row) for row in rows]
        fitting = [k for k, row in enumerate(rows) if len(row) <= self.longest]
        fitting.sort(key=lambda k: len(rows[k]))
        for start in range(0, len(fitting), size):
            chosen = fitting[start : start + size]
            for k, value in zip(chosen, self._forward([rows[k] for k in chosen]), strict=True):
                values[k] = value
        return values

    @torch.no_grad()
    def _forward(self, rows: list[list[int]]) -> list[float]:
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for k, row in enumerate(rows):
            ids[k, : len(row)] = torch.tensor(row)
            mask[k, : len(row)] = 1
        device = self.model.device
        logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float()
        if self.classes == 2:
            return [float(each) for each in logits.softmax(-1)[:, 1]]
        return [float(each) for each in logits[:, 0]]
