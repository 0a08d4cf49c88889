"""A checkpoint, or an adapter by itself, as a directory: another type, other files, a model card."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from stages.checkpoints import shards, weights
from stages.checkpoints.adapter import WEIGHTS
from stages.checkpoints.checkpoint import appearing, read_manifest, take_over, write_manifest
from stages.checkpoints.contents import ADAPTER
from stages.checkpoints.parse import read_json, weights_of
from stages.checkpoints.template import chat_template_of
from stages.conversion import card
from stages.conversion.plan import Plan
from stages.settings.groups import Engine

manifest_of = read_manifest


def make(plan: Plan, out: Path) -> dict[str, Any]:
    """Makes `out`, and returns its manifest. No more than one tensor of the weights is held, but to merge."""
    with appearing(out) as directory:
        fill(plan, directory)
        training = plan.inputs.get("training")
        if training:
            files = card.figures_of(plan.learned)
            text = card.card(
                out.name,
                training,
                files,
                library="peft" if plan.alone else "transformers",
                license=card.license_of(plan.source),
            )
            (directory / card.CARD).write_text(text, "utf-8")
            for file in files:
                shutil.copyfile(file, directory / file.name)
        return write_manifest(
            directory,
            stage="convert",
            options=plan.options,
            parent=plan.parent,
            inputs=plan.inputs,
            metrics={"parameters": weights_of(directory).elements},
        )


def fill(plan: Plan, directory: Path) -> None:
    """Puts into `directory` the weights, and what of the source belongs to them."""
    if plan.alone:
        shutil.copyfile(plan.source / ADAPTER, directory / ADAPTER)
        stem = Path(WEIGHTS).stem
        pieces = weights.cast_pieces(shards.pieces(plan.source, stem), plan.dtype, set())
        shards.write(directory, stem, pieces, math.inf)
        return
    held = plan.source
    if plan.adapter is not None:
        held = directory / ".merged"
        _merge(plan.source, plan.adapter, held)
    exact = weights.exact_parts(read_json(plan.source / "config.json"))
    pieces = weights.cast_pieces(shards.pieces(held, weights.stem_of(held)), plan.dtype, exact)
    shards.write(directory, "model", pieces, int(plan.shard * 1e9))
    if held != plan.source:
        shutil.rmtree(held)
    if plan.adapter is not None and (own := chat_template_of(plan.adapter)) is not None:
        (directory / "chat_template.jinja").write_text(own, "utf-8")
    take_over(str(plan.source), directory)
    weights.declare(directory, plan.dtype)


def _merge(source: Path, adapter: Path, directory: Path) -> None:
    """Makes `directory` with the model and its adapter in one, in float32."""
    from stages.checkpoints.companions import kept_as_is
    from stages.inference.transformers.model import load_model

    model: Any = load_model(str(source), Engine(device="cpu", dtype="float32"), adapter)
    directory.mkdir()
    with kept_as_is(model, directory):
        model.save_pretrained(directory)
