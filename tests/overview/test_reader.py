"""Records on a terminal with keys: what each key shows, and that the terminal is left as it was."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

from stages.overview import record_text
from stages.overview.shelf import Shelf
from stages.records.record import Record
from stages.runtime.errors import BadInput

EVIL = "\x1b[2J\x1b]0;own\x07\u202eab\x00\x9b31m[bold]"
LEFT = "\x1b[?1049l"  # the screen that was there before comes back


def scored(k: int, accuracy: float, completion: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": f"p{k // 2}#{k % 2}", "group": f"p{k // 2}", "prompt": f"{k}+1=?", "answer": str(k + 1),
        "prefill": "<think>", "completion": completion or f"We add.</think>It is {k + 1}.",
        "rewards": {"format": 1.0, "accuracy": accuracy}, "reward": 1 + accuracy,
        "reasons": {"accuracy": f"why-{k}"}, **more,
    }  # fmt: skip


def shelf(*rows: dict[str, Any]) -> Shelf:
    return Shelf(
        iter(Record(row, place=f"in.jsonl:{k}") for k, row in enumerate(rows, 1)), 20, lambda _: None
    )


def test_a_shelf_is_turned_over_in_both_directions() -> None:
    view = shelf(*(scored(k, float(k not in (2, 4))) for k in range(6))).view()
    assert view.has(0)
    assert not view.has(-1)
    assert view.title() == "record 1: p0#0"
    assert view.verdict() == "accuracy 1  why-0; format 1"
    assert [*view.wrong(1)] == [2]
    view.go(2)
    assert (view.verdict(), view.verdict().look) == ("accuracy 0  why-2; format 1", "bad")
    assert [*view.wrong(1)] == [4]
    view.go(5)
    assert [*view.wrong(1)] == []
    assert [*view.wrong(-1)] == [4]
    assert view.title() == "record 6 of 6: p2#1"
    assert [*view.holding("IT IS 4", -5)] == [3]
    assert "".join(view.body()).startswith("== p2#1 (in.jsonl:6) ==\nPrompt\n5+1=?\n")
    view.group()
    assert re.findall("== (.*) ==", "".join(view.body())) == [
        "p2: 2 completions, mean reward 1.5", "p2#1 (in.jsonl:6)", "p2#0 (in.jsonl:5)",
    ]  # fmt: skip


def test_thinking_is_folded_and_unfolded() -> None:
    view = shelf(scored(0, 1.0, "a" * 99 + "</think>3")).view()
    assert view.has(0)
    assert "79 characters more" in "".join(view.body())
    view.fold()
    assert "a" * 99 in "".join(view.body())


def test_what_ends_the_records_is_kept_until_the_reader_ends() -> None:
    def broken() -> Iterator[Record]:
        yield Record(scored(0, 1.0), place="x:1")
        raise BadInput("not JSON", place="x:2")

    found = Shelf(broken(), 0, lambda _: None)
    assert found.has(0)
    assert not found.has(1)
    assert "x:2" in str(found.error)
    with pytest.raises(BadInput, match="x:2"):
        list(found)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        ({"rewards": {"accuracy": 0.0, "format": 1.0}}, True),
        ({"rewards": {"accuracy": 1.0, "format": 0.0}}, False),
        ({"rewards": {"format": 0.0, "math": 1.0}}, True),
        ({"rewards": {"accuracy": None}, "reward": None}, False),
        ({"reward": -1}, True),
        ({"prompt": "x"}, False),
    ],
    ids=range(6),
)
def test_a_wrong_completion_is_known_by_accuracy_else_by_its_least_reward(
    record: dict[str, Any], wrong: bool
) -> None:
    assert record_text.is_wrong(Record(record)) is wrong


class Terminal:
    """A program on a terminal of 80 columns and 24 rows."""

    def __init__(self, words: Sequence[str], **changes: str) -> None:
        self.pid, self.leader = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.environ.update(environment(**changes))
            os.execvp(words[0], words)
        self.shown = ""

    def until(self, text: str, keys: str = "") -> str:
        """What is shown after the `keys` are pressed, up to `text`; without colours and movements."""
        os.write(self.leader, keys.encode())
        new, ends = "", time.monotonic() + 30
        while text not in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", new):
            assert time.monotonic() < ends, f"no {text!r} after {keys!r} in {new!r}"
            if select.select([self.leader], [], [], 1)[0]:
                try:
                    new += os.read(self.leader, 65536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"it ended before {text!r}: {new!r}") from error
        self.shown += new
        return new

    def ended(self, keys: str = "", number: int = 0) -> int:
        """The exit code after the keys, or the signal. Its modes are what they were."""
        if number:
            os.kill(self.pid, number)
        os.write(self.leader, keys.encode())
        ends = time.monotonic() + 30
        while (found := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < ends, self.shown
            if select.select([self.leader], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.leader, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.05)
        modes = termios.tcgetattr(self.leader)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
        os.close(self.leader)
        return os.waitstatus_to_exitcode(found[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three right completions, a wrong one, a right one, and texts that would rule a terminal."""
    rows = [scored(k, float(k != 3), f"{EVIL}</think>{EVIL}", lang=EVIL) for k in range(5)]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_keys_show_what_they_say_and_the_terminal_comes_back(command: list[str], path: Path) -> None:
    terminal = Terminal([*command, "show", str(path)])
    terminal.until("q end")
    assert "record 1: p0#0" in terminal.until("why-3", "w") + terminal.shown
    terminal.until("p0: 2 completions", "ppg")
    terminal.until("record 5: p2#0", "/4+1\r")
    terminal.until("no '4+1' further on", "m")
    assert terminal.ended("q") == 0
    assert LEFT in terminal.shown
    for evil in ("\x1b[2J\x1b]", "\x1b]0;", "\u202e", "\x9b"):
        assert evil not in terminal.shown


