"""The model card of a checkpoint that r1 trained: data, options, figures and curves, as README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.checkpoints.checkpoint import read_manifest
from stages.checkpoints.hub import NAME
from stages.checkpoints.template import home_of
from stages.records import jsonl
from stages.records.record import Record
from stages.settings import distill, grpo, sft
from stages.settings.options import recorded

CARD = "README.md"
METRICS, HELD_OUT = "metrics.jsonl", "eval.jsonl"  # figures of steps, and of evaluations in the run
ROWS = 12  # steps of the curves that are shown
CURVES = ("loss", "reward", "reward_std", "completions/mean_length", "entropy", "kl", "learning_rate")
MEASURED = ("name", "loss", "pass@1", "pass@1_low", "pass@1_high", "problems", "k", "completions/mean_length")
LICENSE = re.compile(r"(?m)^license:[ \t]*+(\S+)")
# The folders of a path of this machine, wherever it stands in an option: `judge:model=/home/me/ckpt`.
FOLDERS = re.compile(r"""(?:^|(?<=[:=,"'\s]))(?:~\w*|\.\.)?/(?=[\w.~-])(?:[^,*]*/)?(?=[^,*/])""")
NOWHERE = Path()
# What each stage does where it is told nothing more.
USUAL: dict[str, dict[str, Any]] = {
    "sft": recorded(sft.Settings(model="", out=NOWHERE)),
    "grpo": recorded(grpo.Settings(model="", out=NOWHERE)),
    "distill": recorded(distill.Settings(model="", teacher="", out=NOWHERE)),
}


def training_of(source: Path) -> dict[str, Any]:
    """The manifest of the training that made `source`, or {}; what was converted names what made it."""
    own = read_manifest(home_of(source))
    made = (own.get("inputs") or {}).get("training") or own
    return made if made.get("stage") in USUAL else {}


def figures_of(source: Path) -> list[Path]:
    """The files with the figures of its training that are there."""
    return [file for name in (METRICS, HELD_OUT) if (file := home_of(source) / name).is_file()]


def license_of(source: Path) -> str:
    """The licence that a card beside the weights names, or "". It is that of what was trained on."""
    for folder in (source, source.parent):
        if (folder / CARD).is_file() and (folder == source or source.name == "adapter"):
            text = (folder / CARD).read_text("utf-8", errors="replace")
            head, closed, _ = text.removeprefix("---\n").partition("\n---")
            found = LICENSE.search(head) if text.startswith("---\n") and closed else None
            if found:
                return found[1]
    return ""


def card(name: str, training: Mapping[str, Any], files: Sequence[Path], *, library: str, license: str) -> str:
    """The card of the model `name` that `training`, a manifest, made. `library` is what loads it.

    `files` are those that `figures_of` finds. Paths of this machine are told by their last part.
    """
    stage: str = training["stage"]
    parent, options = training.get("parent") or {}, training.get("options") or {}
    base = _shown(parent.get("model"))
    head = {"library_name": library, "pipeline_tag": "text-generation", "tags": f"[r1, {stage}]"}
    named = parent.get("revision") == parent.get("model")  # on the hub: a directory's is a digest
    if named and "/" in base and NAME.fullmatch(base):
        head["base_model"] = base
    if license:
        head["license"] = license
    figures = _table(("figure", "value"), _flat(training.get("metrics") or {}))
    parts = [
        "\n".join(["---", *(f"{key}: {value}" for key, value in head.items()), "---"]),
        f"# {name}",
        f"`r1 {stage}` trained it from {base} (revision `{parent.get('revision')}`), with prompts under the "
        f"template `{_shown(options.get('student_template') or options.get('template'))}`.",
        "## Data\n\n" + _table(("", ""), _flat(training.get("inputs") or {})),
        "## Options\n\nThose that differ from `r1 " + stage + "`'s own; `r1.json` has all.\n\n"
        + _table(("option", "value"), _changed(stage, options)),
        "## Figures\n\nOf the last step.\n\n" + figures,
        *_measured(files),
        "## Made with\n\n" + _table(("", ""), _flat(training.get("versions") or {})),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _changed(stage: str, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    usual = dict(_flat(USUAL[stage]))
    for name, value in _flat(options):
        if value != usual.get(name) and name not in ("model", "out"):
            yield name, value


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _measured(files: Sequence[Path]) -> Iterator[str]:
    """The course of the run in a dozen of its steps, and what its evaluations found."""
    shown = {METRICS: ("Curves", CURVES), HELD_OUT: ("Held-out", MEASURED)}
    for file in files:
        title, columns = shown[file.name]
        lines = jsonl.read_file(file)
        history = [line for line in lines if any(line.get(name) is not None for name in columns)]
        names = [name for name in ("step", *columns) if any(entry.get(name) is not None for entry in history)]
        if history:
            rows = ([entry.get(name) for name in names] for entry in _spread(history))
            yield f"## {title}\n\n" + _table(names, rows)


def _spread(history: Sequence[Record]) -> list[Record]:
    """At most `ROWS` entries at even distances, the first and the last among them."""
    last = len(history) - 1
    shown = {round(last * row / (ROWS - 1)) for row in range(ROWS)}
    return [entry for place, entry in enumerate(history) if place in shown]


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    """A value in a cell: figures with four digits, a path of this machine by its last part."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return FOLDERS.sub("", " ".join(str(value).split())).replace("|", "\\|")
