"""A file that changes while it is read ends the run; what was read of it is no result."""

from __future__ import annotations

import gzip
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import R1, environment

from stages.checkpoints.checkpoint import revision
from stages.checkpoints.files_in_use import unchanged
from stages.records import jsonl
from stages.runtime import reading
from stages.runtime.errors import StreamError

LINE = b'{"id":%d,"prompt":"' + b"x" * 1000 + b'"}\n'
PAGE = mmap.PAGESIZE


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_a_file_that_shrinks_is_an_error_even_where_a_line_ends(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = b"".join(LINE % number for number in range(100, 500))
    path.write_bytes(gzip.compress(text, 0) if name.endswith(".gz") else text)
    records = jsonl.read([str(path)])
    next(records)
    os.truncate(path, len(LINE % 100) * 300)
    with pytest.raises(StreamError, match=r"in\.jsonl.*:\d+: cannot read: "):
        list(records)


def test_a_file_that_grows_and_one_without_a_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"one\n")
    with reading.opened(path) as stream, open(path, "ab") as more:
        more.write(b"two\n")
        more.flush()
        assert stream.read() == b"one\ntwo\n"
    with reading.opened("/proc/self/status") as stream:
        assert stream.read()


def test_a_shrinking_stdin_is_an_error(r1: R1, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(LINE % number for number in range(100, 500)))
    stage = tmp_path / "stages" / "cuts.py"
    stage.parent.mkdir()
    stage.write_text(
        f'''"""Cut the input short after its first record."""
import os
EXAMPLES = ("r1 cuts a", "r1 cuts b")
def run(records):
    for record in records:
        os.truncate({str(path)!r}, 300 * {len(LINE % 100)})
        yield record
'''
    )
    with open(path, "rb") as stream:
        done = r1("cuts", stdin=stream, env={"R1_STAGES": str(stage.parent)})
    assert done.returncode == 74, done.stderr
    assert b"stdin:301: cannot read: it became shorter while it was read" in done.stderr


MAPPED = f"""
import mmap, os, sys
from stages.checkpoints.files_in_use import guard_mapped
guard_mapped()
path = sys.argv[1]
with open(path, "rb") as stream:
    held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
assert held[{PAGE * 3}] == 1
os.truncate(path, {PAGE})
print(held[{PAGE * 3}])
"""


def test_mapped_weights_that_shrink_end_the_run_with_a_line_that_names_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new\nline.safetensors"
    path.write_bytes(b"\1" * PAGE * 4)
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, path], capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (74, b"")
    assert done.stderr.decode().startswith("r1: cannot read /")
    assert "line.safetensors: it became shorter while it was in use" in done.stderr.decode()
    assert done.stderr.count(b"r1: ") == 1


def change(path: Path) -> None:
    path.write_text(path.read_text() + " ")


def test_a_model_that_is_changed_while_it_is_loaded_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes").write_text("")

    def load(name: str, error: type[Exception] | None = None) -> None:
        with unchanged(str(tmp_path)):
            change(tmp_path / name)
            if error is not None:
                raise error("which it led to")

    before = revision(str(tmp_path))
    for error in (None, ValueError):
        with pytest.raises(StreamError, match=r"config\.json: another program changed it"):
            load("config.json", error)
    load("notes")
    assert revision(str(tmp_path)) != before
