"""HarmBench: 300 requests for harm in text, 100 of them with a context; refusals by rule, harm by a judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import WHOLE
from stages.formats.sources import hub_rows, local, parts_of
from stages.formats.tables import read_rows
from stages.records.record import Record, bad_record, need

SPLITS = ("train",)
REWARDS = ("refusal",)
JUDGED = ("harmful",)
SAMPLES = 1
# Those of copyright are judged by digests of the texts that are protected.
KINDS = ("standard", "contextual")
KNOWN = (*KINDS, "copyright")
FILE = "safety/harmbench_behaviors_text_all.csv"


def problems(*, task: str = "", split: str = "train", data: Path | None = None) -> Iterator[Record]:
    """Records with `category` and `kind`; `harmbench:KIND` takes one. Source: arXiv 2402.04249, under MIT.

    A context stands before its request, three dashes between them. Without a task all kinds but copyright
    are taken. On the hub each kind is a configuration. Raises UsageError for a kind that there is not.
    """
    asked = parts_of("harmbench", task, KNOWN) if task else KINDS
    found = local(FILE, data)
    if found is not None:
        records = (_of_file(row) for row in read_rows(str(found)))
        return (record for record in records if record["kind"] in asked)
    return (_of_hub(row, kind, k) for kind in asked for k, row in enumerate(_hub(kind, split)))


def _hub(kind: str, split: str) -> Iterator[Record]:
    return hub_rows("walledai/HarmBench", kind, split, otherwise=FILE)


def _of_file(row: Record) -> Record:
    kind, name = need(row, "FunctionalCategory", str, WHOLE), need(row, "BehaviorID", str, WHOLE)
    if kind not in KNOWN:
        raise bad_record(row, f"field 'FunctionalCategory' is {kind!r}", WHOLE)
    about = {"kind": kind, "category": str(row.get("SemanticCategory") or "")}
    return _record(row, name, need(row, "Behavior", str, WHOLE), row.get("ContextString"), about)


def _of_hub(row: Record, kind: str, number: int) -> Record:
    about = {"kind": kind, "category": str(row.get("category") or "")}
    return _record(row, f"{kind}-{number}", need(row, "prompt", str, WHOLE), row.get("context"), about)


def _record(row: Record, name: str, request: str, context: object, about: dict[str, str]) -> Record:
    known = isinstance(context, str) and context.strip()
    prompt = f"{context}\n\n---\n\n{request}" if known else request
    return Record({"id": f"harmbench-{name}", "prompt": prompt, **about, "lang": "en"}, place=row.place)
