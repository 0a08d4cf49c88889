"""Arena-Hard: 500 hard requests of users with a baseline's answers, for a model that judges to compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import FOLDER, local, rows_of
from stages.formats.tables import read_rows
from stages.records.record import Record, bad_record, object_of
from stages.runtime.errors import Unavailable, UsageError

SPLITS = ("train",)  # the hub's name for all of it
REWARDS = ("arena_hard",)
SAMPLES = 1
ROOM = "arena-hard-v0.1"  # the folder in the authors' repository
HUB = "lmarena-ai/arena-hard-auto-v0.1"


def problems(
    *, split: str = "train", data: Path | None = None, baseline: str = "gpt-4-0314"
) -> Iterator[Record]:
    """Records with `baseline` and `baseline_answer`. Source: arXiv 2406.11939, under Apache-2.0.

    `--set baseline=NAME` takes the answers of another model, from its file. Both forms that questions and
    answers were published in are read. Raises Unavailable where the answers are missing.
    """
    if "/" in baseline or baseline.startswith("."):
        raise UsageError(f"--set baseline={baseline}: the name of a model alone, such as gpt-4-0314")
    file = f"{ROOM}/model_answer/{baseline}.jsonl"
    found = local(file, data)
    if found is None:
        raise Unavailable(
            f"arena_hard needs the answers of its baseline, which the authors' repository has: let {FOLDER} "
            f"name a folder that holds {file}"
        )
    answers = dict(_answer(row) for row in read_rows(str(found)))
    rows = rows_of(file=f"{ROOM}/question.jsonl", hub=(HUB, None, split), data=data)
    return (_problem(row, baseline, answers) for row in rows)


def _problem(row: Record, baseline: str, answers: dict[str, str]) -> Record:
    name, turns = _name(row), row.get("turns")
    prompt: Any = row.get("prompt") if turns is None else _first(turns).get("content")
    if not isinstance(prompt, str) or not prompt:
        raise bad_record(row, "no text in 'prompt' or 'turns'", WHOLE)
    if name not in answers:
        raise bad_record(row, f"{baseline} has no answer to {name}", "give the answers to these questions")
    about = {key: row[key] for key in ("category", "subcategory", "cluster") if key in row}
    fields = {"id": f"arena_hard-{name}", "prompt": prompt, "baseline": baseline}
    return Record({**fields, "baseline_answer": answers[name], **about}, place=row.place)


def _answer(row: Record) -> tuple[str, str]:
    """A question's name, and what the model answers it."""
    if "choices" in row:
        said: Any = _first(_first(row["choices"]).get("turns")).get("content")
    else:
        messages: Any = row.get("messages")
        said = object_of(messages[-1]).get("content") if isinstance(messages, list) and messages else None
        said = said.get("answer") if isinstance(said, dict) else said
    if not isinstance(said, str):
        raise bad_record(row, "no answer in 'choices' or 'messages'", WHOLE)
    return _name(row), said


def _name(row: Record) -> str:
    name = row.get("uid", row.get("question_id"))
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise bad_record(row, "no field 'uid' or 'question_id'", WHOLE)
    return str(name)


def _first(values: Any) -> dict[str, Any]:
    """The first of a list, where it is an object."""
    return object_of(values[0]) if isinstance(values, list) and values else {}
