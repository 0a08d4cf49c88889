"""A sequence-classification checkpoint, which gives a conversation a number: a reward model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stages.data.errors import Unavailable
from stages.data.options import Engine
from stages.inference.encoding import load_tokenizer
from stages.inference.loading import hide_broken_media
from stages.inference.transformers import load_weights


class Classifier:
    """Loads `model`. Raises Unavailable where it is not there, not whole, or has more than two classes."""

    def __init__(self, model: str, engine: Engine) -> None:
        hide_broken_media()
        from transformers import AutoModelForSequenceClassification

        self.tokenizer = load_tokenizer(model)
        self.model = load_weights(AutoModelForSequenceClassification, model, engine)
        self.classes = self.model.config.num_labels
        if self.classes > 2:
            raise Unavailable(f"{model} has {self.classes} classes; a reward model has one or two")
        self.longest = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30
        # The classification head reads the last token that is not padding, and finds it by this id.
        self.pad = self.tokenizer.pad_token_id
        if self.pad is None:
            self.pad = self.tokenizer.eos_token_id or 0
        self.model.config.pad_token_id = self.pad

    def rate(self, conversations: Sequence[list[dict[str, str]]], size: int) -> list[float | int]:
        """A number for each conversation, `size` at once; the count of its tokens, an int, where it is too long.

        One class gives its logit, two the probability of the second.
        """
        rows = [self._ids(each) for each in conversations]
        values: list[float | int] = [len(row) for row in rows]
        fitting = [k for k, row in enumerate(rows) if len(row) <= self.longest]
        fitting.sort(key=lambda k: len(rows[k]))
        for start in range(0, len(fitting), size):
            chosen = fitting[start : start + size]
            for k, value in zip(chosen, self._forward([rows[k] for k in chosen]), strict=True):
                values[k] = value
        return values

    def _ids(self, conversation: list[dict[str, str]]) -> list[int]:
        if getattr(self.tokenizer, "chat_template", None):
            text = self.tokenizer.apply_chat_template(conversation, tokenize=False)
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        text = "\n\n".join(turn["content"] for turn in conversation)
        return list(self.tokenizer(text)["input_ids"])

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
