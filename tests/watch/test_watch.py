"""`report --watch` shows a run while it goes on, touches nothing of it, and ends when it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, environment

from stages import report
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.lock import held
from stages.watch.view import frame, sparkline, time_left
from stages.watch.watched import Watched

# Does what a run does to its lock, until it is killed.
WORKING = """
import sys, time
from stages.runtime.lock import hold
file = open(sys.argv[1], "ab")
hold(file.fileno(), "it")
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the folder as a run has it."""
    line = [sys.executable, "-c", WORKING, str(folder / "lock")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def step(number: int, **fields: Any) -> str:
    """A line of metrics."""
    line = {"step": number, "loss": 0.1, "reward": number / 10, "step_time": 4.0, "num_tokens": 200, **fields}
    return json.dumps(line) + "\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """OUT.partial of a run that has made two of ten steps, and kept its options beside the best weights."""
    work = tmp_path / "zero.partial"
    (work / "best").mkdir(parents=True)
    (work / "rollouts").mkdir()
    (work / "best" / "r1.json").write_text('{"stage":"grpo","options":{"steps":10}}')
    (work / "metrics.jsonl").write_text(step(1) + step(2))
    record = {"id": "p#1", "reward": 1.5, "completion": "<think>one\x1b[31m and one</think>so 二 it is 2"}
    (work / "rollouts" / "step_000002.jsonl").write_text('{"id":"p#0"}\n' + json.dumps(record) + "\n")
    return work


def test_a_sparkline_tells_values_between_the_least_and_the_greatest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 2, 8, 8], 2) == "▁█", "two share a character: 1 and 8"
    assert sparkline([3, 3], 9) == "▄▄"
    assert sparkline([], 9) == sparkline([1.0], 0) == ""


def test_a_lock_is_seen_and_not_taken(tmp_path: Path) -> None:
    assert not held(tmp_path / "lock")
    with working(tmp_path):
        assert held(tmp_path / "lock")
        with open(tmp_path / "lock", "ab") as file, pytest.raises(OSError, match="unavailable"):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not held(tmp_path / "lock")


def test_what_is_new_is_read_and_a_line_that_is_cut_off_waits_for_its_end(work: Path) -> None:
    run = Watched(work.parent / "zero")
    with working(work):
        run.look()
        assert (run.state, run.total, len(run.history)) == ("running", 10, 2)
        assert time_left(run) == 8 * 4.0
        with (work / "metrics.jsonl").open("a") as file:
            file.write(step(3)[:20])
            file.flush()
            run.look()
            assert len(run.history) == 2
            file.write(step(3)[20:])
        run.look()
        assert [entry["step"] for entry in run.history] == [1, 2, 3]
        (work / "metrics.jsonl").write_text(step(1))  # resumed from there
        run.look()
        assert [entry["step"] for entry in run.history] == [1]
    run.look()
    assert run.state == "stopped"


def test_a_finished_run_is_read_where_it_is_now(work: Path) -> None:
    run = Watched(work)
    run.look()
    out = work.rename(work.parent / "zero")
    (out / "r1.json").write_text('{"stage":"grpo","options":{"steps":10}}')
    run.look()
    assert (run.state, run.folder) == ("finished", out)
    assert len(run.history) == 2


@pytest.mark.parametrize(("columns", "rows"), [(80, 23), (40, 10), (20, 4)])
def test_the_picture_fits_the_terminal(work: Path, columns: int, rows: int) -> None:
    names = [f"rewards/{'長' * 9}{k}\x1b[2J/mean" for k in range(40)]
    steps = [step(k, **{names[k]: k, "time/generate": 3.0}) for k in range(1, 40)]
    (work / "metrics.jsonl").write_text("".join(steps))
    run = Watched(work)
    run.look()
    lines = frame(run, columns, rows)
    assert len(lines) <= rows
    assert all(len(line) <= columns for line in lines)
    assert not any("\x1b" in line or "\n" in line for line in lines)
    if rows == 23:
        assert lines[0] == "zero.partial: step 39 of 10, 3 min, stopped"
        assert lines[1].startswith("reward                                3.9  ▁▁")
        assert "50 tokens per second, 4 s a step, generate 75 %" in lines
        at = lines.index("Last completion: p#1, reward 1.5")  # type: ignore[arg-type]
        assert lines[at + 1 :] == ["one\\x1b[31m and one", "so 二 it is 2"]


def test_one_run_is_watched(work: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 are given"):
        report.run((work, tmp_path), watch=True)
    with pytest.raises(BadInput, match=r"no metrics\.jsonl"):
        report.run((tmp_path / "nowhere",), watch=True)


def test_off_a_terminal_it_waits_for_the_end_and_makes_the_usual_line(work: Path, r1: R1) -> None:
    with working(work) as process:
        before = {path: path.stat().st_mtime_ns for path in work.rglob("*")}
        line = [sys.executable, "-m", "r1cli", "report", "--watch", str(work.parent / "zero")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(line, env=environment(), **pipes) as watching:
            time.sleep(2)
            assert watching.poll() is None
            process.kill()
            out, said = watching.communicate(timeout=20)
        assert {path: path.stat().st_mtime_ns for path in work.rglob("*")} == before
    assert json.loads(out)["steps"] == 2
    assert "zero.partial was stopped: nobody works on it" in said.decode()
    assert "\x1b" not in said.decode()


def test_on_a_terminal_each_picture_is_written_over_the_one_before(work: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    line = [sys.executable, "-m", "r1cli", "report", "--watch", str(work)]
    with working(work) as process:
        watching = subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL, stderr=follower)
        os.close(follower)
        shown = b""
        while select.select([leader], [], [], 20)[0]:
            try:
                piece = os.read(leader, 4096)
            except OSError:  # Linux says so when the last writer is gone
                break
            shown += piece
            if process.poll() is None and b"so " in shown:
                with (work / "metrics.jsonl").open("a") as file:
                    file.write(step(3))
                process.kill()
        assert watching.wait(timeout=20) == 0
    os.close(leader)
    text = shown.decode()
    first, *later = text.split("\x1b[J")
    assert "zero.partial: step 2 of 10, 8 s, 32 s left" in first
    assert later[0].lstrip("\r").startswith(f"\x1b[{first.count(chr(10))}F"), "back to its first line"
    assert "\x1b[2J" not in text
    assert "step 3 of 10" in text
