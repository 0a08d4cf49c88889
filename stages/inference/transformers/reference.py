"""What a model's own code gives for a few sequences, each alone: what any other computation is held to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stages.inference.transformers.native import native_logits
from stages.runtime.errors import Unavailable, said

PROMPT, OTHER = 9, 3  # tokens of the prompts
LONG, SHORT = 8, 5  # tokens of what follows
STEPS = 5  # of decoding
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-6}  # of the logits' own size
ROUNDING = 0.02, 0.1  # the least and largest such limit in half precision
OUT_OF_MEMORY = (MemoryError, torch.OutOfMemoryError)


class SeesLater(Unavailable):
    """What a model says of a token depends on later ones."""


class Reference:
    """Logits of the check's sequences by the model's own code, each alone."""

    def __init__(self, model: Any, loaded: str, limit: float = 0.0) -> None:
        """`limit` is how far logits may lie from these; by default what rounding explains."""
        size = model.get_input_embeddings().weight.shape[0]
        ids = [(i * 31 + 7) % size for i in range(PROMPT + LONG + SHORT + OTHER + STEPS)]
        self.prompt, rest = ids[:PROMPT], ids[PROMPT:]
        self.long, rest = rest[:LONG], rest[LONG:]
        self.short, rest = rest[:SHORT], rest[SHORT:]
        self.other, self.after = rest[:OTHER], rest[OTHER:]
        self.model, self.attention, self.truth = model, loaded, loaded
        self._kept: dict[tuple[int, ...], Tensor] = {}
        noise = self._implementation(loaded)
        low, high = ROUNDING
        self.limit = limit or CLOSE.get(model.dtype, min(max(4 * noise, low), high))
        one, two = self.of(self.prompt + self.long), self.of(self.prompt + self.short)
        self.of(self.other + self.after)
        if not torch.isfinite(one).all():
            raise Unavailable(f"{type(model).__name__}: its logits are not finite: its weights are broken")
        if not relative_error(one[:PROMPT], two[:PROMPT]) <= self.limit:
            raise SeesLater(
                f"{type(model).__name__} is no causal language model as its config.json stands: "
                "what it says of a token depends on later ones"
            )

    def of(self, ids: list[int]) -> Tensor:
        """Logits `[T, V]` in float32."""
        key = tuple(ids)
        if key not in self._kept:
            row = torch.tensor(ids, device=self.model.device)
            present = self.model.config._attn_implementation
            try:
                self._attend(self.truth)
                self._kept[key] = native_logits(self.model, row).float()
                self._attend(present)
            except OUT_OF_MEMORY:
                raise
            except Exception as error:
                raise Unavailable(
                    f"{type(self.model).__name__}: transformers' own code cannot compute text with it: "
                    f"{type(error).__name__}: {said(error)[:160]}"
                ) from error
        return self._kept[key]

    def _attend(self, implementation: str) -> None:
        if self.model.config._attn_implementation != implementation:
            self.model.set_attn_implementation(implementation)

    def _implementation(self, loaded: str) -> float:
        """Takes eager attention for the truth. Returns how far the one that was loaded lies from it.

        That one is kept where they give the same.
        """
        if loaded == "eager":
            return 0.0
        ids = self.prompt + self.long
        first = self.of(ids)
        self._kept.clear()
        try:
            self.model.set_attn_implementation("eager")
        except (ValueError, ImportError):
            return 0.0
        self.truth = self.model.config._attn_implementation
        noise = relative_error(self.of(ids), first)
        capped = getattr(self.model.config.get_text_config(), "attn_logit_softcapping", None)
        if capped or not noise <= CLOSE.get(self.model.dtype, ROUNDING[1]):
            self.attention = "eager"
        return noise


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """How far logits `[T, V]` lie from those wanted: the worst token's, as a share of its logits' size."""
    wanted = wanted.float()
    size = (wanted - wanted.mean(-1, keepdim=True)).norm(dim=-1)
    worst = float(((found.float() - wanted).norm(dim=-1) / size.clamp_min(1e-6)).max())
    return worst if worst == worst else float("inf")
