"""A model's sizes from its config.json: weights, those that a token uses, its keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.checkpoints.parse import read_json
from stages.runtime.errors import BadInput, Unavailable

REMEDY = "give the config.json of a decoder such as Llama, Qwen or DeepSeek-V3"


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, in elements; `cached` are those of the keys and values of a token in all layers."""

    weights: float
    shared: float  # weights that each token is multiplied with
    experts: float  # weights of all experts
    chosen: float  # weights of the experts of one token
    layers: int
    hidden: int
    attention: int  # width of all heads' queries together
    cached: int

    @property
    def active(self) -> float:
        """Weights that one token is multiplied with."""
        return self.shared + self.chosen

    def touched(self, tokens: float) -> float:
        """Weights that are read for so many tokens at once, each with experts of its own choice."""
        if not self.experts:
            return self.shared
        return float(self.shared + self.experts * (1 - (1 - self.chosen / self.experts) ** tokens))


def shape(path: Path) -> Shape:
    """That of a checkpoint, or of a config.json. Raises Unavailable for none, BadInput for another kind."""
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".json":
        raise Unavailable(f"no config.json at {path}: give a checkpoint directory, or the file itself")
    found = read_json(file)
    config = found.get("text_config", found)
    if not isinstance(config, dict):
        raise BadInput("text_config is no object", place=str(file), remedy=REMEDY)
    return _Sizes(config, file).shape()


class _Sizes:
    """Reads the numbers of one configuration."""

    def __init__(self, config: dict[str, Any], file: Path) -> None:
        self.config, self.file = config, file
        self.hidden = self.number("hidden_size")
        self.heads = self.number("num_attention_heads")
        self.layers = self.number("num_hidden_layers")

    def number(self, name: str, default: int | None = None) -> int:
        """A size, above 0 but where its default is 0."""
        value = self.config.get(name)
        if value is None and default is not None:
            return default
        low = 0 if default == 0 else 1
        if type(value) is not int or not low <= value < 2**31:
            raise BadInput(f"{name} is {value!r}, no size", place=str(self.file), remedy=REMEDY)
        return value

    def shape(self) -> Shape:
        hidden, layers = self.hidden, self.layers
        attention, width, cached = self._latent() if "kv_lora_rank" in self.config else self._grouped()
        experts = self.number(
            "n_routed_experts", self.number("num_experts", self.number("num_local_experts", 0))
        )
        sparse = max(layers - self.number("first_k_dense_replace", 0), 0) if experts else 0
        shared = layers * (attention + 2 * hidden) + hidden
        shared += (layers - sparse) * 3 * hidden * self.number("intermediate_size")
        expert = chosen = 0
        if sparse:
            expert = 3 * hidden * self.number("moe_intermediate_size", self.number("intermediate_size"))
            shared += sparse * (hidden * experts + self.number("n_shared_experts", 0) * expert)
            chosen = sparse * min(self.number("num_experts_per_tok"), experts) * expert
        every = sparse * experts * expert
        vocabulary = self.number("vocab_size") * hidden
        shared += vocabulary  # of the output; the embedding is looked up
        tied = self.config.get("tie_word_embeddings", False) is True
        total = shared + every + (0 if tied else vocabulary)
        return Shape(total, shared, every, chosen, layers, hidden, width, layers * cached)

    def _grouped(self) -> tuple[int, int, int]:
        """Weights of a layer's attention with grouped queries, their width, and what a token keeps."""
        head = self.number("head_dim", max(self.hidden // self.heads, 1))
        groups = self.number("num_key_value_heads", self.heads)
        return 2 * self.hidden * head * (self.heads + groups), head * self.heads, 2 * head * groups

    def _latent(self) -> tuple[int, int, int]:
        """The same of DeepSeek's multi-head latent attention, whose tokens keep one small vector."""
        rank, rope = self.number("kv_lora_rank"), self.number("qk_rope_head_dim")
        plain, value = self.number("qk_nope_head_dim"), self.number("v_head_dim")
        queries = self.heads * (plain + rope)
        low = self.number("q_lora_rank", 0)
        weights = self.hidden * low + low * queries if low else self.hidden * queries
        weights += self.hidden * (rank + rope) + rank * self.heads * (plain + value)
        return weights + self.heads * value * self.hidden, queries, rank + rope
