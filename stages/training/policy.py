"""The model that is trained: loading it, its log-probabilities, and saving it as a checkpoint."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from stages.checkpoints import adapter, checkpoint, shards
from stages.checkpoints.companions import kept_as_is, write_settings
from stages.checkpoints.loading import hide_unneeded, loading
from stages.checkpoints.shards import Piece, piece
from stages.checkpoints.unread import Unread
from stages.inference.fingerprint import fingerprint
from stages.inference.invariant.model import is_invariant, layout_for
from stages.inference.transformers.classifier import with_scalar_head
from stages.inference.transformers.execution import execution_of
from stages.inference.transformers.flat import flat_logits
from stages.inference.transformers.model import (
    computes_in_half,
    described,
    device_of,
    laid_out,
    load_model,
    load_unread,
)
from stages.inference.transformers.native import call, native_logits
from stages.inference.transformers.ragged import ATTENTION
from stages.inference.transformers.reduced import few_layers
from stages.inference.transformers.reference import OUT_OF_MEMORY
from stages.objectives.logprobs import token_logprobs
from stages.runtime.errors import R1Error, Unavailable, UsageError, said
from stages.settings.groups import Engine, Lora
from stages.training.rows import Row, Sample, rows


class Policy:
    """A causal language model with its trainable weights in float32; LoRA where `lora.lora` is set.

    With `rewards` its layer of words gives way to one that gives a number, and `logprobs` gives the reward of
    each sample's text up to its last token but one.

    The passes run in bfloat16 under autocast where `engine.dtype` says so, and on a GPU unless it says
    otherwise.
    """

    rewards = False
    # What a pass goes through where the weights are not all in this process: it calls `compute`.
    through: Callable[[Row, float], tuple[Tensor, Tensor]] | None = None
    unread: Unread | None = None  # where the weights are that the model does not hold yet
    checksum = 0  # of what `values` gave
    stored: Callable[[str, Tensor], Tensor] | None = None  # and the trained ones that a run goes on with

    def __init__(
        self,
        name: str,
        engine: Engine,
        lora: Lora,
        seed: int = 0,
        *,
        rewards: bool = False,
        planned: bool = False,
        shared: bool = False,
    ) -> None:
        """Where it is `planned`, for a dry run, no weights are loaded, and no pass can be made.

        Where it is `shared`, as each process is to keep a share of every weight, none is read before `values`
        gives it, if that can be: until then there is no pass either.
        """
        self.name, self.dtype = name, engine.dtype
        # Of what is loaded: by the end of the run it may be another.
        self.revision = checkpoint.revision(name)
        targets = _targets(lora)
        if lora.lora and isinstance(targets, list) and Path(name).is_dir():
            _check_targets(name, targets, trust=bool(engine.trust_remote_code))
        wide = replace(engine, dtype="float32")
        found = load_unread(name, wide, planned=planned) if shared else None
        self.loads_whole = found is None
        if found is not None and not planned:
            self.model, self.unread = found
        else:
            self.model = (laid_out if planned else load_model)(name, wide)
        self.rewards = rewards
        if rewards:
            self.model = with_scalar_head(self.model)
        self.device = torch.device(device_of(engine)) if planned else self.model.device
        self.autocast = computes_in_half(engine, self.device)
        # What --dtype comes to on the device, however the weights are spread.
        self.computes = "bfloat16" if self.autocast else "float32"
        if lora.lora:
            self.model = _adapted(self.model, lora, seed, planned=planned)
        self.lora = bool(lora.lora)
        if not execution_of(self.unwrapped).flat:
            with self._few_layers():
                self._check_backward()

    @contextlib.contextmanager
    def _few_layers(self) -> Iterator[None]:
        """Where the weights are not read yet: the model with its first layers, which have them."""
        if self.unread is None:
            yield
            return
        with few_layers(self.unwrapped, always=True), self.unread.filled(self.model.parameters()):
            yield

    def _check_backward(self) -> None:
        """Raises Unavailable where a model's own code computes forwards only, as some kernels and caches
        do."""
        (row,) = rows([Sample([1, 2, 3], [4, 5], [1.0] * 2)], 8, self.device)
        try:
            logp, _ = self.logprobs(row)
            logp.sum().backward()
        except OUT_OF_MEMORY:
            raise
        except Exception as error:  # whatever its code raises, it raises here and not at the first update
            raise Unavailable(
                f"{type(self.unwrapped).__name__} is not trained here, its own code refuses the backward "
                f"pass: {said(error)[:160]}"
            ) from error
        self.model.zero_grad(set_to_none=True)

    @property
    def unwrapped(self) -> Any:
        """The transformers model itself, without the adapters' wrapping (but with the adapters)."""
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    @property
    def head(self) -> Any:
        """The last layer, whose product is computed here and not by the model."""
        return self.unwrapped.score if self.rewards else self.unwrapped.get_output_embeddings()

    def parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The trainable weights, by name."""
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weights of `unwrapped`, by name, each whole while it is looked at; all ranks go through them
        together. Adapters are weights of their own.
        """
        for name, weight in self.unwrapped.named_parameters():
            with gathered(weight):
                yield name, weight.data

    @torch.no_grad()
    def begin_with(self, read: Callable[[str, Tensor], Tensor]) -> None:
        """Gives the trainable weights other values: what `read` returns for a name and the weight."""
        if self.unread is not None:
            self.stored = read
            return
        for name, weight in self.parameters():
            weight.copy_(read(name, weight))

    def values(self) -> Iterator[tuple[Any, Tensor]]:
        """Each weight, and its values in float32 as the run begins with them: one at a time, where they are
        not read yet. Raises StreamError where the model's files are not what they were.
        """
        total = 0
        for name, weight in self.model.named_parameters():
            values = weight.data
            if self.stored is not None and weight.requires_grad:
                values = self.stored(name, weight)
            elif self.unread is not None and weight in self.unread:
                values = self.unread.read(weight)
            total += fingerprint([values])
            yield weight, values
        self.checksum = total % 2**64
        if self.unread is not None:
            self.unread.refuse_changed()

    @property
    def sharded(self) -> bool:
        """Whether the model here has only a share of each weight."""
        return any(hasattr(weight, "ds_id") for weight in self.model.parameters())

    @property
    def weights_dtype(self) -> Literal["float32", "bfloat16"]:
        """What the passes compute with; DeepSpeed may hold the weights it updates in float32 beside it."""
        return "bfloat16" if self.model.dtype == torch.bfloat16 else "float32"

    @torch.no_grad()
    def copy_to(self, model: Any) -> None:
        """Gives another model, which has been a copy of `unwrapped`, the present weights."""
        for other, (_, weight) in zip(model.parameters(), self.weights(), strict=True):
            other.copy_(weight)

    def recompute(self) -> None:
        """From here on the backward pass computes the layers' activations again, and memory does not hold
        them.

        Raises Unavailable where the model's code does not know how.
        """
        from transformers.modeling_layers import GradientCheckpointingLayer

        if not self.unwrapped.supports_gradient_checkpointing:
            raise Unavailable(f"--checkpointing: {type(self.unwrapped).__name__} does not offer it")
        self.unwrapped.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
        for module in self.unwrapped.modules():
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
            if self.rewards:
                last = self._hidden(row).index_select(0, row.predict[row.lasts])
                with torch.autocast(self.device.type, enabled=False):
                    values = last.float() @ self.head.weight[0].float()
                return values, torch.zeros_like(values)
            if not execution_of(self.unwrapped).head or hasattr(
                self.head, "base_layer"
            ):  # or an adapter on it
                return self._by_logits(row, temperature)
            chosen = self._hidden(row).index_select(0, row.predict)
            return token_logprobs(
                chosen,
                self.head.weight,
                row.targets,
                temperature=temperature,
                fixed=is_invariant(self.unwrapped),
            )

    def _hidden(self, row: Row) -> Tensor:
        """The last states `[T, width]` of the row's tokens."""
        body = self.unwrapped.base_model
        if execution_of(self.unwrapped).flat:
            states: Tensor = body(
                input_ids=row.ids[None],
                position_ids=row.layout.positions[None],
                use_cache=False,
                layout=layout_for(self.unwrapped, row.layout),
            ).last_hidden_state[0]
            return states
        each = (call(body, row.ids[None, part], use_cache=False) for part in row.parts)
        return torch.cat([made.last_hidden_state[0] for made in each])

    def _by_logits(self, row: Row, temperature: float) -> tuple[Tensor, Tensor]:
        """As `compute`, where logits are more than hidden states times weights. Those of all targets exist at
        once.
        """
        if execution_of(self.unwrapped).flat:
            layout = layout_for(self.unwrapped, row.layout)
            logits = flat_logits(self.unwrapped, row.ids, layout, row.layout.positions, row.predict)
        else:
            logits = torch.cat(
                [native_logits(self.unwrapped, row.ids[part], keep) for part, keep in row.predicted()]
            )
        logp = torch.log_softmax(logits.float() / temperature, -1)
        with torch.no_grad():
            entropy = torch.special.entr(logp.exp()).sum(-1)
        return logp.gather(-1, row.targets[:, None])[:, 0], entropy

    def _precision(self) -> Any:
        if self.autocast:
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def reference(self) -> contextlib.AbstractContextManager[Any]:
        """Under LoRA: the model without its adapters."""
        return self.model.disable_adapter() if self.lora else contextlib.nullcontext()

    def save(
        self,
        directory: Path | None,
        tokenizer: Any,
        weights: Iterable[Piece] | None = None,
        *,
        dtype: str = "auto",
        shard: float = 50.0,
    ) -> None:
        """A plain Hugging Face checkpoint; adapters are merged into the weights, and in `adapter/` by
        themselves.

        `weights` are those to write, one at a time, where the model does not hold them. Without a `directory`
        nothing is written, and this rank only helps to gather them. `dtype` auto is that of the model it
        began with; `shard` is the size of the largest file in GB.
        """
        kept = getattr(torch, checkpoint.dtype_of(self.name) if dtype == "auto" else dtype)
        size = int(shard * 1e9)
        model = self.model
        if self.lora:
            with gathered([weight for _, weight in self.parameters()]):
                if directory is not None:
                    adapter.write(model, self.name, directory / "adapter")
        if directory is None:
            shards.write(None, "model", weights or ())
            return
        if self.lora and weights is None:
            import copy

            model = copy.deepcopy(model).merge_and_unload()
        if weights is None:
            # transformers loads DeepSpeed here where it is installed, which warns of a missing GPU otherwise.
            os.environ.setdefault("DS_ACCELERATOR", self.device.type)
            with kept_as_is(model, directory):
                model.save_pretrained(directory, state_dict=_cast(model, kept), max_shard_size=size)
        else:
            shards.write(directory, "model", _with_buffers(self.unwrapped, weights, kept), size)
        held, model.config.dtype = model.config.dtype, kept
        try:
            write_settings(model, directory)
        finally:
            model.config.dtype = held
        tokenizer.save_pretrained(directory)
        checkpoint.take_over(self.name, directory, generates=not self.rewards)


