"""DROP: 9,536 questions on passages of Wikipedia that want counting, sorting and sums, by F1."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import hub_rows, local
from stages.harness.official import Task
from stages.records.jsonl import decode
from stages.records.record import Record, bad_record, need, object_of, seed_of
from stages.runtime.errors import BadInput, UsageError, naming

SPLITS = ("validation", "train")  # the answers of its test are not published
REWARDS = ("drop_f1",)
SAMPLES = 1
FILES = {"validation": "reading/drop_dataset_dev.json", "train": "reading/drop_dataset_train.json"}
MOST = 10  # examples
DATE = ("day", "month", "year")
ASKED = "You will be asked to read a passage and answer a question."
SHOWN = " Some examples of passages and Q&A are provided below.\n\n# Examples"
PASSAGE = "---\nPassage: {passage}\nQuestion: {question}\n"
ANSWER = 'Think step by step, then write a line of the form "Answer: $ANSWER" at the end of your response.'


def problems(*, split: str = "validation", data: Path | None = None, shots: int = 0) -> Iterator[Record]:
    """Records with all published answers in `answers`, each a list of spans. Source: arXiv 1903.00161.

    Under CC BY-SA 4.0. The prompt is that of openai/simple-evals, with `shots` examples of the training part,
    there three, which the question's id draws. Raises UsageError for a number of them that makes no sense.
    """
    if not 0 <= shots <= MOST:
        raise UsageError(f"shots={shots}: choose 0 to {MOST}")
    return _posed(split, data, shots)


def _posed(split: str, data: Path | None, shots: int) -> Iterator[Record]:
    pool = [(row["query_id"], _example(row)) for row in _rows("train", data)] if shots else []
    if shots and len(pool) <= shots:
        raise BadInput(f"{shots} examples of a training part of {len(pool)} questions", remedy=WHOLE)
    for row in _rows(split, data):
        name, answers = need(row, "query_id", str, WHOLE), _answers(row)
        yield Record(
            id=name,
            prompt=_prompt(row, _drawn(pool, name, shots)),
            answer=", ".join(answers[0]),
            answers=answers,
            lang="en",
            place=row.place,
        )


def _drawn(pool: list[tuple[str, str]], name: str, shots: int) -> list[str]:
    """Examples for the question `name`, always the same, itself not among them."""
    if not shots:
        return []
    several = random.Random(seed_of("drop", name)).sample(pool, shots + 1)
    return [text for other, text in several if other != name][:shots]


def _prompt(row: Record, examples: list[str]) -> str:
    head = "\n".join([ASKED + SHOWN, *examples]) if examples else f"{ASKED}\n"
    return f"{head}\n# Your Task\n\n{_passage(row)}\n{ANSWER}"


def _passage(row: Record) -> str:
    passage, question = need(row, "passage", str, WHOLE), need(row, "question", str, WHOLE)
    return PASSAGE.format(passage=passage.strip(), question=question.strip())


def _example(row: Record) -> str:
    need(row, "query_id", str, WHOLE)
    return f"{_passage(row)}Answer: {', '.join(_answers(row)[0])}\n"


def _rows(split: str, data: Path | None) -> Iterator[Record]:
    """A row for each question: of the published file, whose passages have several, or of the hub."""
    path = local(FILES[split], data)
    if path is None:
        yield from hub_rows("EleutherAI/drop", None, split, otherwise=FILES[split])
        return
    yield from _published(path)


def _published(path: Path) -> Iterator[Record]:
    with naming("read", path):
        text = path.read_bytes()
    try:
        passages: Any = decode(text)
    except ValueError as error:
        raise BadInput(f"not JSON ({error})", place=str(path), remedy=WHOLE) from None
    for name, passage in object_of(passages).items():
        about = Record(object_of(passage), place=f"{path}:{name}")
        for number, pair in enumerate(need(about, "qa_pairs", list, WHOLE), 1):
            row = {**object_of(pair), "passage": about.get("passage")}
            yield Record(row, place=f"{about.place}[{number}]")


def _as_on_the_hub(path: Path) -> Iterator[Record]:
    """The rows of the published file with the columns that the hub has."""
    for row in _published(path):
        about = {key: need(row, key, str, WHOLE) for key in ("query_id", "passage", "question")}
        validated = [_column(object_of(each)) for each in row.get("validated_answers") or ()]
        columns = {key: [each[key] for each in validated] for key in ("number", "date", "spans")}
        answer = _column(object_of(row.get("answer")))
        yield Record({**about, "answer": answer, "validated_answers": columns}, place=row.place)


def _column(answer: dict[str, Any]) -> dict[str, Any]:
    date, number = object_of(answer.get("date")), answer.get("number")
    return {
        "number": "" if number is None else str(number),
        "date": {part: str(date.get(part) or "") for part in DATE},
        "spans": [str(each) for each in answer.get("spans") or ()],
    }


def _answers(row: Record) -> list[list[str]]:
    """Each answer that the set takes, once. Raises BadInput where there is none."""
    validated = row.get("validated_answers") or []
    if isinstance(validated, dict):  # a column of the hub
        validated = [
            dict(zip(validated, each, strict=True)) for each in zip(*validated.values(), strict=True)
        ]
    found = [_spans(object_of(each)) for each in (row.get("answer"), *validated)]
    kept = [list(each) for each in dict.fromkeys(found) if each]
    if not kept:
        raise bad_record(row, "it has no answer with a number, a date or spans", WHOLE)
    return kept


def _spans(answer: dict[str, Any]) -> tuple[str, ...]:
    """A number, the spans, or the date, which is one span; () where none is given."""
    number, spans = answer.get("number"), answer.get("spans")
    if number not in (None, ""):
        return (str(number),)
    if spans:
        return tuple(map(str, spans))
    date = object_of(answer.get("date"))
    written = " ".join(str(date.get(part) or "") for part in DATE).strip()
    return (written,) if written else ()


OFFICIAL = Task("drop", FILES, read=_as_on_the_hub)
