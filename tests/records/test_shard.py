"""`--shard i/n`: the parts of a stream are the whole, each problem is in one of them, and figures join up
again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import R1

from stages.records.groups import sharded
from stages.records.record import Record
from stages.runtime.errors import UsageError

LINES = [
    {"id": f"p{i}#{k}", "group": f"p{i}", "sample": k, "prompt": f"{i}+2=", "answer": str(i + 2),
    "completion": str(i + 2 + k)}
    for i in range(7)
    for k in range(3)
]  # fmt: skip


def test_the_records_of_a_problem_stay_together() -> None:
    records = [Record(line) for line in LINES]
    parts = [list(sharded(records, f"{i}/3")) for i in range(3)]
    assert [len(part) for part in parts] == [9, 6, 6]
    assert next({r["group"] for r in part} for part in parts) == {"p0", "p3", "p6"}
    assert sorted(str(r["id"]) for part in parts for r in part) == sorted(r["id"] for r in records)
    assert sharded(records, None) is records
    for wrong in ("3/3", "x", "1", "-1/2", "0/0"):
        with pytest.raises(UsageError, match="--shard"):
            sharded(records, wrong)


def test_scores_and_figures_of_the_parts_are_those_of_the_whole(r1: R1, tmp_path: Path) -> None:
    source = tmp_path / "made.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    for name, *options in (("whole",), ("part0", "--shard", "0/2"), ("part1", "--shard", "1/2")):
        assert r1("score", source, "-o", tmp_path / name, "--workers", 1, *options).returncode == 0
    parts = [(tmp_path / name).read_text().splitlines() for name in ("part0", "part1")]
    assert sorted(parts[0] + parts[1]) == sorted((tmp_path / "whole").read_text().splitlines())
    figures = [
        r1("eval", *(tmp_path / name for name in names)).stdout for names in (("whole",), ("part0", "part1"))
    ]
    assert figures[0] == figures[1] != b""
    saved = [tmp_path / f"saved{i}" for i in range(2)]
    for i, path in enumerate(saved):
        done = r1(
            "eval", "-m", "echo", "--backend", "echo", "-b", "sums", "--limit", 6, "-k", 2, "-t", "none",
            "--shard", f"{i}/2", "--save", path, "--workers", 1,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert [len(path.read_text().splitlines()) for path in saved] == [6, 6]
