"""stdout carries the product and nothing else; every way to end has its exit code."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import R1, environment

LINES = b'{"id":1}\n{"id":2}\n{"id":3}\n'


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode()


def test_records_pass_from_stdin_to_stdout_byte_for_byte(r1: R1) -> None:
    line = '{"id":"ä","deep":{"n":[1,2.5,null,true]},"b":1,"a":18446744073709551615}\n'.encode()
    done = r1("relay", input=line)
    assert (done.returncode, done.stdout) == (0, line)


def test_integers_keep_all_their_digits(r1: R1) -> None:
    done = r1("relay", input=b'{"big":123456789012345678901234567890}\n')
    assert json.loads(done.stdout) == {"big": 123456789012345678901234567890}


def test_stdout_is_pure_whatever_a_stage_or_its_children_print(r1: R1) -> None:
    done = r1("relay", "--noise", input=LINES)
    assert (done.returncode, done.stdout) == (0, LINES)
    for noise in ("noise of a library", "noise written directly", "noise of a child"):
        assert noise in said(done)


def test_files_a_dash_and_stdin_are_one_and_the_same(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"id":"a"}\n')
    with gzip.open(tmp_path / "b.jsonl.gz", "wb") as stream:
        stream.write(b'{"id":"b"}\n')
    done = r1("relay", tmp_path / "a.jsonl", "-", tmp_path / "b.jsonl.gz", input=b'{"id":"-"}\n')
    assert done.stdout == b'{"id":"a"}\n{"id":"-"}\n{"id":"b"}\n'


def test_empty_input_is_no_error(r1: R1) -> None:
    done = r1("relay", input=b"")
    assert (done.returncode, done.stdout, said(done)) == (0, b"", "relay: 0 records\n")


def test_the_first_record_comes_out_before_the_last_goes_in(command: list[str]) -> None:
    with subprocess.Popen(
        [*command, "relay", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            line = b'{"id":%d}\n' % number
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("run", 1, "r1 fails: the loss is not a number\n"),
        ("usage", 2, "r1 fails: --a and --b exclude each other\n"),
        ("input", 65, "r1 fails: x.jsonl:7: no prompt; add one\n"),
        ("missing", 69, "r1 fails: vllm is not here; install it with: pip install vllm\n"),
        ("stream", 74, "r1 fails: cannot read x\n"),
        ("disk", 74, "r1 fails: [Errno 28] No space left on device\n"),
        ("pipe", 74, "r1 fails: [Errno 32] Broken pipe\n"),
        (
            "bug",
            1,
            "r1 fails: bug: KeyError: 'surprise' at fails.py:LINE; add -v for the traceback\n",
        ),
        ("exit", 1, "r1 fails: bug: SystemExit: 0 at fails.py:LINE; add -v for the traceback\n"),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(r1: R1, how: str, code: int, message: str) -> None:
    done = r1("fails", "--how", how, input=LINES)
    assert (done.returncode, done.stdout) == (code, LINES)
    assert re.sub(r"py:\d+", "py:LINE", said(done)) == message


def test_a_traceback_is_shown_on_request_only(r1: R1) -> None:
    assert "Traceback" not in said(r1("fails", "--how", "bug"))
    assert "Traceback" in said(r1("fails", "--how", "bug", "-v"))


def test_bad_input_is_named_by_file_and_line(r1: R1, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(LINES + b"{oops\n")
    done = r1("relay", file)
    assert (done.returncode, done.stdout) == (65, LINES)
    assert said(done).startswith(f"r1 relay: {file}:4: not JSON")


def test_a_missing_file_is_told_before_anything_is_read(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    done = r1("relay", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (done.returncode, done.stdout) == (74, b"")
    assert said(done) == f"r1 relay: cannot read {tmp_path / 'b.jsonl'}: no such file\n"


def test_a_full_disk_on_stdout_is_74(r1: R1) -> None:
    with open("/dev/full", "wb") as full:
        done = r1("relay", input=LINES, stdout=full)
    assert done.returncode == 74
    assert said(done) == "r1 relay: cannot write stdout: No space left on device\n"


def test_a_device_is_written_into_and_not_replaced(r1: R1) -> None:
    done = r1("relay", "-o", "/dev/full", input=LINES)
    assert done.returncode == 74
    assert said(done) == "r1 relay: cannot write /dev/full: No space left on device\n"
    assert Path("/dev/full").is_char_device()


def test_a_file_size_limit_is_74_and_leaves_no_half_file(r1: R1, tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = r1("relay", "-o", tmp_path / "out.jsonl", input=LINES * 5000, preexec_fn=limited)
    assert done.returncode == 74
    assert said(done) == f"r1 relay: cannot write {tmp_path / 'out.jsonl'}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_an_output_file_appears_whole_or_not_at_all(r1: R1, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.jsonl"
    assert r1("relay", "-o", out, input=LINES + b"{oops\n").returncode == 65
    assert list(out.parent.iterdir()) == []
    done = r1("relay", "-o", out, input=LINES)
    assert (done.returncode, done.stdout, out.read_bytes()) == (0, b"", LINES)


def test_output_through_a_link_changes_what_it_points_to(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert r1("relay", "-o", tmp_path / "link", input=LINES).returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == LINES


def test_a_reader_that_leaves_ends_the_run_quietly_after_the_stage_is_closed(
    command: list[str], tmp_path: Path
) -> None:
    mark = tmp_path / "closed"
    with subprocess.Popen(
        [*command, "fails", "--how", "endless", "--closed", str(mark)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b'{"id":"more"}\n'
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert mark.exists()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
    ],
)
def test_a_signal_closes_the_stage_and_has_its_code(
    command: list[str], tmp_path: Path, number: int, code: int, word: str
) -> None:
    mark = tmp_path / "closed"
    with subprocess.Popen(
        [*command, "fails", "--how", "wait", "--closed", str(mark)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        # A job in the background of a script, such as this test, may have been told to ignore it.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(LINES)
        process.stdin.close()
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.1)  # from the last record into the wait
        process.send_signal(number)
        assert process.stderr
        assert process.stderr.read().decode() == f"r1 fails: {word}\n"
    assert process.returncode == code
    assert mark.exists()


def test_closed_stdout_is_an_error_and_not_a_lost_product(r1: R1, tmp_path: Path) -> None:
    done = r1("relay", input=LINES, preexec_fn=lambda: os.close(1))
    assert done.returncode == 74
    assert said(done) == "r1 relay: cannot write stdout: Bad file descriptor\n"
    done = r1("relay", "--noise", "-o", tmp_path / "out", input=LINES, preexec_fn=lambda: os.close(1))
    assert (done.returncode, (tmp_path / "out").read_bytes()) == (0, LINES)


def test_closed_stdin_is_an_error_and_not_an_empty_input(r1: R1, tmp_path: Path) -> None:
    done = r1("relay", preexec_fn=lambda: os.close(0))
    assert (done.returncode, done.stdout) == (74, b"")
    (tmp_path / "in").write_bytes(LINES)
    done = r1("relay", tmp_path / "in", preexec_fn=lambda: os.close(0))
    assert (done.returncode, done.stdout) == (0, LINES)


def test_closed_stderr_leaves_the_product_alone(r1: R1) -> None:
    done = r1("relay", "--noise", input=LINES, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (0, LINES)


def test_an_unwritable_stderr_does_not_end_the_run(r1: R1) -> None:
    with open("/dev/full", "wb") as full:
        done = r1("relay", input=LINES, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (0, LINES)


def test_a_terminal_on_stdin_gives_an_example_at_once(r1: R1) -> None:
    leader, follower = pty.openpty()
    try:
        done = r1("relay", stdin=follower)
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 2
    assert said(done) == (
        "r1 relay: no FILE is given and stdin is a terminal; name a file, or pipe records in, "
        "for example: r1 relay records.jsonl\n"
    )


def test_a_stage_that_may_read_asks_only_when_it_does(r1: R1) -> None:
    leader, follower = pty.openpty()
    try:
        assert r1("measures", "nothing", stdin=follower).returncode == 0
        assert r1("measures", "lines", stdin=follower).returncode == 2
    finally:
        os.close(leader)
        os.close(follower)


def test_a_checkpoint_is_its_path_on_one_line(r1: R1, tmp_path: Path) -> None:
    done = r1("trains", "-o", tmp_path / "ckpt", input=LINES)
    assert (done.returncode, done.stdout.decode()) == (0, f"{tmp_path / 'ckpt'}\n")
    done = r1("trains", "-o", tmp_path / "other", "--json", input=LINES)
    manifest = json.loads(done.stdout)
    assert (manifest["path"], manifest["inputs"]) == (str(tmp_path / "other"), {"records": 3})
    assert r1("trains", "-o", tmp_path / "ckpt", input=LINES).returncode == 2


def test_results_are_lines_for_programs_and_a_table_for_people(r1: R1, tmp_path: Path) -> None:
    done = r1("measures", "lines", input=LINES)
    assert (done.returncode, done.stdout) == (0, b'{"name":"lines","count":3}\n')
    table = "A measurement\nname   count\nlines      3\nall     1000\nmeasures: measured lines\n"
    assert said(done) == table
    done = r1("measures", "lines", "-q", "-o", tmp_path / "out", input=LINES)
    assert (said(done), done.stdout) == ("", b"")
    assert (tmp_path / "out").read_bytes() == b'{"name":"lines","count":3}\n'


def test_a_verdict_that_is_not_met_is_exit_1_with_the_figures_written(r1: R1) -> None:
    done = r1("measures", "lines", "--fail-under", "4", input=LINES)
    assert (done.returncode, done.stdout) == (1, b'{"name":"lines","count":3}\n')
    assert said(done).endswith("r1 measures: count 3 is under 4.0\n")


def test_help_and_version_report_a_full_disk_too(r1: R1) -> None:
    for words in (["--help"], ["--version"], ["relay", "--help"]):
        with open("/dev/full", "wb") as full:
            done = r1(*words, stdout=full)
        assert done.returncode == 74
        assert said(done).endswith(": cannot write stdout: No space left on device\n")
