"""What the ecosystem writes, as records: each row says by its fields which format it is in.

docs/data.md shows an example of each. Any other is read by a mapping of fields (stages/formats/mapping.py).
Rows with completions and without ids of their own are of one problem where their prompts are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.formats import conversations, harnesses, multiple_choice, requests
from stages.formats.conversations import split_turns, words_alone
from stages.formats.mapping import grouped, mapped, text_of
from stages.records.notes import Notes
from stages.records.record import Record, bad_record, digest, group_of, kind_of, need
from stages.records.references import HOLDERS, reference_in, unread
from stages.records.turns import answer_turns, turns_of

KNOWN = (
    "prompt, messages, conversations, problem, question or instruction; "
    "`r1 prompts FILE --map prompt=FIELD --map answer=FIELD` says which field is what"
)
IDS = ("id", "uuid", "unique_id", "task_id", "ID", "Record ID")
# Lists beside OpenR1's `generations` that hold one entry for each of them.
PARALLEL = (
    "finish_reasons",
    "correctness_math_verify",
    "correctness_llama",
    "is_reasoning_complete",
    "api_metadata",
)
UNREAD = (
    "no reference answer: {0!r} does not say which part of it is the answer; "
    "`r1 prompts FILE --map answer={0}` takes it whole"
)
EQUAL = "has the prompt of an earlier one, and is another completion of its problem (`group`)"
APART = (
    "has the prompt of an earlier one under another id, and is another problem; "
    "`r1 prompts FILE --map id=` makes them one"
)


@dataclass
class Reader:
    """Reads rows, one after the other; `notes` has what is to be said of all of them.

    `mapping` is that of `--map`, `index_base` what a place among options counts from (a JSON number's is 0),
    `requests` the problems by which the output of a batch is called.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    index_base: int | None = None
    requests: Mapping[str, Record] | None = None
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self._problems: dict[int, str] = {}  # a number for each prompt that was completed: its problem
        self._filters: dict[str, Any] = {}  # the one of lm-eval's that is read of each file, by its stem

    def records(self, row: Record, name: str) -> Iterator[Record]:
        """The record, or records, of one row; `name` is its id where it has none of its own.

        Raises BadInput for a row in no known format, or that breaks its format.
        """
        given = mapped(row, self.mapping) if self.mapping else row
        for record in self._understood(given, name):
            for target, source in self.mapping.items():
                if not source and target != "id":  # also one that its form is made into
                    record.pop(target, None)
                elif target == "group":
                    record = grouped(record, row, source)
            yield self._in_group(record, name)

    def _in_group(self, record: Record, name: str) -> Record:
        """The record under the problem of an earlier one that has its prompt, where neither has an id."""
        if "completion" not in record or "group" in record:
            return record
        prompt = record["prompt"]
        mark = hash(prompt) if isinstance(prompt, str) else hash(digest(prompt))
        own = group_of(record)
        first = self._problems.setdefault(mark, own)
        if first == own:
            return record
        if record["id"] != name:
            self.notes.add(APART, record)
            return record
        self.notes.add(EQUAL, record)
        return record.adding(group=first)

    def _understood(self, row: Record, name: str) -> Iterator[Record]:
        fields = Record(row, place=row.place)
        names = () if self.mapping.get("id") == "" else IDS
        found = next((fields[key] for key in names if isinstance(fields.get(key), (str, int))), None)
        fields["id"] = name if found is None or found == "" else str(found)
        several = self._several(fields, name)
        for each in several if several is not None else (self._one(fields),):
            yield self._whole(each)

    def _several(self, fields: Record, name: str) -> Iterator[Record] | None:
        """The records of a row that may have more than one; None where it has one."""
        if "custom_id" in fields and "response" in fields:
            return requests.answers(fields, self.requests, self.notes)
        if "doc_id" in fields and "resps" in fields:
            stem = name.rpartition("-")[0]
            read = self._filters.setdefault(stem, fields.get("filter"))
            if fields.get("filter") != read:
                self.notes.add(f"of another filter than {read!r}, with the same responses", fields)
                return iter(())
            fields["id"] = f"{stem}-{fields['doc_id']}"
            return harnesses.lm_eval(fields, self.notes)
        if "model_response" in fields and "doc" in fields:
            return harnesses.lighteval(fields)
        if "full_prompt" in fields and "predictions" in fields:
            return harnesses.lighteval_old(fields)
        return _generations(fields) if "generations" in fields else None

    def _one(self, fields: Record) -> Record:
        if "custom_id" in fields and "body" in fields:
            return requests.request(fields)
        if "preferred_output" in fields and "input" in fields:
            return requests.preferred(fields)
        if "conversations" in fields and "prompt" not in self.mapping:
            return conversations.sharegpt(fields)
        if "messages" in fields and "prompt" not in fields:
            return split_turns(fields, fields.pop("messages"))
        if "segments" in fields and "prompt" not in fields:
            return conversations.segments(fields)
        if "reward_model" in fields:
            return _verl(fields, self.mapping)
        if "rejected" in fields and conversations.holds_prompt(fields):
            return conversations.preference(fields)
        if "predict" in fields and "prompt" in fields:  # LLaMA-Factory's generated_predictions.jsonl
            fields["completion"] = fields.pop("predict")
            if isinstance(fields.get("label"), str):
                fields.setdefault("target", fields.pop("label"))
            return fields
        return fields if "prompt" in fields else _question(fields)

    def _whole(self, fields: Record) -> Record:
        """id, prompt and answer first, as everywhere; options shown, the reference found."""
        if isinstance(fields.get("completion"), list):
            fields["completion"] = words_alone(answer_turns(fields, "a text, or a list of messages"))
        turns_of(fields)  # raises BadInput where the prompt is none
        fields = with_reference(multiple_choice.with_options(fields, self.index_base, self.notes), self.notes)
        answer = fields.get("answer")
        if isinstance(answer, (int, float)) and not isinstance(answer, bool):
            fields["answer"] = text_of(answer)
        first = {key: fields[key] for key in ("id", "prompt", "answer") if key in fields}
        return Record({**first, **fields}, place=fields.place)


def records_of(rows: Iterable[Record], *, stem: str, reader: Reader | None = None) -> Iterator[Record]:
    """Rows to records with unique ids; a row without one is called `<stem>-<n>`, n counted from 0.

    Raises BadInput for a row in no known format and for an id that came before.
    """
    reader = reader or Reader()
    seen: set[int] = set()
    for number, row in enumerate(rows):
        for record in reader.records(row, f"{stem}-{number}"):
            mark = hash(record["id"])
            if mark in seen:
                raise bad_record(
                    record,
                    f"id {record['id']!r} came before",
                    "ids must be unique; `r1 prompts FILE --map id=` makes new ones",
                )
            seen.add(mark)
            yield record


def with_reference(fields: Record, notes: Notes) -> Record:
    """The record with the reference that one of its fields holds, as `answer`, where it has none."""
    if fields.get("answer") not in (None, "") or HOLDERS.isdisjoint(fields):
        return fields
    found = reference_in(fields)
    if found is not None:
        notes.add(f"the reference answer is {found.where}", fields)
        return fields.adding(answer=found.answer)
    if (name := unread(fields)) and "completion" not in fields:
        notes.add(UNREAD.format(name), fields)
    return fields


def _generations(fields: Record) -> Iterator[Record]:
    """OpenR1-Math: a problem with several solutions. One without any stays a problem."""
    texts = _listed(fields, "generations") or []
    beside = {key: _listed(fields, key) for key in PARALLEL if key in fields}
    for key, values in beside.items():
        if values is not None and len(values) != len(texts):
            raise bad_record(
                fields,
                f"{key} holds {len(values)} values for {len(texts)} generations",
                f"one for each, or leave {key} out",
            )
    fields.pop("messages", None)  # the first correct generation again
    name = fields["id"]
    problem = fields if "prompt" in fields else _question(fields)
    if not texts:
        yield problem
    for k, text in enumerate(texts):
        own = {key: values[k] for key, values in beside.items() if values is not None}
        finish = own.pop("finish_reasons", None)
        if not isinstance(text, str):
            raise bad_record(problem, f"generation {k} is {kind_of(text)}", "generations are a list of texts")
        made = problem.adding(id=f"{name}#{k}", group=name, sample=k, completion=text)
        if finish in ("stop", "length"):
            made["finish"] = finish
        made.update(own)
        yield made


def _listed(fields: Record, key: str) -> list[Any] | None:
    """Takes a list out of `fields`, or null."""
    value = None if fields.get(key) is None else need(fields, key, list, f"{key} are a list")
    del fields[key]
    return value


def _verl(fields: Record, mapping: Mapping[str, str]) -> Record:
    rule = need(fields, "reward_model", dict, "verl's {style, ground_truth}")
    more = fields.get("extra_info")
    if "id" not in mapping and isinstance(more, dict) and isinstance(more.get("id"), str):  # `r1 export`'s
        fields["id"] = more["id"]
    turns = fields.get("prompt")
    if isinstance(turns, list):
        fields = split_turns(fields, turns)
    if "answer" not in mapping and rule.get("ground_truth") is not None:
        fields["answer"] = rule["ground_truth"]
    del fields["reward_model"]
    return fields


def _question(fields: Record) -> Record:
    """A problem in its own field, with a final answer or a solution that ends in one."""
    fields = multiple_choice.unnested(fields)
    source = next(
        (key for key in ("problem", "question", "instruction") if isinstance(fields.get(key), str)),
        None,
    )
    if source is None:
        raise bad_record(
            fields,
            f"in no known format: its fields are {', '.join(key for key in fields if key != 'id') or 'none'}",
            f"expected {KNOWN}",
        )
    fields["prompt"] = fields.pop(source)
    if source == "instruction":
        more = fields.pop("input", None)
        if more:
            fields["prompt"] += f"\n\n{more}"
        answered = fields.pop("output", None)
        if answered is not None:
            fields["completion"] = answered
        fields = conversations.with_history(fields)
    if isinstance(fields.get("generation"), str):  # open-r1's
        fields["completion"] = fields.pop("generation")
    answer = fields.get("answer")
    if isinstance(answer, str) and "####" in answer:
        steps, _, final = answer.rpartition("####")
        fields["answer"] = final.strip()
        fields.setdefault("solution", steps.strip())
    return fields
