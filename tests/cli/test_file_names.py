"""Names of files that mean more than they say: `-`, one given twice, endings in capitals, other formats."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pytest
from conftest import R1

PROBLEM = {"id": "a", "prompt": "How many legs have three spiders and two ants in all?", "answer": "36"}
OTHER = {"id": "b", "prompt": "What is 2+2?", "answer": "4"}
SCORED = {**PROBLEM, "completion": "36", "rewards": {"accuracy": 1.0}, "reward": 1.0}


def lines(*records: dict[str, object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.mark.parametrize(
    "arguments",
    [
        ("split", "--share", "-=0.5"),
        ("filter", "--rejects", "-"),
        ("export", "--to", "prompt", "--parquet", "-"),
        ("eval", "--save", "-"),
        ("report", ".", "--png", "-"),
        ("init", "-o", "-"),
        ("convert", "nothing", "-o", "-"),
        ("sft", "-m", "nothing", "-o", "-"),
    ],
)
def test_an_output_beside_the_product_is_no_dash(r1: R1, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = r1(*arguments, input=lines(SCORED), cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, b"", [])
    assert b"- is standard output" in done.stderr or b"standard output has its path" in done.stderr


def test_a_file_may_be_called_dash(r1: R1, tmp_path: Path) -> None:
    done = r1("split", "--share", "./-=1", input=lines(PROBLEM, OTHER), cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "-").read_bytes().count(b"\n") == 2


def test_a_pipe_is_a_source_and_a_link_to_nothing_is_said(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nothing")
    for stage in ("score", "prompts"):
        assert b"cannot read gone: it is a link to nothing" in r1(stage, "gone", cwd=tmp_path).stderr
    assert b"cannot read loop: too many levels" in r1("score", "loop", cwd=tmp_path).stderr
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(lines(PROBLEM),))
    writer.start()
    done = r1("prompts", "pipe", cwd=tmp_path)
    writer.join()
    assert json.loads(done.stdout)["id"] == "a"


def test_a_record_without_an_id_gets_one_as_the_message_says(r1: R1, tmp_path: Path) -> None:
    nameless = {key: value for key, value in SCORED.items() if key != "id"}
    (tmp_path / "a.jsonl").write_bytes(lines(nameless))
    made = r1("prompts", "a.jsonl", cwd=tmp_path).stdout
    for stage in ("sort", "split --share x=0.5", "filter --min-pass 0", "score -r length", "eval"):
        done = r1(*stage.split(), "a.jsonl", cwd=tmp_path)
        assert (done.returncode, b"`r1 prompts FILE` gives one to each record" in done.stderr) == (65, True)
        assert r1(*stage.split(), input=made, cwd=tmp_path).returncode == 0


def test_a_file_given_twice_is_said(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(SCORED))
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    for stage in ("score", "filter", "sort", "split --share x=0.1", "export"):
        done = r1(*stage.split(), "a.jsonl", "link.jsonl", cwd=tmp_path)
        assert b"link.jsonl is given twice: its records count twice" in done.stderr, done.stderr
    done = r1("score", "a.jsonl", "link.jsonl", "-q", cwd=tmp_path)
    assert done.stdout.count(b"\n") == 2
    named = ("-b", "a.jsonl", "-b", "a.jsonl")
    done = r1("eval", "-m", "x", "--backend", "echo", *named, cwd=tmp_path)
    assert (done.returncode, b"--benchmark a.jsonl is given twice" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [("score", "-", "-"), ("filter", "--decontaminate", "-"), ("prompts", "-", "--requests", "-")],
)
def test_standard_input_is_read_once(r1: R1, arguments: tuple[str, ...]) -> None:
    done = r1(*arguments, input=lines(SCORED))
    assert done.returncode == 2
    assert b"can be read once" in done.stderr
    assert b"name" in done.stderr


def test_standard_input_may_hold_what_an_option_names(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(PROBLEM, OTHER))
    done = r1("filter", "--decontaminate", "-", tmp_path / "a.jsonl", input=lines(OTHER))
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a"]


def formats(folder: Path) -> list[Path]:
    """The two problems in each format that is read."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    both = [PROBLEM, OTHER]
    array = json.dumps(both, indent=1).encode()
    separated = "id,prompt,answer\n" + "".join("{id},{prompt},{answer}\n".format(**each) for each in both)
    made = {
        "a.jsonl": lines(*both),
        "a.jsonl.gz": gzip.compress(lines(*both)),
        "b.JSONL.GZ": gzip.compress(lines(*both)),
        "a.json": array,
        "b.Json.gz": gzip.compress(array),
        "a.csv": separated.encode(),
        "b.CSV.Gz": gzip.compress(separated.encode()),
        "a.tsv": separated.replace(",", "\t").encode(),
    }
    for name, text in made.items():
        (folder / name).write_bytes(text)
    for name in ("a.parquet", "b.PARQUET"):
        parquet.write_table(pyarrow.Table.from_pylist(both), folder / name)
    chat = {
        "messages": [{"role": "user", "content": PROBLEM["prompt"]}, {"role": "assistant", "content": ""}]
    }
    (folder / "chat.jsonl").write_bytes(lines(chat, {"question": OTHER["prompt"]}))
    return sorted(folder.iterdir())


