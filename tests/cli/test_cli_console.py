"""stderr: a bar on a terminal, plain lines elsewhere, one summary at the end, and nothing where -q is
given."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from conftest import R1, environment

from r1cli.console import Console, aligned
from stages.runtime.report import duration

LINES = b'{"id":1}\n{"id":2}\n'


def on_terminal(command: list[str], *arguments: str, source: str = "", **env: str) -> tuple[bytes, str]:
    """Runs `r1` with a terminal as stderr, its input spread over seconds. Returns both outputs."""
    leader, follower = pty.openpty()
    feed = "for i in 1 2 3 4; do echo '{}'; sleep 0.5; done"
    with (
        subprocess.Popen(["sh", "-c", feed], stdout=subprocess.PIPE) as writer,
        subprocess.Popen(
            [*command, *arguments],
            stdin=writer.stdout,
            stdout=subprocess.PIPE,
            stderr=follower,
            env=environment(**env),
        ) as process,
    ):
        os.close(follower)
        shown = b""
        while True:
            ready, _, _ = select.select([leader], [], [], 30)
            assert ready, "nothing on the terminal for 30 s"
            try:
                piece = os.read(leader, 4096)
            except OSError:  # Linux says so when the last writer is gone
                break
            if not piece:
                break
            shown += piece
        assert process.stdout
        product = process.stdout.read()
    os.close(leader)
    assert process.returncode == 0
    return product, shown.decode()


def test_a_terminal_has_a_live_bar_that_goes_and_leaves_the_summary(command: list[str]) -> None:
    product, shown = on_terminal(command, "relay", "--limit", "4")
    assert product == b"{}\n" * 4
    assert "━" in shown
    assert "/4" in shown
    assert "reward 0.25" in shown
    assert shown.rstrip().endswith("relay: 4 records")


def test_a_dumb_terminal_and_quiet_have_no_bar(command: list[str]) -> None:
    _, shown = on_terminal(command, "relay", TERM="dumb")
    assert shown == "relay: 4 records\r\n"
    _, shown = on_terminal(command, "relay", "-q")
    assert shown == ""


@pytest.mark.parametrize(("flags", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_no_color_leaves_no_colour_codes(command: list[str], flags: list[str], env: dict[str, str]) -> None:
    _, shown = on_terminal(command, "relay", "--limit", "4", *flags, **env)
    assert "\x1b[3" not in shown
    assert "relay: 4 records" in shown


def test_off_a_terminal_there_is_the_summary_only_and_no_rich(r1: R1) -> None:
    done = r1("relay", input=LINES, env={"PYTHONPROFILEIMPORTTIME": "1"})
    text = done.stderr.decode()
    assert "relay: 2 records" in text
    assert " rich" not in text


def test_quiet_leaves_errors(r1: R1) -> None:
    assert r1("relay", "-q", input=LINES).stderr == b""
    assert r1("fails", "-q", "--how", "run", input=LINES).stderr == b"r1 fails: the loss is not a number\n"


def test_verbose_shows_the_settings(r1: R1) -> None:
    assert "temperature=0.5" in r1("relay", "-v", input=LINES).stderr.decode()


def test_plain_progress_is_a_line_every_thirty_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(os, "isatty", lambda number: False)
    with Console("sft", quiet=False, color=True) as console:
        console.start(200, "steps")
        for _ in range(100):
            clock[0] += 1
            console.advance(loss=0.123456)
        console.note("a note")
        console.summary("trained 200 steps")
    assert capsys.readouterr().err.splitlines() == [
        "sft: 30 of 200 steps (15.0 %), 1/s, 3 min left, loss 0.1235",
        "sft: 60 of 200 steps (30.0 %), 1/s, 2 min left, loss 0.1235",
        "sft: 90 of 200 steps (45.0 %), 1/s, 2 min left, loss 0.1235",
        "sft: a note",
        "sft: trained 200 steps",
    ]


def test_one_stage_of_a_terminal_draws_and_the_next_takes_over() -> None:
    leader, follower = pty.openpty()
    saved = os.dup(2)
    os.dup2(follower, 2)
    try:
        first = Console("a", quiet=False, color=True)
        second = Console("b", quiet=False, color=True)
        assert first._take_terminal()
        assert not second._take_terminal()
        first.close()
        assert second._take_terminal()
        second.close()
    finally:
        os.dup2(saved, 2)
        for number in (saved, leader, follower):
            os.close(number)


def test_tables_align_words_left_and_numbers_right() -> None:
    assert aligned(["model", "pass@1"], [["base", "3.5 ± 1"], ["r1", "100"]]) == [
        "model   pass@1",
        "base   3.5 ± 1",
        "r1         100",
    ]
    assert aligned(["empty"], []) == ["empty"]


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0.4, 89, 91, 5399, 12000)] == [
        "0 s",
        "89 s",
        "2 min",
        "1 h 30 min",
        "3 h 20 min",
    ]


def test_the_program_loads_nothing_heavy(r1: R1, tmp_path: Path) -> None:
    done = r1("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    for name in ("rich", "torch", "orjson", "importlib.metadata"):
        assert f" {name}\n" not in done.stderr.decode()
