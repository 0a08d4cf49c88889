"""A model whose weights are not read before they are wanted, one at a time: for a process that keeps a share.

transformers lays it out and says which tensor of the files each weight is, as it does for a model that it
loads. Until a weight is read a single number that is none stands for all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.checkpoints.files_in_use import refuse_changed, stamps
from stages.checkpoints.hub import folder_of
from stages.checkpoints.loading import loading, refuse_gaps
from stages.checkpoints.parse import INDEX, WEIGHTS, read_json
from stages.checkpoints.shards import Ranges


class Unread:
    """Where the weights of a model lie, and how they come into it for a while."""

    def __init__(self, model: str, held: Ranges, names: dict[Tensor, str]) -> None:
        """`names` are those in the files."""
        self.model, self._held, self._names = model, held, names
        self._stamps = stamps(model)

    def __contains__(self, weight: Tensor) -> bool:
        return weight in self._names

    def read(self, weight: Tensor) -> Tensor:
        """All numbers of a weight, in its own form and type. Raises what `Ranges.read` does."""
        return self._held.whole(self._names[weight]).to(weight.dtype)

    def refuse_changed(self) -> None:
        """Raises StreamError where the files are not those that were laid out."""
        refuse_changed(self.model, self._stamps)

    @contextlib.contextmanager
    def filled(self, weights: Iterable[Tensor]) -> Iterator[None]:
        """Within it the `weights` have their numbers."""
        kept = [(weight, weight.data) for weight in weights if weight in self]
        try:
            for weight, void in kept:
                weight.data = self.read(weight).to(void.device)
            yield
        finally:
            for weight, void in kept:
                weight.data = void


def lay_out(
    model: str, described: Any, device: str, attention: str | None = None
) -> tuple[Any, Unread] | None:
    """`model` in float32 without the numbers of its weights, and where those are.

    `described` is one of the same class, of weights without values. None where transformers does more with
    the files' tensors than to name them anew, as where it joins the experts of a layer or where they are
    quantised; and for a name on the hub that is not downloaded. Raises what loading the model does.
    """
    paths = files_of(model)
    if not paths or getattr(described.config, "quantization_config", None):
        return None
    held = Ranges(paths)
    forms = {name: _Form(held.shape(name), _kind(held, name)) for name in held}
    places = {form.tensor.untyped_storage()._cdata: name for name, form in forms.items()}
    with loading(model, "the weights of "):
        made, info = type(described).from_pretrained(
            None,
            config=described.config,
            state_dict=forms,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **({"attn_implementation": attention} if attention else {}),
        )
    refuse_gaps(model, info)
    found: dict[Tensor, str] = {}
    made_of: dict[int, torch.nn.Parameter] = {}  # what stands for a weight, in each module that has it
    for module in made.modules():
        for name, weight in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(weight) not in made_of:
                place = places.get(weight.untyped_storage()._cdata) if weight.is_meta else None
                if place is None or held.shape(place) != list(weight.shape):
                    return None
                void = torch.full((1,), torch.nan, dtype=weight.dtype, device=device).expand(weight.shape)
                made_of[id(weight)] = torch.nn.Parameter(void, requires_grad=weight.requires_grad)
                found[made_of[id(weight)]] = place
            setattr(module, name, made_of[id(weight)])
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                place = places.get(buffer.untyped_storage()._cdata)
                if place is None:
                    return None
                buffer = held.whole(place).to(buffer.dtype)
            module._buffers[name] = buffer.to(device)
    unread = Unread(model, held, found)
    _tie(made, unread)
    return made.eval(), unread


def files_of(model: str) -> list[Path]:
    """The files that transformers reads a model's weights from; none where one is not on this machine."""
    folder = folder_of(model)
    if folder is None:
        return []
    paths = [folder / WEIGHTS]
    if not paths[0].is_file() and (folder / INDEX).is_file():
        paths = [folder / name for name in sorted(set(read_json(folder / INDEX)["weight_map"].values()))]
    return paths if all(path.is_file() for path in paths) else []


def _tie(made: Any, unread: Unread) -> None:
    """Ties weights that the files have twice, if their numbers are the same: without them transformers cannot
    know.
    """
    weights = dict(made.named_parameters(remove_duplicate=False))
    tied = getattr(made, "all_tied_weights_keys", {})
    pairs = [(weights.get(target), weights.get(source)) for target, source in tied.items()]
    if any(target is not source for target, source in pairs):
        known = {id(weight): weight for pair in pairs for weight in pair if weight is not None}
        with unread.filled(known.values()):
            made.tie_weights(missing_keys=set(), recompute_mapping=False)


class _Form:
    """A tensor without numbers, that goes wherever transformers would put one."""

    def __init__(self, shape: list[int], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype, device="meta")

    def __getitem__(self, _: Any) -> _Form:
        return self

    def to(self, *, device: Any = None, dtype: torch.dtype | None = None) -> Tensor:
        return self.tensor


def _kind(held: Ranges, name: str) -> torch.dtype:
    """Numbers with a point are wanted in float32."""
    kind = held.dtype(name)
    return torch.float32 if kind.is_floating_point else kind
