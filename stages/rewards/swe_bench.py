"""1 where SWE-bench's own harness has resolved the issue by the completion's patch, else 0.

`report` is the file that `python -m swebench.harness.run_evaluation` wrote of the patches, which
`r1 export --to swe-bench` gives it; it runs each repository's tests in Docker (docs/benchmarks.md). Null for
an instance that the harness could not judge.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.records.patches import patch_of
from stages.records.record import need
from stages.records.verdict import Example, Verdict
from stages.runtime import text_file
from stages.runtime.errors import Unavailable, UsageError

EXAMPLES: list[Example] = [
    ({"instance_id": "a__a-1", "completion": "I would change the loop."}, {}, 0.0),
    ({"instance_id": "a__a-1", "completion": "<think>diff --git a/x b/x"}, {}, 0.0),
    ({"instance_id": "a__a-1", "completion": "```diff\n--- a/x\n+++ b/x\n```"}, {}, None),
    ({"completion": "```diff\n--- a/x\n+++ b/x\n```"}, {}, None),
]
HOW = (
    "swe_bench is judged by SWE-bench's harness, which needs Docker: write the patches with `r1 export --to "
    "swe-bench`, run `python -m swebench.harness.run_evaluation`, then say swe_bench:report=FILE"
)
SAID = {"resolved_ids": 1.0, "unresolved_ids": 0.0, "empty_patch_ids": 0.0}


def swe_bench(record: dict[str, Any], *, report: str = "") -> Verdict:
    """Null without a report, and where it does not say. Raises UsageError for a file that is no report."""
    need(record, "completion", str, "swe_bench judges completions: run r1 generate first")
    name = record.get("instance_id")
    if not isinstance(name, str):
        return Verdict(None, "the record has no `instance_id`")
    if not patch_of(record):
        return Verdict(0.0, "no patch")
    if not report:
        return Verdict(None, HOW)
    value = _read(report).get(name)
    return Verdict(value, "the harness gave no verdict" if value is None else "as the harness says")


def check(*, report: str = "") -> None:
    """Raises Unavailable without a report, UsageError for a file that is none."""
    if not report:
        raise Unavailable(HOW, install="pip install swebench")
    _read(report)


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """What has no patch."""
    return [("</think>none", 0.0)]


@lru_cache(maxsize=8)
def _read(path: str) -> dict[str, float]:
    """What the report says of each instance."""
    try:
        found = json.loads(text_file.read(path))
    except ValueError as error:
        raise UsageError(f"swe_bench:report={path}: not JSON: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("resolved_ids"), list):
        raise UsageError(
            f"swe_bench:report={path}: no resolved_ids; name the report of "
            f"swebench.harness.run_evaluation, such as {Path('MODEL.RUN_ID.json')}"
        )
    if wrong := [key for key in SAID if not isinstance(found.get(key, []), list)]:
        raise UsageError(f"swe_bench:report={path}: {wrong[0]} is no list; take the report as it was written")
    return {str(name): value for key, value in SAID.items() for name in found.get(key, [])}
