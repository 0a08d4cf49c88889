"""Which prompt template a checkpoint answers to, with or without an adapter, where the user names none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from stages.checkpoints.checkpoint import MANIFEST, read_manifest
from stages.checkpoints.contents import can_chat
from stages.checkpoints.parse import read_json
from stages.runtime import text_file


class Choice(NamedTuple):
    """A template's name, the beginning of the answer that goes with it (None: its own), and why this one."""

    name: str
    prefill: str | None
    why: str


def home_of(source: Path) -> Path:
    """The directory that has the manifest: that of an adapter may be the checkpoint around it."""
    return source.parent if source.name == "adapter" and not (source / MANIFEST).is_file() else source


def choose_template(model: str, otherwise: str, adapter: Path | None = None) -> Choice:
    """The template that `model` was trained with, else chat where it can chat, else `otherwise`.

    An `adapter` was trained last, so what it says comes first. A name on the hub, or of a server, can chat.
    Raises BadInput where `r1.json` cannot be read.
    """
    if adapter is not None:
        trained = _trained_with(home_of(adapter), "its adapter's")
        if trained is not None:
            return trained
        if can_chat(str(adapter)):
            return Choice("chat", None, "its adapter's own")
    if not os.path.isdir(model):
        return Choice("chat", None, "the model's own")
    trained = _trained_with(Path(model), "its")
    if trained is not None:
        return trained
    if can_chat(model) is not False:
        return Choice("chat", None, "the model's own")
    return Choice(otherwise, None, "it has no chat template")


def _trained_with(directory: Path, whose: str) -> Choice | None:
    """What the manifest in `directory` says; None where it says nothing."""
    manifest = read_manifest(directory)
    options = manifest.get("options") or {}
    for key in ("student_template", "template"):  # a student may learn under another than its teacher's
        if isinstance(options.get(key), str):
            prefill = options.get("prefill")
            return Choice(
                options[key],
                prefill if isinstance(prefill, str) else None,
                f"as r1.json of {whose} {manifest.get('stage', 'run')} says",
            )
    return None


def chat_template_of(directory: Path) -> str | None:
    """The chat template in a directory's files, as transformers looks for it; None where there is none."""
    file = directory / "chat_template.jinja"
    if file.is_file():
        return text_file.read(file)
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            found = read_json(directory / name).get("chat_template")
            if isinstance(found, list):  # several, by name
                named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
                found = named.get("default")
            if isinstance(found, str):
                return found
    return None