def _cast(model: Any, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's state with its trainable kind of weights in `dtype`; weights that are one stay one."""
    made: dict[int, Tensor] = {}
    state = dict(model.state_dict())
    for name, weight in model.named_parameters(remove_duplicate=False):
        if name in state and _follows(model, name, weight.dtype):
            if id(weight) not in made:
                made[id(weight)] = weight.detach().to(dtype)
            state[name] = made[id(weight)]
    return state


def _follows(model: Any, name: str, dtype: torch.dtype) -> bool:
    """Whether a weight in `dtype` is kept in the checkpoint's type: some parts must stay in float32."""
    exact = {*(model._keep_in_fp32_modules or ()), *(model._keep_in_fp32_modules_strict or ())}
    return dtype.is_floating_point and not any(part in name for part in exact)


def _with_buffers(model: Any, weights: Iterable[Piece], dtype: torch.dtype) -> Iterator[Piece]:
    """The weights in `dtype`, then what the model's state has besides."""
    for each in weights:
        yield each._replace(dtype=dtype) if _follows(model, each.name, each.dtype) else each
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    yield from (piece(name, value) for name, value in model.state_dict().items() if name not in known)


def gathered(weights: Any) -> contextlib.AbstractContextManager[Any]:
    """Gathers a weight, or a list of them, of which DeepSpeed has left this process only a share."""
    each = weights if isinstance(weights, list) else [weights]
    if not any(hasattr(weight, "ds_id") for weight in each):
        return contextlib.nullcontext()
    import deepspeed

    gathered: contextlib.AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(weights)
    return gathered


def _targets(lora: Lora) -> str | list[str]:
    """The names of the layers that get adapters, or "all-linear"."""
    if lora.lora_targets == "all-linear":
        return lora.lora_targets
    return [name.strip() for name in lora.lora_targets.split(",") if name.strip()]


def _check_targets(name: str, targets: list[str], *, trust: bool) -> None:
    """Raises UsageError for a target that no layer has in its name, before the weights are loaded."""
    hide_unneeded()
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with loading(name, trust=trust):
            config = AutoConfig.from_pretrained(name, trust_remote_code=trust)
            model = described(AutoModelForCausalLM, config, trust=trust)
    except R1Error:  # it is told where the model is loaded
        return
    layers = [] if model is None else [key for key, _ in model.named_modules()]
    for target in targets:
        if layers and not any(key == target or key.endswith(f".{target}") for key in layers):
            linear = (key for key, layer in model.named_modules() if isinstance(layer, torch.nn.Linear))
            known = ", ".join(dict.fromkeys(key.rpartition(".")[2] for key in linear))
            raise UsageError(f"--lora-targets: {name} has no layer {target!r}; its linear ones are {known}")


def _adapted(model: Any, lora: Lora, seed: int, *, planned: bool) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    try:
        adapted: Any = get_peft_model(
            model,
            LoraConfig(
                r=lora.lora,
                lora_alpha=lora.lora_alpha,  # type: ignore[arg-type]  # peft takes floats too
                target_modules=_targets(lora),
                lora_dropout=0.0,
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        raise UsageError(f"--lora-targets {lora.lora_targets}: {error}") from error
    if planned:
        return adapted
    execution = execution_of(adapted.get_base_model())
    adapted.get_base_model().set_attn_implementation(ATTENTION if execution.flat else execution.attention)
    return adapted