def test_an_option_that_names_problems_reads_every_format(tmp_path: Path) -> None:
    from stages.evaluation.benchmark import load, open_problems
    from stages.selection.decontamination import problems

    for path in formats(tmp_path):
        assert [text for text, _ in problems(str(path))] == [PROBLEM["prompt"], OTHER["prompt"]], path
        found = [record["prompt"] for record in open_problems(load(str(path)))]
        assert found == [PROBLEM["prompt"], OTHER["prompt"]], path


def test_examples_are_read_in_every_format(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(lines(OTHER))
    (tmp_path / "shots.csv").write_text("prompt,completion\n1+1?,It is 2.\n")
    chat = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "It is 2."}]
    (tmp_path / "shots.json").write_text(json.dumps([{"messages": chat}], indent=1))
    said = ("generate", "-m", "x", "--backend", "echo", "-t", "none", "p.jsonl", "-q")
    for name in ("shots.csv", "shots.json"):
        done = r1(*said, "--few-shot", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("a.json", b'[\n {"id": 1}\n]', "`r1 prompts FILE` makes records of a JSON array"),
        ("a.csv", b"id,prompt\n1,x\n", "`r1 prompts FILE` makes records of its rows"),
        ("a", b"PAR1\x00", "whose name ends in .parquet"),
        ("a.jsonl", gzip.compress(b"{}", mtime=0), "let its name end in .gz, or pipe it through zcat"),
        ("a.jsonl", b"\x28\xb5\x2f\xfd\x00", "let its name end in .zst"),
        ("a.xlsx", b"PK\x03\x04\x14", "save the sheet as CSV"),
        ("a.jsonl", '{"id":1}\n'.encode("utf-16"), "save it as UTF-8"),
        ("a.jsonl", b"hello\n", "each line must be one JSON object"),
    ],
)
def test_what_is_no_json_lines_is_told_by_how_it_begins(
    tmp_path: Path, name: str, text: bytes, remedy: str
) -> None:
    from stages.records import jsonl
    from stages.runtime.errors import BadInput

    (tmp_path / name).write_bytes(text)
    with pytest.raises(BadInput) as told:
        list(jsonl.read([str(tmp_path / name)]))
    assert remedy in str(told.value)
    assert str(told.value).startswith(f"{tmp_path / name}:1: ")


def test_what_is_written_is_packed_whatever_the_case_of_its_ending(tmp_path: Path) -> None:
    from stages.records import jsonl

    for name, mark in (("A.GZ", b"\x1f\x8b"), ("A.jsonl.Gz", b"\x1f\x8b"), ("A.ZST", b"\x28\xb5")):
        jsonl.write(tmp_path / name, [OTHER])
        assert (tmp_path / name).read_bytes().startswith(mark)
        assert list(jsonl.read([str(tmp_path / name)])) == [OTHER]


def test_gguf_may_be_written_in_capitals_and_its_source_must_be_there(tmp_path: Path) -> None:
    from stages import convert
    from stages.runtime.errors import StreamError, UsageError

    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(60))
    for name in ("b.gguf", "b.GGUF"):
        with pytest.raises(UsageError, match="is no directory: make a checkpoint of it first"):
            convert.run(tmp_path / "a.gguf", out=tmp_path / name)
        with pytest.raises(StreamError, match="cannot read"):
            convert.run(tmp_path / "nothing", out=tmp_path / name)
