"""What a model reads and learns, as text to look at: what is learned stands between ⟦ and ⟧."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from stages.inference.encoding import decode
from stages.inference.transformers.backend import TransformersBackend
from stages.records.record import Record, place_of
from stages.records.templates import Template
from stages.runtime.report import Report
from stages.training.rows import Sample

MOST = 4000  # characters of a stretch that are shown; of a longer one both ends
OPEN, CLOSE = "⟦", "⟧"


def marked(tokenizer: Any, sample: Sample) -> str:
    """The text of a sample's tokens, each stretch that is learned between the marks."""
    before: list[int] = list(sample.prompt_ids)
    text = tokenizer.decode(before)
    pairs = zip(sample.completion_ids, sample.weight, strict=True)
    for taught, stretch in groupby(pairs, key=lambda pair: pair[1] > 0):
        ids = [token for token, _ in stretch]
        said = decode(tokenizer, before, ids)
        text += f"{OPEN}{said}{CLOSE}" if taught else said
        before = ids
    return str(text)


def tell_text(what: str, text: str, report: Report) -> None:
    """Says `what`, and under it the text line by line; of a long one its ends."""
    if len(text) > MOST:
        text = f"{text[: MOST // 2]}\n… {len(text) - MOST} characters …\n{text[-MOST // 2 :]}"
    report.note(f"{what}:")
    for line in text.split("\n"):
        report.note(f"  {line}")


def tell_first(
    record: Record,
    rollout: bool,
    template: Template,
    backend: TransformersBackend,
    report: Report,
) -> None:
    """Says what the model reads of the first record, and where it goes on or, of a rollout, went on."""
    if rollout:
        said = record["completion_ids"]
        text = marked(backend.tokenizer, Sample(record["prompt_ids"], said, [1.0] * len(said)))
    else:
        ids, _ = backend.encode(template.render(record), place_of(record))
        text = backend.tokenizer.decode(ids) + OPEN
    tell_text(f"the first prompt, which ends where {OPEN} is", text, report)
