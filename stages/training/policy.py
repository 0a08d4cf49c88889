"""The model that is trained: loading it, its log-probabilities, and saving it as a checkpoint."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from stages.data.errors import Unavailable, UsageError
from stages.data.options import Engine, Lora
from stages.inference.ragged import ATTENTION
from stages.inference.transformers import flat_logits, load_model
from stages.objectives.logprobs import token_logprobs
from stages.training import shards
from stages.training.rows import Row, Sample, rows


class Policy:
    """A causal language model with its trainable weights in float32; LoRA where `lora.lora` is set.

    On a GPU the passes run in bfloat16 under autocast unless `engine.dtype` says otherwise.
    """

    # What a pass goes through where the weights are not all in this process: it calls `compute`.
    through: Callable[[Row, float], tuple[Tensor, Tensor]] | None = None

    def __init__(self, name: str, engine: Engine, lora: Lora, seed: int = 0) -> None:
        self.name, self.dtype = name, engine.dtype
        weights = Engine(device=engine.device, dtype="float32", threads=engine.threads)
        self.model = load_model(name, weights)
        self.device = self.model.device
        self.autocast = self.device.type == "cuda" and engine.dtype in ("auto", "bfloat16")
        if lora.lora:
            self.model = _adapted(self.model, lora, seed)
        self.lora = bool(lora.lora)
        self._check_head()

    @property
    def plain(self) -> Any:
        """The transformers model itself, without the adapters' wrapping (but with the adapters)."""
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The trainable weights, by name."""
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weights of `plain`, by name, each whole while it is looked at; all ranks go through them together."""
        for name, weight in self.plain.named_parameters():
            with whole(weight):
                yield name, weight.data

    @property
    def scattered(self) -> bool:
        """Whether the model here has only a share of each weight."""
        return any(hasattr(weight, "ds_id") for weight in self.model.parameters())

    @property
    def weights_dtype(self) -> Literal["float32", "bfloat16"]:
        """What the passes compute with; DeepSpeed may hold the weights it updates in float32 beside it."""
        return "bfloat16" if self.model.dtype == torch.bfloat16 else "float32"

    @torch.no_grad()
    def copy_to(self, model: Any) -> None:
        """Gives another model, which has been a copy of `plain`, the present weights."""
        for other, (_, weight) in zip(model.parameters(), self.weights(), strict=True):
            other.copy_(weight)

    def recompute(self) -> None:
        """From here on the backward pass computes the layers' activations again, and memory does not hold them.

        Raises Unavailable where the model's code does not know how.
        """
        from transformers.modeling_layers import GradientCheckpointingLayer

        if not self.plain.supports_gradient_checkpointing:
            raise Unavailable(f"--checkpointing: {type(self.plain).__name__} does not offer it")
        self.plain.gradient_checkpointing_enable(
            {"use_reentrant": False, "preserve_rng_state": False}
        )
        for module in self.plain.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.training = True  # it asks for this; what is inside it stays without dropout

    def logprobs(self, row: Row, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies `[n]` of the row's targets."""
        return (self.through or self.compute)(row, temperature)

    @contextlib.contextmanager
    def replaced(self, model: Any) -> Iterator[None]:
        """Another model of the same kind in the policy's place."""
        held = self.model, self.through
        self.model, self.through = model, None
        try:
            yield
        finally:
            self.model, self.through = held

    def compute(self, row: Row, temperature: float) -> tuple[Tensor, Tensor]:
        """What `logprobs` gives, by the model as it stands here."""
        with self._precision():
            hidden = self.plain.base_model(
                input_ids=row.ids[None],
                position_ids=row.layout.positions[None],
                use_cache=False,
                layout=row.layout,
            ).last_hidden_state[0]
            chosen = hidden.index_select(0, row.predict)
            head = self.plain.get_output_embeddings().weight
            return token_logprobs(chosen, head, row.targets, temperature=temperature)

    def _precision(self) -> Any:
        if self.autocast:
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def reference(self) -> contextlib.AbstractContextManager[Any]:
        """Under LoRA: the model without its adapters."""
        return self.model.disable_adapter() if self.lora else contextlib.nullcontext()

    @torch.no_grad()
    def _check_head(self) -> None:
        """Raises Unavailable where logits are more than hidden states times the head's weights."""
        size = self.plain.config.get_text_config().vocab_size
        ids = [(i * 31 + 7) % size for i in range(9)]
        (row,) = rows([Sample(ids[:4], ids[4:], [1.0] * 5)], 64, self.device)
        autocast, self.autocast = self.autocast, False
        found, _ = self.logprobs(row)
        self.autocast = autocast
        logits = flat_logits(self.plain, row.ids, row.layout, row.layout.positions)
        wanted = torch.log_softmax(logits[row.predict].float(), -1)
        wanted = wanted.gather(-1, row.targets[:, None])[:, 0]
        if not torch.allclose(found, wanted, atol=1e-3, rtol=1e-3):
            raise Unavailable(
                f"{type(self.plain).__name__} changes its logits after the output layer, which "
                "training here does not know; use a model without soft-capped or scaled logits"
            )

    def save(
        self,
        directory: Path | None,
        tokenizer: Any,
        weights: Iterator[tuple[str, Tensor]] | None = None,
    ) -> None:
        """A plain Hugging Face checkpoint in float32; adapters are merged into the weights.

        `weights` are those to write, one at a time, where the model does not hold them. Without a `directory` nothing
        is written, and this rank only helps to gather them.
        """
        model = self.model
        if directory is None:
            shards.write(None, "model", weights or ())
            return
        if self.lora:
            import copy

            model = copy.deepcopy(model).merge_and_unload()
        dtype = model.config.dtype
        model.config.dtype = torch.float32
        if weights is None:
            # transformers loads DeepSpeed here where it is installed, which warns of a missing GPU otherwise.
            os.environ.setdefault("DS_ACCELERATOR", self.device.type)
            model.save_pretrained(directory)
        else:
            model.config.save_pretrained(directory)
            if model.can_generate():
                model.generation_config.save_pretrained(directory)
            shards.write(directory, "model", weights)
        model.config.dtype = dtype
        tokenizer.save_pretrained(directory)


def whole(weights: Any) -> contextlib.AbstractContextManager[Any]:
    """Gathers a weight, or a list of them, of which DeepSpeed has left this process only a share."""
    each = weights if isinstance(weights, list) else [weights]
    if not any(hasattr(weight, "ds_id") for weight in each):
        return contextlib.nullcontext()
    import deepspeed

    gathered: contextlib.AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(weights)
    return gathered


def _adapted(model: Any, lora: Lora, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    targets: str | list[str] = lora.lora_targets
    if targets != "all-linear":
        targets = [name.strip() for name in lora.lora_targets.split(",") if name.strip()]
    torch.manual_seed(seed)
    try:
        adapted: Any = get_peft_model(
            model,
            LoraConfig(
                r=lora.lora,
                lora_alpha=lora.lora_alpha,  # type: ignore[arg-type]  # peft takes floats too
                target_modules=targets,
                lora_dropout=0.0,
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        raise UsageError(f"--lora-targets {lora.lora_targets}: {error}") from error
    adapted.get_base_model().set_attn_implementation(ATTENTION)
    return adapted
