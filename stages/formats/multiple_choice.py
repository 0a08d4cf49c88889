"""Multiple choice: the options in the prompt, and the reference as their letter.

| data set | fields |
|---|---|
| MMLU | `choices` [text], `answer` (a place from 0, or a letter) |
| MMLU-Pro, RACE, MedQA | `options` [text] or {letter: text}, `answer` a letter or the option, `answer_idx` |
| ARC, OpenBookQA, CommonsenseQA | `choices` {text, label}, `answerKey`; also inside `question` |
| AQuA | `options` ["A)…"], `correct` a letter |
| HellaSwag | `endings` [text], `label` a place from 0 |
| GPQA | `Correct Answer`, `Incorrect Answer 1` to `3`, put in an order that the question decides |

A place that is a JSON number counts from 0 unless `base` says otherwise. Digits as text may be a label, an
option or a place from either: with `base` they are a place unless they are a label, and where they are
neither a label nor an option it must be said.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any, NamedTuple

from stages.records.notes import Notes
from stages.records.record import Record, bad_record, seed_of
from stages.records.turns import Turn, words_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LISTS = ("choices", "options", "endings")
ANSWERS = ("answer", "answerKey", "answer_idx", "answer_index", "correct", "label", "gold_index", "target")
GPQA = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
HOLDERS = frozenset((*LISTS, *GPQA))
LABELLED = re.compile(r"\s*\(?([A-Z])[).:]\s*(.*)", re.DOTALL)
LETTER = re.compile(r"\s*+\(?([A-Za-z])\s*+[).:]?\s*+")
BASE = "`r1 prompts FILE --index-base 0` or 1 says where places begin"
COUNTED = (
    "`r1 prompts FILE --index-base 0` counts from 0",
    "`r1 prompts FILE --index-base 1` counts from 1",
)
NOT_SHOWN = "its options are not 2 to 26 texts: they are not shown in the prompt, and no letter is the answer"


class Options(NamedTuple):
    """The options of a question, and what the data set calls each of them."""

    texts: list[str]
    labels: list[str]


def unnested(fields: Record) -> Record:
    """The row with the stem and options of a `question` {stem, choices} in fields of their own."""
    question = fields.get("question")
    if isinstance(question, dict) and isinstance(question.get("stem"), str):
        more = {key: value for key, value in question.items() if key != "stem"}
        return Record({**fields, **more, "question": question["stem"]}, place=fields.place)
    if all(isinstance(fields.get(key), str) for key in ("Question", *GPQA)):
        row = fields.adding(question=fields["Question"].strip())
        del row["Question"]
        return row
    if isinstance(fields.get("question_stem"), str) and "question" not in fields:
        row = fields.adding(question=fields["question_stem"])
        del row["question_stem"]
        return row
    if isinstance(fields.get("endings"), list) and isinstance(fields.get("ctx"), str):
        row = fields.adding(question=fields["ctx"])
        del row["ctx"]
        return row
    return fields


def with_options(fields: Record, base: int | None, notes: Notes) -> Record:
    """The record with its options in the prompt, as `choices`, and the reference as a letter.

    The prompt of a record that has its completion, or lists its options already, stays as it is. Raises
    BadInput for a reference that is no place among the options, or from which base is not said.
    """
    found = None if HOLDERS.isdisjoint(fields) else _options(fields)
    if found is None:
        if any(isinstance(fields.get(key), list) and fields[key] for key in LISTS):
            notes.add(NOT_SHOWN, fields)
        return fields
    fields["choices"] = found.texts
    name = next((key for key in ANSWERS if fields.get(key) not in (None, "")), "")
    if name:
        right = _place(name, found, base, fields)
        if right is None:
            notes.add(f"{name!r} is none of the options", fields)
        else:
            if isinstance(fields[name], (int, float)) and not isinstance(fields[name], bool):
                notes.add(f"{name!r} is a place among the options, counted from {base or 0}", fields)
            fields["answer"] = LETTERS[right]
    if "completion" not in fields and not _shown(fields["prompt"], found):
        fields["prompt"] = _listing(fields["prompt"], found.texts)
    return fields


def _options(fields: Record) -> Options | None:
    """The options of the row, two or more; None where it has none."""
    if all(isinstance(fields.get(key), str) for key in GPQA):
        texts, right = shuffled([fields[key].strip() for key in GPQA])
        fields["answer"] = LETTERS[right]
        return Options(texts, [])
    given = next((fields[key] for key in LISTS if isinstance(fields.get(key), (list, dict))), None)
    found = _given(given)
    return found if found and 1 < len(found.texts) <= len(LETTERS) else None


def shuffled(texts: list[str]) -> tuple[list[str], int]:
    """The options, of which the first is right, in an order that they decide themselves, and its place."""
    order = list(range(len(texts)))
    random.Random(seed_of("options", texts)).shuffle(order)
    return [texts[k] for k in order], order.index(0)


def _given(given: Any) -> Options | None:
    if isinstance(given, list) and given and all(isinstance(each, dict) for each in given):
        given = {key: [each.get(key) for each in given] for key in ("text", "label")}
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        labels = given.get("label")
        texts, given = given["text"], labels if isinstance(labels, list) else []
        labels = list(map(str, given)) if len(given) == len(texts) else []
    elif isinstance(given, dict):
        given = {key: text for key, text in given.items() if text is not None}  # as parquet fills up rows
        labels, texts = list(map(str, given)), list(given.values())
    else:
        labels, texts = [], given or []
    if not all(isinstance(text, (str, int, float)) and not isinstance(text, bool) for text in texts):
        return None
    texts = list(map(str, texts))
    own = [LABELLED.fullmatch(text) for text in texts]
    if not labels and all(match and match[1] == LETTERS[k] for k, match in enumerate(own)):
        texts = [match[2] for match in own if match]
    return Options(texts, labels)


def _place(name: str, options: Options, base: int | None, fields: Record) -> int | None:
    """Which option the reference in field `name` is: a label, an option's text, a letter, or a place from
    `base`."""
    value = fields[name]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    count = len(options.texts)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value not in range(base or 0, count + (base or 0)):
            what = f"{name} {value} is no place among {count} options counted from {base or 0}"
            raise bad_record(fields, what, _remedy(fields, name, value, count, base or 0))
        return int(value) - (base or 0)
    text = str(value).strip()
    if text in options.labels:
        return options.labels.index(text)
    if base is not None and text.isdecimal() and base <= int(text) < count + base:
        return int(text) - base
    plain = [option.strip().casefold() for option in options.texts]
    if text.casefold() in plain and len(text) > 1:
        return plain.index(text.casefold())
    letter = LETTER.fullmatch(text) or LABELLED.fullmatch(text)
    if letter and letter[1].upper() in LETTERS[:count]:
        return LETTERS.index(letter[1].upper())
    if text.casefold() in plain:
        return plain.index(text.casefold())
    if base is not None or not text.isdecimal():
        return None
    if int(text) > count:
        what = f"{name} {text!r} is no place among {count} options"
        raise bad_record(fields, what, _remedy(fields, name, text, count))
    what = f"{name} {text!r} is a place among {count} options, and nothing says what it counts from"
    raise bad_record(fields, what, BASE)


def _remedy(fields: Record, name: str, value: Any, count: int, base: int | None = None) -> str:
    """What to do about a place that is none from `base`: another base, or none of it."""
    other = None if base is None else 1 - base
    if other is not None and value in range(other, count + other):
        return COUNTED[other]
    written = json.dumps(fields[name], ensure_ascii=False)
    return f"`r1 filter --where '{name} != {written}' FILE` leaves such rows out"


def _shown(prompt: Any, options: Options) -> bool:
    """Whether the prompt lists each option after its label."""
    text = prompt if isinstance(prompt, str) else words_of(prompt[_asking(prompt)])
    if not all(option.strip() in text for option in options.texts):
        return False
    labels = options.labels or list(LETTERS)
    found = [
        re.search(rf"(?<!\w){re.escape(label)}\W{{1,3}}{re.escape(option.strip())}", text)
        for label, option in zip(labels, options.texts, strict=False)
    ]
    return all(found)


def _listing(prompt: Any, texts: list[str]) -> Any:
    lines = "".join(f"\n{letter}. {text.strip()}" for letter, text in zip(LETTERS, texts, strict=False))
    if isinstance(prompt, str):
        return prompt + lines
    at = _asking(prompt)
    return [*prompt[:at], {**prompt[at], "content": words_of(prompt[at]) + lines}, *prompt[at + 1 :]]


def _asking(turns: list[Turn]) -> int:
    """Which turn asks: the user's last, whatever the assistant's answer is to begin with."""
    return max((k for k, turn in enumerate(turns) if turn["role"] == "user"), default=len(turns) - 1)
