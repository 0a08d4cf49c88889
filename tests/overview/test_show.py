"""`r1 show`: a record as a person reads it, in a pipe and on a terminal."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import R1, Heard, environment, peak_of

from stages import show
from stages.overview.record_text import folded
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError


def scored(k: int, reward: float | None, completion: str = "</think>3", **more: Any) -> Record:
    fields = {
        "id": f"a#{k}", "group": "a", "sample": k, "prompt": "1+2=?", "answer": "3", "prefill": "<think>",
        "completion": completion, "finish": "stop", "rewards": {"accuracy": reward},
        "reasons": {"accuracy": "why not"}, "reward": reward,
        "meta": {"generate": {"model": "m", "tokens": 7}},
    }  # fmt: skip
    return Record({**fields, **more}, place=f"in.jsonl:{k + 1}")


def told(*records: Record, heard: Heard | None = None, **options: Any) -> str:
    settings = show.Settings(**options)
    return "".join(show.run(records, settings, report=heard or Heard()))


def test_a_record_is_told_in_order_with_everything_in_it() -> None:
    record = scored(0, 1.0, "We add.\nThen 3.</think>It is 3.", lang="en", advantage=0.5, dropped="short: 1")
    assert told(record) == (
        "== a#0 (in.jsonl:1) ==\n"
        "Prompt\n1+2=?\n"
        "Reference\n3\n"
        "Thinking\nWe add.\nThen 3.\n"
        "Answer\nIt is 3.\n"
        "Reward: 1\n"
        "  accuracy: 1  why not\n"
        "Dropped: short: 1\n"
        "Length: 7 tokens, 31 characters\n"
        "Finish: stop\n"
        "Language: en 100 %; asked for en\n"
        "Fields: advantage 0.5\n"
        "From generate: model m\n"
        "\n"
    )


def test_a_problem_and_turns_are_told_too() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+2"}]
    text = told(Record({"id": 7, "prompt": turns, "answer": "3"}))
    assert text == "== 7 ==\nPrompt\n[system] Be brief.\n[user] 1+2\nReference\n3\n\n"
    said = [{"role": "assistant", "reasoning_content": "Add.", "content": "3"}]
    assert "Thinking\nAdd.\nAnswer\n3\n" in told(scored(0, 1.0, "", prefill="").adding(completion=said))


def test_thinking_that_does_not_end_has_no_answer() -> None:
    assert "Thinking\nand so on\nAnswer\n(none: the thinking does not end)\n" in told(
        scored(0, 0, "and so on")
    )


def test_long_thinking_loses_its_middle_unless_all_is_wanted() -> None:
    record = scored(0, 1.0, "a" * 40 + "b" * 40 + "</think>3")
    assert "Thinking\naaaaa\n[… 70 characters more; --fold 0 shows them …]\nbbbbb\n" in told(record, fold=10)
    assert "a" * 40 + "b" * 40 in told(record, fold=0)
    assert folded("abc", 3) == "abc"
    assert folded("abcd", 1).startswith("a\n[… 3 ")


def test_control_characters_are_shown_and_not_sent() -> None:
    evil = "\x1b[2J\u202eab\x00"
    record = scored(0, 1.0, f"{evil}</think>{evil}", prompt=evil, answer=evil, lang=evil, finish=evil)
    record.update({evil: evil, "meta": {evil: {evil: evil}}, "id": evil, "dropped": evil})
    record.update(rewards={evil: 1.0}, reasons={evil: evil}, group=evil)
    for options in ({}, {"group": evil}):
        text = told(record, **options)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
        assert "\\x1b[2J\\u202eab\\x00" in text


def test_a_group_stands_together_the_best_first() -> None:
    batch = [scored(0, 0.0), scored(1, None), scored(2, 1.0)]
    other = scored(3, 1.0, group="b")
    text = told(*batch[:2], other, batch[2], group="a")
    assert text.startswith("== a: 3 completions, mean reward 0.5 ==\nPrompt\n1+2=?\nReference\n3\n\n== a#2 ")
    assert re.findall(r"== (a#\d) ", text) == ["a#2", "a#0", "a#1"]
    assert text.count("Prompt\n") == 1
    heard = Heard()
    assert re.findall(r"== (a#\d) ", told(*batch, group="a", limit=1, heard=heard)) == ["a#2"]
    assert heard.said == ["1 of 3 records"]


def test_records_are_chosen_by_id_condition_sample_and_limit() -> None:
    batch = [scored(k, float(k % 2)) for k in range(20)]
    names = [[*re.findall(r"== (a#\d+) ", told(*batch, **options))] for options in (
        {"id": "a#3"}, {"where": "reward == 1 and sample > 16"}, {"limit": 2}, {"limit": 0},
    )]  # fmt: skip
    assert names == [["a#3"], ["a#17", "a#19"], ["a#0", "a#1"], []]
    drawn = [told(*batch, sample=5, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    found = [int(each) for each in re.findall(r"== a#(\d+) ", drawn[0])]
    assert len(set(found)) == 5
    assert found == sorted(found)
    assert told(*batch, sample=99) == told(*batch)


def test_no_more_is_read_than_is_shown() -> None:
    read = 0

    def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield scored(read, 1.0)

    heard = Heard()
    assert "".join(show.run(endless(), show.Settings(limit=3), report=heard)).count("Prompt\n") == 3
    assert read == 3
    assert heard.said == ["3 of 3 records read so far"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"id": "zork"}, "--id zork: none of the 1 records has it"),
        ({"group": "zork"}, "--group zork: none of the 1 records has it"),
        ({"where": "zork == 1"}, "no record has a field 'zork'"),
        ({"where": "len("}, "--where"),
        ({"sample": 2, "diff": Path("x")}, "leave out --sample"),
    ],
)
def test_what_is_not_there_is_an_error(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        told(scored(0, 1.0), **options)


def test_a_group_needs_names() -> None:
    with pytest.raises(BadInput, match="field 'id' is missing"):
        told(Record({"prompt": "x"}), group="a")


def write(path: Path, records: Sequence[Record]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_difference_tells_what_became_other_the_greatest_loss_first(tmp_path: Path) -> None:
    def of(name: str, reward: float, completion: str, **more: Any) -> Record:
        return scored(0, reward, completion, id=f"{name}#0", group=name, **more)

    three = "</think>3"
    old = [of("same", 1, three), of("up", 0, "x</think>4"), of("down", 1, three), of("gone", 1, "3"),
           of("other", 1, three)]  # fmt: skip
    new = [of("up", 1, "y</think>3"), of("same", 1, "z</think>3"), of("new", 1, "3"),
           of("down", 0, three, reasons={"accuracy": "a new rule"}),
           of("other", 1, "</think>3.0")]  # fmt: skip
    path, heard = write(tmp_path / "old.jsonl", old), Heard()
    text = told(*new, diff=path, heard=heard)
    assert re.findall("^== (.*) ==$", text, re.M) == [
        "down: reward 1 -> 0", "other: reward 1 -> 1", "up: reward 0 -> 1",
    ]  # fmt: skip
    assert (
        "-- down#0, the same completion --\nReward: 1 -> 0\n  accuracy: 1 -> 0  why not -> a new rule\n\n"
        in text
    )
    assert "-- up#0 --\nReward: 0 -> 1\n  accuracy: 0 -> 1  why not\n  - 4\n  + 3\n" in text
    counts = (
        "4 in both, 1 worse, 1 better, 1 as good, and other, 1 unchanged, 1 only in FILE, 1 only in OTHER"
    )
    assert heard.said == [f"problems: {counts}"]
    assert told(*new, diff=path, where="group == 'up'").count("== ") == 1
    assert told(*new, diff=path, limit=1).startswith("== down: ")


def test_a_difference_of_groups_compares_their_means(tmp_path: Path) -> None:
    path = write(tmp_path / "old.jsonl", [scored(k, 0.0) for k in range(2)])
    text = told(*[scored(k, 1.0) for k in range(4)], diff=path)
    assert text.startswith("== a: mean reward 0 -> 1, 2 -> 4 completions ==\n")
    assert text.count("Reward: 0 -> 1") == 2
    heard = Heard()
    assert told(scored(0, 1.0, group="zork"), diff=path, heard=heard) == ""
    assert heard.said[0].startswith("no problem is in both")


def test_a_pipe_gets_plain_text_of_compressed_files_and_rows_of_others(r1: R1, tmp_path: Path) -> None:
    row = {"problem": "1+2?", "answer": "3", "generations": ["<think>a</think>3", "4"], "uuid": "u"}
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(row) + "\n")
    done = r1("show", tmp_path / "rows.jsonl.gz", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert done.stdout.startswith(b"== u#0 (")
    assert b"Thinking\na\nAnswer\n3\n" in done.stdout
    assert b"\x1b" not in done.stdout
    assert b" rich" not in done.stderr
    assert done.stderr.rstrip().endswith(b"show: 2 of 2 records")
    out = tmp_path / "page.txt"
    assert r1("show", tmp_path / "rows.jsonl.gz", "-o", out).stdout == b""
    assert out.read_bytes() == done.stdout


def test_bad_input_is_named_after_what_was_shown(r1: R1) -> None:
    done = r1("show", input=b'{"id":"a","prompt":"x"}\n{bad\n')
    assert done.returncode == 65
    assert done.stdout.startswith(b"== a (stdin:1) ==")
    assert done.stderr.startswith(b"r1 show: stdin:2: not JSON")


def on_terminal(command: Sequence[str], *words: str, keys: bytes = b"", **changes: str) -> tuple[int, str]:
    """The exit code, and what a terminal of 60 columns gets; the keys are pressed once it is still."""
    pid, leader = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        os.environ.update(environment(**changes))
        os.execvp(command[0], [*command, *words])
    shown, ends = b"", time.monotonic() + 30
    while True:
        ready, _, _ = select.select([leader], [], [], 0.5)
        try:
            piece = os.read(leader, 65536) if ready else b""
        except OSError:
            break
        shown += piece
        if not ready and keys and len(shown) > 100:
            os.write(leader, keys)
            keys = b""
        elif not ready and time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
            break
    os.close(leader)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colour_and_lines_of_its_width(command: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [scored(0, 1.0, "word " * 40 + "</think>3")])
    code, text = on_terminal(command, "show", str(path), PAGER="")
    assert code == 0
    assert "\x1b[2mword word" in text
    assert "\x1b[32mReward: 1" in text
    widths = [len(re.sub(r"\x1b\[[\d;?]*\w", "", line)) for line in text.splitlines()]
    assert 50 < max(widths) <= 60
    for flags, changes in ((["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
        code, text = on_terminal(command, "show", str(path), *flags, **{"PAGER": "", **changes})
        assert (code, "\x1b[3" in text, "\x1b[1" in text) == (0, False, False)


def test_a_pager_that_is_left_ends_the_command_well(command: list[str], tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nhead -n 2\necho left\n")
    pager.chmod(0o755)
    path = write(tmp_path / "in.jsonl", [scored(k, 1.0) for k in range(3000)])
    code, text = on_terminal(command, "show", "--no-keys", str(path), PAGER=str(pager))
    assert code == 0
    assert "left\n" in text
    assert "a#9" not in text
    code, text = on_terminal(command, "show", "--no-keys", "-n", "1", str(path), PAGER="no-such-pager")
    assert (code, "a#0" in text) == (0, True)


@pytest.mark.full
def test_memory_does_not_grow_with_the_file(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    with open(path, "w") as stream:
        for k in range(200_000):
            fields = scored(k % 4, float(k % 3 == 0), "word " * 60 + f"</think>{k}")
            stream.write(json.dumps({**fields, "id": f"{k // 4}#{k % 4}", "group": str(k // 4)}) + "\n")
    for words in (["--sample", "3"], ["--where", "reward > 2"], ["--group", "77"], ["--diff", str(path)]):
        assert peak_of(command, "show", *words, path) < 150, words
