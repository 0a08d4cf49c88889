"""SWE-bench Verified: 500 issues of Python repositories, each to be resolved by a patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.formats.sources import rows_of
from stages.records.record import Record, need

SPLITS = ("test",)
REWARDS = ("swe_bench",)
SAMPLES = 1
WHOLE = "take the published file"
ASKED = (
    "You will be given an issue of the repository {repo}, at commit {base_commit}. Write a patch that "
    "resolves it, in the unified format that `git apply` takes, with paths from the root of the repository. "
    "Put it between the tags <patch> and </patch>.\n\n<issue>\n{problem_statement}\n</issue>"
)


def problems(*, split: str = "test", data: Path | None = None) -> Iterator[Record]:
    """Records with the `instance_id` that the harness goes by. Source: arXiv 2310.06770.

    A row that has `text`, as the data sets with the files in question have, is asked in it.
    """
    hub = ("princeton-nlp/SWE-bench_Verified", None, split)
    for row in rows_of(file="code/swe_bench_verified.jsonl", hub=hub, data=data):
        name = need(row, "instance_id", str, WHOLE)
        issue = {key: need(row, key, str, WHOLE) for key in ("repo", "base_commit", "problem_statement")}
        prompt = row.get("text") or ASKED.format(**issue)
        yield Record(id=name, prompt=prompt, instance_id=name, repo=issue["repo"], lang="en", place=row.place)
