"""Records in the forms that other trainers read: the way back from stages/data/formats.py.

Only what the other program reads is written, in a fixed set of columns, so that every line has the same type
as parquet and `datasets` demand it. What a template had opened (`prefill`) is part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stages.data.errors import BadInput
from stages.data.record import Record, group_of, need, place_of, said_by
from stages.data.templates import messages_of

GENERATE_FIRST = "it takes completions: run r1 generate first"


def exported(records: Iterable[Record], form: str) -> Iterator[Record]:
    """The records as rows of `form`, one of FORMS.

    verl's rows are problems, so the completions of one problem, which stand together, become one row.
    Raises BadInput for a record that lacks what the form needs.
    """
    last: str | None = None
    for number, record in enumerate(records):
        if form == "verl":
            group = group_of(record)
            if group == last:
                continue
            last = group
        yield Record(FORMS[form](record, number), place=record.place)


def _messages(record: Record, number: int) -> dict[str, Any]:
    turns = [*messages_of(record), {"role": "assistant", "content": answer_text(record)}]
    return {"id": _id(record, number), "messages": turns}


def _prompt_completion(record: Record, number: int) -> dict[str, Any]:
    """TRL wants both as strings, or both as chat turns."""
    prompt = need(record, "prompt", (str, list), "a string, or a list of {role, content} messages")
    text = answer_text(record)
    completion = text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
    return {"id": _id(record, number), "prompt": prompt, "completion": completion}


def _sharegpt(record: Record, number: int) -> dict[str, Any]:
    speakers = {"user": "human", "assistant": "gpt"}
    turns = [
        {"from": speakers.get(turn["role"], turn["role"]), "value": turn["content"]}
        for turn in [*messages_of(record), {"role": "assistant", "content": answer_text(record)}]
    ]
    return {"id": _id(record, number), "conversations": turns}


def _verl(record: Record, number: int) -> dict[str, Any]:
    answer = record.get("answer")
    if answer is None:
        raise BadInput(
            "field 'answer' is missing",
            place=place_of(record),
            remedy="verl scores by ground_truth",
        )
    origin = said_by(record, "prompts")
    return {
        "data_source": str(origin.get("source", "r1")),
        "prompt": messages_of(record),
        "ability": str(record.get("ability", "math")),
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {"split": origin.get("split"), "index": number, "id": group_of(record)},
    }


FORMS: dict[str, Callable[[Record, int], dict[str, Any]]] = {
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "sharegpt": _sharegpt,
    "verl": _verl,
}


def answer_text(record: Record) -> str:
    """The whole answer: what the template had opened and what the model wrote."""
    text: str = need(record, "completion", str, GENERATE_FIRST)
    return str(record.get("prefill") or "") + text


def _id(record: Record, number: int) -> str:
    return str(record.get("id", number))
