"""What a checkpoint's directory holds, looked at before any library reads it: whole files that fit together.

Libraries meet a broken file with a dozen kinds of errors, and a configuration that lies with gigabytes of
memory. Here each ends the run with the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.checkpoints.checkpoint import read_manifest
from stages.checkpoints.hub import check_name
from stages.checkpoints.parse import Held, read_json, weights_of, wrong
from stages.records.templates import Template
from stages.runtime.errors import BadInput, Unavailable, UsageError

VOCABULARY = re.compile(r"tokenizer\.json|vocab\.\w+|tekken\.json|.*\.(model|tiktoken|spm|bpe|vocab)")
SETTINGS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
ADAPTER = "adapter_config.json"
CHAT_FILES = {"chat_template.jinja", "chat_template.json", "additional_chat_templates"}
PACKED = 16  # weights that one element of a quantised file may stand for
NO_TEMPLATE = "the model has no chat template; use --template r1-zero, none or a file"
LABELS = 1 << 16  # classes, for each of which a configuration makes names


def check_files(model: str) -> None:
    """Raises Unavailable where `model` is no checkpoint nor one on the hub, BadInput where it is broken.

    Only the configuration and the headers of the weights are read.
    """
    directory = Path(model)
    if not directory.is_dir():
        check_name(model)
        return
    _check_kinds(directory)
    read_manifest(directory)
    if not (directory / "config.json").is_file():
        if (directory / ADAPTER).is_file():
            raise Unavailable(
                f"{model} is a LoRA adapter, not a checkpoint: `r1 generate -m MODEL --adapter DIR` puts it "
                "onto the model that it is for, and so does r1 eval"
            )
        raise Unavailable(f"{model} is no checkpoint: it has no config.json")
    if (directory / ADAPTER).is_file():
        raise BadInput(
            "an adapter among a model's files",
            place=str(directory / ADAPTER),
            remedy="move it and its weights to a directory of their own, for `r1 generate --adapter DIR`",
        )
    _check_sizes(read_json(directory / "config.json"), weights_of(directory), directory)


def can_chat(model: str) -> bool | None:
    """Whether a directory of a model brings a chat template along; None where that does not show from here.

    A name on the hub says so only once its tokenizer is there, and some tokenizers have theirs in code.
    """
    directory = Path(model)
    if not directory.is_dir():
        return None
    names = {path.name for path in directory.iterdir()}
    if names & CHAT_FILES:
        return True
    if "tekken.json" in names or any(name.endswith(".py") for name in names):
        return None
    path = directory / "tokenizer_config.json"
    return bool(path.name in names and read_json(path).get("chat_template"))


def check_template(model: str, template: Template, adapter: Path | None = None) -> None:
    """Raises UsageError where `template` needs the chat template that neither a directory's files nor those
    of the `adapter` have."""
    own = adapter is not None and can_chat(str(adapter))
    if not template.body and can_chat(model) is False and not own:
        raise UsageError(NO_TEMPLATE)


def check_vocabulary(directory: Path, *, trusted: bool) -> None:
    """Raises BadInput where a directory has no tokenizer, or one whose small files are broken.

    transformers would make up one that knows no word. Code that is `trusted` may keep its words in other
    files.
    """
    if not directory.is_dir():
        return
    names = [path.name for path in directory.iterdir()]
    if not trusted and not any(map(VOCABULARY.fullmatch, names)):
        raise BadInput(
            "is not there, nor is another tokenizer",
            place=str(directory / "tokenizer.json"),
            remedy="copy tokenizer.json from where the model is from",
        )
    for name in SETTINGS:
        if name in names:
            read_json(directory / name)


def _check_kinds(directory: Path) -> None:
    """Raises BadInput for what is neither a file nor a directory: opening a pipe would wait for ever."""
    for path in sorted(directory.iterdir()):
        odd = path.exists() and not (path.is_file() or path.is_dir())
        if odd or (path.suffix in (".json", ".safetensors", ".jinja") and path.is_dir()):
            raise wrong(path, "is not a file")


def _check_sizes(config: dict[str, Any], held: Held, directory: Path) -> None:
    """Raises BadInput where the configuration speaks of more layers than tensors, or of absurd sizes.

    A model is laid out layer by layer before its weights are compared with the files, and that takes memory.
    """
    for name, value in _numbers(config):
        absurd = abs(value) >= 2**63
        layers = "layer" in name and value > 4 * held.tensors + 64
        layers |= name == "num_hidden_layers" and value < 1
        if absurd or layers or (name == "num_labels" and value > LABELS):
            raise wrong(
                directory / "config.json", f"{name} is {value:g}, and the weights are {held.tensors} tensors"
            )


def _numbers(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """All whole numbers inside a value of JSON, with the names they have there."""
    left: list[tuple[str, Any]] = [("", config)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left.extend(value.items())
        elif isinstance(value, list):
            left.extend((name, inner) for inner in value)
        elif type(value) is int:
            yield name, value


def refuse_excess(model: str, described: int, config: dict[str, Any]) -> None:
    """Raises BadInput where a directory's configuration describes far more weights than its files hold.

    `described` is how many the model would have. What is not in the files would be made up, and take memory
    before anyone looks.
    """
    directory = Path(model)
    held = weights_of(directory).elements
    # A matrix that input and output share may be described twice.
    if described > (PACKED if config.get("quantization_config") else 2) * held + 1:
        raise wrong(
            directory / "config.json",
            f"describes a model of {described:,} weights, and the files hold {held:,}",
        )
