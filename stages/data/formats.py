"""What the ecosystem writes, as records: each row says by its fields which format it is in.

| format | fields | becomes |
|---|---|---|
| record, TRL prompt-completion | `prompt`, `completion` | the same; chat turns of a completion become its text |
| TRL messages | `messages` | the turns before the last answer are the prompt |
| ShareGPT | `conversations` [{from, value}], `system` | as messages |
| OpenR1-Math | `problem`, `answer`, `generations` [text] | one record for each generation |
| verl | `prompt` [chat], `reward_model` {ground_truth} | prompt, answer |
| MATH, AIME | `problem`, `answer` or `solution` | prompt, answer |
| GSM8K | `question`, `answer` ("… #### N") | prompt, answer N, the rest as `solution` |
| Alpaca | `instruction`, `input`, `output` | prompt, completion |

Any other is read by a mapping of fields: `prompt=question`, `answer=meta.target`, or a text with
fields in braces, `prompt={Body} {Question}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stages.data.errors import BadInput, UsageError
from stages.data.record import Record, kind_of, need, place_of
from stages.data.templates import message_of, messages_of

KNOWN = (
    "prompt, messages, conversations, problem, question or instruction, or say which field is what: "
    "--map prompt=FIELD --map answer=FIELD"
)
IDS = ("id", "uuid", "unique_id", "task_id", "ID")
ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
# Lists beside OpenR1's `generations` that hold one entry for each of them.
PARALLEL = (
    "finish_reasons",
    "correctness_math_verify",
    "correctness_llama",
    "is_reasoning_complete",
    "api_metadata",
)
FIELD = re.compile(r"\{([^{}]+)\}")


def records_of(
    rows: Iterable[Record], *, stem: str, mapping: Mapping[str, str] | None = None
) -> Iterator[Record]:
    """Rows to records with unique ids; a row without one is called `<stem>-<n>`, n counted from 0.

    Raises BadInput for a row in no known format and for an id that came before.
    """
    seen: set[int] = set()
    for number, row in enumerate(rows):
        for record in understood(row, name=f"{stem}-{number}", mapping=mapping):
            mark = hash(record["id"])
            if mark in seen:
                raise BadInput(
                    f"id {record['id']!r} came before",
                    place=place_of(record),
                    remedy="ids must be unique; make new ones with --map id=",
                )
            seen.add(mark)
            yield record


def understood(
    row: Record, *, name: str, mapping: Mapping[str, str] | None = None
) -> Iterator[Record]:
    """The record, or records, that one row holds; `name` is its id where it has none of its own."""
    if mapping:
        row = mapped(row, mapping)
    fields = Record(row, place=row.place)
    found = next((fields[key] for key in IDS if isinstance(fields.get(key), (str, int))), None)
    fields["id"] = name if found is None or found == "" else str(found)
    if "generations" in fields:
        yield from _generations(fields)
        return
    if "conversations" in fields:
        fields = _sharegpt(fields)
    elif "messages" in fields and "prompt" not in fields:
        fields = _split_turns(fields, fields.pop("messages"))
    elif "reward_model" in fields:
        fields = _verl(fields)
    elif "prompt" not in fields:
        fields = _question(fields)
    yield _ordered(fields)


def mapped(row: Record, mapping: Mapping[str, str]) -> Record:
    """The row with `mapping`'s targets made from its fields; the fields they are made from are dropped.

    A source is a field, a dotted path into objects, or text with fields in braces; an empty one
    removes its target.
    """
    made: dict[str, Any] = {}
    used: set[str] = set()
    for target, source in mapping.items():
        if FIELD.search(source):
            made[target] = FIELD.sub(lambda match: text_of(_look(row, match[1], used)), source)
        elif source:
            made[target] = _look(row, source, used)
        else:
            used.add(target)
    rest = {key: value for key, value in row.items() if key not in used}
    return Record({**rest, **made}, place=row.place)


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`FIELD=SOURCE` pairs of a command line. Raises UsageError for another form."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        target, mark, source = pair.partition("=")
        if not mark or not target:
            raise UsageError(f"--map {pair}: write FIELD=SOURCE, such as prompt=question")
        mapping[target] = source
    return mapping


def text_of(value: Any) -> str:
    """A value as an answer is written: whole floats without `.0`, text as it is."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _look(row: Record, path: str, used: set[str]) -> Any:
    if path in row:
        used.add(path)
        return row[path]
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            raise BadInput(
                f"no field {path!r}",
                place=place_of(row),
                remedy=f"it has {', '.join(row) or 'none'}",
            )
        value = value[part]
    return value


def _ordered(fields: Record) -> Record:
    """id, prompt and answer first, as everywhere; numbers as answers are written out."""
    if isinstance(fields.get("completion"), list):
        fields["completion"] = _last_words(fields, fields["completion"])
    messages_of(fields)  # raises BadInput where the prompt is none
    answer = fields.get("answer")
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        fields["answer"] = text_of(answer)
    first = {key: fields[key] for key in ("id", "prompt", "answer") if key in fields}
    return Record({**first, **fields}, place=fields.place)