@pytest.mark.full
def test_whatever_ends_the_reader_leaves_the_terminal_as_it_was(command: list[str], path: Path) -> None:
    words = [*command, "show", str(path)]
    for keys, number, code in (("\x03", 0, 130), ("", signal.SIGTERM, 143), ("", signal.SIGHUP, 129)):
        terminal = Terminal(words)
        terminal.until("n next")
        assert terminal.ended(keys, number) == code
        assert LEFT in terminal.shown
    terminal = Terminal(words)  # before the keys are there
    terminal.until("Prompt")
    assert terminal.ended(number=signal.SIGTERM) == 143
    assert LEFT in terminal.shown
    path.write_text(json.dumps(scored(0, 1.0)) + "\n" + json.dumps(scored(1, 1.0)) + "\n{bad\n")
    terminal = Terminal(words)
    terminal.until("n next")
    terminal.until("record 2", "n")
    terminal.until("in.jso", "n")
    assert terminal.ended("q") == 65
    assert re.search(r"r1 show: \S+in\.jsonl:3: not JSON", terminal.shown)


@pytest.mark.full
def test_a_record_is_not_waited_for_longer_than_wanted(command: list[str], path: Path) -> None:
    """Ctrl-C and a signal end the reader while a pipe gives nothing, which is what it has read from."""
    slow = path.with_name("pipe")
    os.mkfifo(slow)
    for keys, number, code in (("\x03", 0, 130), ("", signal.SIGTERM, 143)):
        with open(slow, "r+b", buffering=0) as pipe:
            pipe.write(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
            terminal = Terminal(["sh", "-c", f"exec {shlex.join([*command, 'show'])} < {slow}"])
            terminal.until("n next")
            terminal.until("record 2", "n")
            os.write(terminal.leader, b"n")
            time.sleep(0.5)  # now it waits
            assert terminal.ended(keys, number) == code
            assert LEFT in terminal.shown


@pytest.mark.full
def test_it_ends_where_its_terminal_is_gone_and_no_signal_says_so(command: list[str], path: Path) -> None:
    leader, terminal = pty.openpty()  # of no session: nobody gets SIGHUP
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    words = [*command, "show", str(path)]
    reader = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=environment())
    os.close(terminal)
    shown = b""
    while b"n next" not in shown:
        shown += os.read(leader, 65536)
    os.close(leader)
    assert reader.wait(30) == 129


@pytest.mark.full
@pytest.mark.parametrize("closed", ["<&-", "2>&-"], ids=["stdin", "stderr"])
def test_keys_work_where_a_stream_is_closed(command: list[str], path: Path, closed: str) -> None:
    terminal = Terminal(["sh", "-c", f"exec {shlex.join([*command, 'show', str(path)])} {closed}"])
    terminal.until("n next")
    terminal.until("record 2", "n")
    assert terminal.ended("q") == 0


@pytest.mark.full
def test_no_colour_is_sent_where_none_is_wanted(command: list[str], path: Path) -> None:
    for words, changes in ((["--no-color"], {}), ([], {"NO_COLOR": "1"})):
        terminal = Terminal([*command, "show", *words, str(path)], **changes)
        terminal.until("n next")
        assert terminal.ended("q") == 0
        colours = {
            code for found in re.findall(r"\x1b\[([\d;]*)m", terminal.shown) for code in found.split(";")
        }
        assert colours <= {"", "0", "1", "2", "7", "39", "49"}, "bold, dim, reverse, and the terminal's own"
