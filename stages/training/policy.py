"""The model that is trained: loading it, its log-probabilities, and saving it as a checkpoint."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.data.errors import Unavailable, UsageError
from stages.data.options import Engine, Lora
from stages.inference.ragged import ATTENTION
from stages.inference.transformers import flat_logits, load_model
from stages.objectives.logprobs import token_logprobs
from stages.training.rows import Row, Sample, rows


class Policy:
    """A causal language model with its trainable weights in float32; LoRA where `lora.lora` is set.

    On a GPU the passes run in bfloat16 under autocast unless `engine.dtype` says otherwise.
    """

    def __init__(self, name: str, engine: Engine, lora: Lora, seed: int = 0) -> None:
        self.name = name
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

    def logprobs(self, row: Row, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies `[n]` of the row's targets."""
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

    def needs(self, row_tokens: int, *, models: int = 1) -> str:
        """The memory that training takes, for `--dry-run`; `models` counts the copies held, a reference among them."""
        trained = sum(p.numel() for _, p in self.parameters())
        every = sum(p.numel() for p in self.model.parameters())
        config = self.plain.config.get_text_config()
        states = (models * every * 4 + trained * 12) / 2**30
        # Kept for the backward pass, for each token and layer: 90 bytes a hidden width, measured on a Llama in float32.
        bytes_kept = 45 if self.autocast else 90
        kept = row_tokens * config.num_hidden_layers * config.hidden_size * bytes_kept / 2**30
        return (
            f"dry run: {every:,} weights, {trained:,} of them trained; about {states:.2f} GiB for weights, "
            f"gradients and optimiser, and {kept:.2f} GiB for a row of {row_tokens} tokens"
        )

    def save(self, directory: Path, tokenizer: Any) -> None:
        """A plain Hugging Face checkpoint; adapters are merged into the weights."""
        model = self.model
        if self.lora:
            import copy

            model = copy.deepcopy(model).merge_and_unload()
        dtype = model.config.dtype
        model.config.dtype = torch.float32
        model.save_pretrained(directory)
        model.config.dtype = dtype
        tokenizer.save_pretrained(directory)


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
