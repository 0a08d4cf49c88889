"""A run that is killed at any instant goes on with --resume to the result of an undisturbed one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from conftest import R1, environment

LINES = b"".join(b'{"id":%d}\n' % number for number in range(20))
WHOLE = b"".join(b'{"id":%d,"square":%d}\n' % (number, number**2) for number in range(20))


def journal_of(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def killed_run(command: list[str], source: Path, out: Path) -> Path:
    """A run that got SIGKILL after some records and before the last. Returns its journal."""
    journal = journal_of(out)
    line = [*command, "slowly", "--wait", "0.1", "-o", str(out), str(source)]
    with subprocess.Popen(line, env=environment()) as process:
        deadline = time.monotonic() + 120
        while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert not out.exists()
    return journal


def test_a_killed_run_goes_on_where_it_was_even_with_a_torn_line(
    r1: R1, command: list[str], tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(LINES)
    journal = killed_run(command, source, out)
    with open(journal, "ab") as stream:
        stream.write(b'{"key":"19","record":{"id":19,"squ')

    refused = r1("slowly", "-o", out, source)
    assert refused.returncode == 2
    assert "add --resume" in refused.stderr.decode()

    done = r1("slowly", "-o", out, source, "--resume")
    assert (done.returncode, out.read_bytes()) == (0, WHOLE)
    assert "finished records in" in done.stderr.decode()
    assert not journal.exists()


def test_a_finished_run_leaves_no_journal(r1: R1, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert r1("slowly", "-o", out, input=LINES).returncode == 0
    assert (out.read_bytes(), journal_of(out).exists()) == (WHOLE, False)
    assert r1("slowly", "-o", out, "--resume", input=LINES).returncode == 0


def test_a_run_that_fails_says_where_its_finished_part_is(r1: R1, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = r1("slowly", "-o", out, input=LINES + b"oops\n")
    assert done.returncode == 65
    assert f"20 finished records are kept in {journal_of(out)}; add --resume" in done.stderr.decode()
    done = r1("slowly", "-o", out, "--resume", input=LINES)
    assert (done.returncode, out.read_bytes()) == (0, WHOLE)


def test_a_run_that_finished_nothing_leaves_nothing_in_the_way(r1: R1, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert r1("slowly", "-o", out, input=b"oops\n").returncode == 65
    journal_of(out).touch()  # what a kill before the first record leaves
    assert r1("slowly", "-o", out, input=LINES).returncode == 0


def test_resume_needs_a_file_to_keep_the_journal_beside(r1: R1) -> None:
    done = r1("slowly", "--resume", input=LINES)
    assert done.returncode == 2
    assert "--resume needs -o FILE" in done.stderr.decode()


def test_every_stage_takes_resume(r1: R1, tmp_path: Path) -> None:
    assert r1("relay", "--resume", input=LINES).stdout == LINES
    done = r1("trains", "--resume", "--json", "-o", tmp_path / "ckpt", input=LINES)
    assert b'"resume":true' in done.stdout
