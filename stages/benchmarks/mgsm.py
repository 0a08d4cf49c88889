"""MGSM: 250 problems of GSM8K, written by people in each of 11 languages; `mgsm:de` takes one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import hub_rows, local, parts_of
from stages.harness.official import Task
from stages.records.record import Record
from stages.runtime.errors import naming

SPLITS = ("test",)
REWARDS = ("accuracy",)
SAMPLES = 4
LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
OFFICIAL = Task("mgsm_direct_{part}", {}, parts=LANGUAGES)


def problems(*, task: str = "", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records in the language `task`, or in all, each with its `lang`. Source: arXiv 2210.03057.

    Raises UsageError for a language that it does not have.
    """
    asked = parts_of("mgsm", task, LANGUAGES)
    return (each for lang in asked for each in _written_in(lang, split, data))


def _written_in(lang: str, split: str, data: Path | None) -> Iterator[Record]:
    for k, (question, answer, place) in enumerate(_pairs(lang, split, data)):
        number = answer.replace(",", "").strip()
        yield Record(id=f"mgsm-{lang}-{k}", prompt=question, answer=number, lang=lang, place=place)


def _pairs(lang: str, split: str, data: Path | None) -> Iterator[tuple[str, str, str]]:
    """Question, answer and place. The published files have a line for each, without a header."""
    file = f"language/mgsm_{lang}.tsv"
    path = local(file, data)
    if path is None:
        for row in hub_rows("juletxara/mgsm", lang, split, otherwise=file):
            yield row["question"], str(row["answer_number"]), row.place
        return
    with naming("read", path):
        lines = path.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        question, _, answer = line.rpartition("\t")
        yield question, answer, f"{path}:{number}"
