"""Files that are counted by the block, and by several processes, give the figures and the errors of lines."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard

from stages import stats
from stages.overview import blocks, files
from stages.records import jsonl
from stages.runtime.errors import R1Error

ODD: list[dict[str, Any]] = [
    {"reward": None}, {"reward": 10**30}, {"reward": "x"}, {"finish": 3}, {"rewards": {"accuracy": None}},
    {"rewards": {"other": 1, "accuracy": 1}}, {"reasons": {}}, {"reasons": {"accuracy": "two\nlines 7"}},
    {"group": 7}, {"completion": [{"role": "assistant", "content": "3"}]}, {"meta": {}}, {"meta": None},
    {"note": {"deep": 3}}, {"new": 0.25}, {"completion_ids": [1, 2]}, {"kl": "a"}, {"steps": None},
    {"dropped": "short: 3 is below 9"}, {"brackets": "[{" * 150},
]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few records, pieces of a few blocks, and two processes whatever the machine has."""
    monkeypatch.setattr(blocks, "BLOCK", 2_000)
    monkeypatch.setattr(blocks, "SMALL", blocks.WINDOW)
    monkeypatch.setattr(files, "PIECE", 9_000)
    monkeypatch.setattr(files.os, "sched_getaffinity", lambda _: {0, 1})


def rows(count: int, odd: float) -> Iterator[dict[str, Any]]:
    """Scored records of which about the share `odd` is unusual in some way."""
    drawn = random.Random(count)
    for k in range(count):
        row: dict[str, Any] = {
            "id": f"p{k // 4}#{k % 4}", "group": f"p{k // 4}", "prompt": "1+2=?",
            "completion": "x" * (k % 90), "finish": drawn.choice(["stop", "length"]),
            "rewards": {"accuracy": float(k % 3 == 0)}, "reward": drawn.random(),
            "reasons": {"accuracy": f"last '{k}' is not {k % 7}\u00b2"}, "note": {"deep": {"er": k}},
            "kl": drawn.choice([0.5, 1, None, True]), "steps": [1] * (k % 5),
            "meta": {"generate": {"tokens": k % 50}},
        }  # fmt: skip
        if drawn.random() < odd:
            row |= drawn.choice(ODD)
        yield row
        if drawn.random() < odd / 4:
            yield {"problem": f"{k}+1", "answer": "3"}  # a row in another form


def write(path: Path, found: Iterator[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, found)))  # the last line has no end
    return path


def same(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of a mean."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-9)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("odd", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("asked", [
    {}, {"by": "finish"}, {"by": "kl", "field": ("reward", "tokens")},
    {"field": ("reasons", "note", "steps", "characters", "language", "pass_rate", "new")},
], ids=["usual", "by-finish", "by-kl", "fields"])  # fmt: skip
def test_blocks_and_processes_count_as_single_records_do(
    tmp_path: Path, odd: float, asked: dict[str, Any]
) -> None:
    path = write(tmp_path / "in.jsonl", rows(400, odd))
    told = []
    for records in (jsonl.read_file(path), jsonl.Source([str(path)], iter(()))):
        heard = Heard()
        try:
            found: Any = {
                (line["field"], line.get("by")): line
                for line in stats.run(records, stats.Settings(**asked), report=heard).records
            }
        except R1Error as error:
            found = str(error)
        told.append((found, heard.said))
    (slow, slow_said), (fast, fast_said) = told
    assert slow_said == fast_said
    if isinstance(slow, dict):
        assert slow.keys() == fast.keys()
        assert [name for name in slow if not same(slow[name], fast[name])] == []
    else:
        assert slow == fast


@pytest.mark.parametrize(
    "line",
    [
        b"{bad", b"[1]", b"3", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"id":"x","rewards":{"accuracy":"x"}}', b'{"id":"x","rewards":{"accuracy":1},"group":null,"id":[]}',
        b"\xef\xbb\xbf{}", b"", b"  ", b'{"a":\r1}', b'{"a":1,"a":2}',
    ],
    ids=range(13),
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 57, 199])
def test_a_line_that_is_no_record_is_named_as_everywhere(tmp_path: Path, line: bytes, place: int) -> None:
    lines = [json.dumps(row).encode() for row in rows(200, 0.0)]
    lines[place] = line
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    told = []
    for records in (jsonl.read_file(path), jsonl.Source([str(path)], iter(()))):
        try:
            told.append(str(stats.run(records, stats.Settings()).records[0]["records"]))
        except R1Error as error:
            told.append(f"{type(error)} {error}")
    assert told[0] == told[1]
    assert place == 0 or told[0] in ("199", "200") or f"in.jsonl:{place + 1}: " in told[0]


def test_a_helper_that_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "in.jsonl", rows(400, 0.0))
    source = jsonl.Source([str(path)], iter(()))
    whole = stats.run(source, stats.Settings()).records
    monkeypatch.setattr(files, "_help", lambda *_: files.os.kill(files.os.getpid(), 9))
    assert stats.run(source, stats.Settings()).records == whole
    monkeypatch.setattr(files, "HELPERS", 0)
    assert stats.run(source, stats.Settings()).records == whole


@pytest.mark.parametrize("helpers", [0, 2])
def test_texts_are_counted_in_all_pieces_though_one_has_more_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: int
) -> None:
    monkeypatch.setattr(files, "HELPERS", helpers)
    monkeypatch.setattr(files, "PIECE", 40_000)  # 1,200 records
    often = ["often" if k < 5 or 4600 < k < 4650 else f"t{k}" for k in range(5000)]
    path = write(tmp_path / "in.jsonl", ({"id": f"p{k}", "note": note} for k, note in enumerate(often)))
    fast = stats.run(jsonl.Source([str(path)], iter(())), stats.Settings(field=("note",))).records
    assert fast == stats.run(jsonl.read_file(path), stats.Settings(field=("note",))).records
    assert fast[0]["values"]["often"] == often.count("often")
    assert fast[0]["exact"] is False  # a text after the first 500 might be more frequent
