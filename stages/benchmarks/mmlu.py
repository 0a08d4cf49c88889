"""MMLU: 14,042 questions of four options from 57 subjects; `mmlu:anatomy` takes one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.choice_prompts import SIMPLE_EVALS, WHOLE, posed
from stages.formats.sources import parts_of, rows_of
from stages.harness.official import Task
from stages.records.record import Record, need

SPLITS = ("test", "validation", "dev")
REWARDS = ("accuracy",)
SAMPLES = 1
REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "clinical_knowledge", "college_biology",
    "college_chemistry", "college_computer_science", "college_mathematics", "college_medicine",
    "college_physics", "computer_security", "conceptual_physics", "econometrics", "electrical_engineering",
    "elementary_mathematics", "formal_logic", "global_facts", "high_school_biology", "high_school_chemistry",
    "high_school_computer_science", "high_school_european_history", "high_school_geography",
    "high_school_government_and_politics", "high_school_macroeconomics", "high_school_mathematics",
    "high_school_microeconomics", "high_school_physics", "high_school_psychology", "high_school_statistics",
    "high_school_us_history", "high_school_world_history", "human_aging", "human_sexuality",
    "international_law", "jurisprudence", "logical_fallacies", "machine_learning", "management", "marketing",
    "medical_genetics", "miscellaneous", "moral_disputes", "moral_scenarios", "nutrition", "philosophy",
    "prehistory", "professional_accounting", "professional_law", "professional_medicine",
    "professional_psychology", "public_relations", "security_studies", "sociology", "us_foreign_policy",
    "virology", "world_religions",
)  # fmt: skip
OFFICIAL = Task(
    "mmlu_{part}",
    {split: f"knowledge/mmlu_{split}.jsonl" for split in SPLITS},
    parts=SUBJECTS,
    part="subject",
)


def problems(*, task: str = "", split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records of the subject `task`, or of all. Source: arXiv 2009.03300, under the MIT licence.

    Raises UsageError for a subject that it does not have.
    """
    asked = parts_of("mmlu", task, SUBJECTS)
    rows = rows_of(
        file=f"knowledge/mmlu_{split}.jsonl", hub=("cais/mmlu", "all", split), data=data, revision=REVISION
    )
    return (record for k, row in enumerate(rows) for record in _posed(row, f"mmlu-{split}-{k}", asked))


def _posed(row: Record, name: str, asked: tuple[str, ...]) -> Iterator[Record]:
    subject = need(row, "subject", str, WHOLE)
    if subject in asked:
        question = need(row, "question", str, WHOLE)
        options, right = row.get("choices"), row.get("answer")
        yield posed(
            row,
            name,
            SIMPLE_EVALS,
            question=question,
            options=options,
            right=right,
            subject=subject,
            lang="en",
        )