def _last_words(fields: Record, turns: list[Any]) -> str:
    if len(turns) == 1 and isinstance(turns[0], dict) and isinstance(turns[0].get("content"), str):
        return str(turns[0]["content"])
    raise BadInput(
        f"a completion of {len(turns)} turns",
        place=place_of(fields),
        remedy="a completion is one answer: a string, or one {role, content} message",
    )


def _split_turns(fields: Record, turns: Any) -> Record:
    """Chat turns as the prompt and, where the last is the assistant's, the completion."""
    if not isinstance(turns, list) or not turns:
        raise BadInput(
            "messages hold no turns",
            place=place_of(fields),
            remedy="a list of {role, content} messages",
        )
    clean = [{**message_of(turn, fields), **turn} for turn in turns]
    if clean[-1]["role"] == "assistant":
        if len(clean) == 1:
            raise BadInput(
                "an answer without a question",
                place=place_of(fields),
                remedy="a user's message must come before the assistant's",
            )
        fields["completion"] = clean.pop()["content"]
    alone = len(clean) == 1 and clean[0]["role"] == "user"
    fields["prompt"] = clean[0]["content"] if alone else clean
    return fields


def _sharegpt(fields: Record) -> Record:
    turns = need(fields, "conversations", list, "a list of {from, value} turns")
    del fields["conversations"]
    messages = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise BadInput(
                f"a turn is {kind_of(turn)}",
                place=place_of(fields),
                remedy="conversations are a list of {from, value} turns",
            )
        entry = Record(turn, place=fields.place)
        speaker = entry.get("from", entry.get("role"))
        if speaker not in ROLES:
            raise BadInput(
                f"a turn is from {speaker!r}",
                place=place_of(fields),
                remedy=f"known speakers are {', '.join(ROLES)}",
            )
        text = "value" if "value" in entry else "content"
        messages.append(
            {"role": ROLES[speaker], "content": need(entry, text, str, "each turn needs text")}
        )
    system = fields.pop("system", None)
    if system:
        messages.insert(0, {"role": "system", "content": str(system)})
    return _split_turns(fields, messages)


def _generations(fields: Record) -> Iterator[Record]:
    """OpenR1-Math: a problem with several solutions. One without any stays a problem."""
    texts = fields.pop("generations") or []
    beside = {key: fields.pop(key) or [] for key in PARALLEL if key in fields}
    fields.pop("messages", None)  # the first correct generation again
    name = fields["id"]
    problem = _ordered(fields if "prompt" in fields else _question(fields))
    if not texts:
        yield problem
    for k, text in enumerate(texts):
        own = {key: values[k] for key, values in beside.items() if k < len(values)}
        finish = own.pop("finish_reasons", None)
        if not isinstance(text, str):
            raise BadInput(
                f"generation {k} is {type(text).__name__}",
                place=place_of(problem),
                remedy="generations are a list of texts",
            )
        made = problem.adding(id=f"{name}#{k}", group=name, sample=k, completion=text)
        if finish in ("stop", "length"):
            made["finish"] = finish
        made.update(own)
        yield made


def _verl(fields: Record) -> Record:
    rule = need(fields, "reward_model", dict, "verl's {style, ground_truth}")
    turns = fields.get("prompt")
    if isinstance(turns, list):
        fields = _split_turns(fields, turns)
    if rule.get("ground_truth") is not None:
        fields["answer"] = rule["ground_truth"]
    del fields["reward_model"]
    return fields


def _question(fields: Record) -> Record:
    """A problem in its own field, with a final answer or a solution that ends in one."""
    source = next(
        (key for key in ("problem", "question", "instruction") if isinstance(fields.get(key), str)),
        None,
    )
    if source is None:
        raise BadInput(
            f"in no known format: its fields are {', '.join(key for key in fields if key != 'id') or 'none'}",
            place=place_of(fields),
            remedy=f"expected {KNOWN}",
        )
    fields["prompt"] = fields.pop(source)
    if source == "instruction":
        more = fields.pop("input", None)
        if more:
            fields["prompt"] += f"\n\n{more}"
        if "output" in fields:
            fields["completion"] = fields.pop("output")
    answer = fields.get("answer")
    if isinstance(answer, str) and "####" in answer:
        steps, _, final = answer.rpartition("####")
        fields["answer"] = final.strip()
        fields.setdefault("solution", steps.strip())
    elif "answer" not in fields and isinstance(fields.get("solution"), str):
        boxed = last_boxed(fields["solution"])
        if boxed is not None:
            fields["answer"] = boxed
    return fields


def last_boxed(text: str) -> str | None:
    """What the last `\\boxed{…}` of a solution holds, braces matched; None where there is none."""
    start = text.rfind("\\boxed{")
    depth = 0
    for at in range(start + len("\\boxed"), len(text) if start >= 0 else 0):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + len("\\boxed{") : at].strip()
    return None
