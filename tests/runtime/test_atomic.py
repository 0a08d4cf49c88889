"""Files and folders appear whole under names that are found again; nothing of anyone else's is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, environment

from stages.checkpoints.checkpoint import appearing, refuse_existing
from stages.records import jsonl
from stages.records.jsonl import Journal, encode, open_output
from stages.runtime import atomic
from stages.runtime.errors import BadInput, R1Error, StreamError, UsageError

HOLD = """
import sys, pathlib
from stages.runtime import atomic
make = atomic.directory if sys.argv[2] == "directory" else atomic.file
with make(pathlib.Path(sys.argv[1])) as made:
    if sys.argv[2] == "directory":
        (made / "part").write_text("half")
    else:
        made.write(b"half")
        made.flush()
    print("begun", flush=True)
    sys.stdin.read()
"""


def begun(path: Path, kind: str) -> subprocess.Popen[bytes]:
    """Another process that is filling `path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def made(path: Path, kind: str) -> None:
    if kind == "file":
        with atomic.file(path) as stream:
            stream.write(b"whole")
    else:
        with atomic.directory(path) as folder:
            (folder / "part").write_text("whole")


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize("name", ["out.jsonl", "ü" * 127])
def test_a_draft_is_refused_while_it_is_filled_and_begun_anew_once_its_run_is_dead(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    with begun(path, kind) as process:
        with pytest.raises(UsageError, match="another run is writing"):
            made(path, kind)
        process.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == [atomic.draft_of(path).name]
    made(path, kind)
    assert os.listdir(tmp_path) == [name]
    whole = path if kind == "file" else path / "part"
    assert whole.read_text() == "whole"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_many_runs_at_once_leave_one_whole_product(tmp_path: Path, kind: str) -> None:
    """One after another, or refused; in threads of one process also."""
    path = tmp_path / "out"
    found: list[str] = []

    def one() -> None:
        try:
            made(path, kind)
        except R1Error as error:
            found.append(type(error).__name__)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["out"]
    assert (path if kind == "file" else path / "part").read_text() == "whole"
    assert set(found) <= {"UsageError", "StreamError"}


def test_what_only_looks_like_a_draft_stays(tmp_path: Path) -> None:
    others = [
        ".out.jsonl.a1b2c3d4",
        ".out.jsonl.tmp",
        ".out.r1draft",
        "out.jsonl.r1draft",
        ".r1draft",
    ]
    for name in others:
        (tmp_path / name).write_text("mine")
    made(tmp_path / "out.jsonl", "file")
    assert {name: (tmp_path / name).read_text() for name in others} == dict.fromkeys(others, "mine")


def test_a_link_or_a_pipe_in_the_place_of_a_draft_is_named_and_stays(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / ".out.r1draft").symlink_to(target)
    with pytest.raises(StreamError, match=r"\.out\.r1draft is in the way"):
        made(tmp_path / "out", "file")
    os.mkfifo(tmp_path / ".other.r1draft")
    with pytest.raises(StreamError, match=r"\.other\.r1draft is in the way"):
        made(tmp_path / "other", "directory")
    assert target.read_text() == "mine"
    assert (tmp_path / ".out.r1draft").is_symlink()


def test_a_directory_is_no_file_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="it is a directory"), open_output(tmp_path):
        raise AssertionError
    assert os.listdir(tmp_path) == []


def test_a_second_name_of_a_dead_draft_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    os.link(tmp_path / "other", tmp_path / ".out.r1draft")
    made(tmp_path / "out", "file")
    assert (tmp_path / "other").read_text() == "mine"


def test_a_draft_that_is_taken_away_is_an_error_and_no_other_file_is_renamed(
    tmp_path: Path,
) -> None:
    """As where a file system keeps no locks and another run took it for one left behind."""
    path = tmp_path / "out"

    def write() -> None:
        with atomic.file(path) as stream:
            stream.write(b"whole")
            atomic.draft_of(path).unlink()
            atomic.draft_of(path).write_text("another's")

    with pytest.raises(StreamError, match="was replaced meanwhile"):
        write()
    assert os.listdir(tmp_path) == [".out.r1draft"]


def test_a_file_system_without_locks_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("stages.runtime.lock.fcntl.lockf", none)
    (tmp_path / ".out.r1draft").write_text("half")
    made(tmp_path / "out", "file")
    assert os.listdir(tmp_path) == ["out"]


def test_one_command_does_not_write_a_file_twice(tmp_path: Path) -> None:
    with open_output(tmp_path / "out") as first:
        first.write(b"first")
        with (
            pytest.raises(UsageError, match="is written twice"),
            open_output(tmp_path / "." / "out"),
        ):
            pass
    assert (tmp_path / "out").read_bytes() == b"first"


def test_an_error_of_who_writes_is_not_one_of_the_file(tmp_path: Path) -> None:
    for error in (BadInput("what"), OSError(5, "of another file")):
        with pytest.raises(type(error), match=str(error.args[0])), open_output(tmp_path / "out"):
            raise error
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_never_replaces_what_came_to_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "ckpt"

    def write() -> None:
        with appearing(path) as directory:
            (directory / "config.json").write_text("{}")
            path.mkdir()  # by someone else, hours after the run began

    with pytest.raises(UsageError, match="exists"):
        write()
    assert os.listdir(tmp_path) == ["ckpt"]
    path.rmdir()
    path.symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists"):
        refuse_existing(path)


def test_a_link_stays_one_and_a_device_is_written_into(r1: R1, tmp_path: Path) -> None:
    """Also under --rejects, where a rename as root would have made /dev/null a file."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    line = {
        "id": "a",
        "prompt": "1",
        "completion": "2",
        "reward": 0.0,
        "rewards": {"accuracy": 0.0},
    }
    for rejects in ("link", "pipe"):
        done = r1("filter", "--rejects", tmp_path / rejects, input=encode(line))
        assert done.returncode == 0
    reader.join(20)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == read[0] != b"old"
    assert jsonl.is_special(Path(os.devnull))


@pytest.mark.parametrize(
    "content", [b"my notes\n", b'{"id":"a"}\n', b"\x1f\x8b\x08\x00\n", b'{"record":1}\n', b"notes"]
)
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.jsonl.journal"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no journal of r1"):
        Journal(path, resume=True)
    assert path.read_bytes() == content


def test_a_journal_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    journal = Journal(tmp_path / "link", resume=False)
    journal.put("a", {"n": 1})
    journal.close()
    assert Journal(tmp_path / "real", resume=True).get("a") == {"n": 1}


@pytest.mark.parametrize("cut", range(30))
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    whole = Journal(path, resume=False)
    for key in "ab":
        whole.put(key, {"n": key})
    whole.close()
    size = path.stat().st_size
    os.truncate(path, size - cut)
    path.write_bytes(path.read_bytes() + b"\0" * (cut % 3))  # as a crash of the machine may leave
    journal = Journal(path, resume=True)
    kept = [key for key in "ab" if journal.get(key) is not None]
    assert kept == (["a", "b"] if cut == 0 else ["a"] if cut <= size // 2 else [])
    for key in "ab":
        if key not in kept:
            journal.put(key, {"n": key})
    journal.close()
    again = Journal(path, resume=True)
    assert [again.get(key) for key in "ab"] == [{"n": "a"}, {"n": "b"}]
    again.discard()
    assert os.listdir(tmp_path) == []


def test_a_journal_that_changes_under_a_run_is_an_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", resume=False)
    journal.put("a", {"n": 1})
    os.truncate(tmp_path / "journal", 5)
    with pytest.raises(StreamError, match=r"cannot read .*journal: it was changed"):
        journal.get("a")
    journal.close()
