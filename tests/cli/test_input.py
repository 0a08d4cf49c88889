"""What is read and is not what it should be ends with its place, its value and a remedy; nothing is dropped
in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import R1
from fuzz import Case, Draw, fuzzed

from stages import eval as measure
from stages import generate, prompts, report
from stages.formats.rows import Reader
from stages.language.identification import target_language
from stages.records.jsonl import DEPTH, decode, encode, read_lines
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.scoring import spec

BAD_UTF8 = "UTF-16 text = 1\n".encode("utf-16")
DEEP = b"[" * 1500 + b"]" * 1500
SCORED = {"id": "a#0", "group": "a", "prompt": "1+1", "completion": "We add 2", "answer": "2"}
KLINGON = json.dumps({**SCORED, "lang": "tlh", "rewards": {"accuracy": 1}}).encode()
STEP = {"step": 1, "loss": 0.5, "reward": 0.1, "total_flos": 1, "step_time": 1.0}


def metrics(**changed: Any) -> dict[str, bytes]:
    lines = (STEP, {**STEP, **changed})
    return {"run/metrics.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines)}


ENDS: list[tuple[list[str], dict[str, bytes], int, str]] = [
    # The language of a record, by all who ask for it.
    (
        ["score", "-r", "language", "in"],
        {"in": b"\n" + KLINGON},
        65,
        r"in:2: no language 'tlh'; choose one "
        r"of ar ",
    ),
    (["filter", "--max-mixing", "1", "in"], {"in": KLINGON}, 65, r"in:1: no language 'tlh'; choose"),
    (["eval", "in"], {"in": KLINGON}, 65, r"in:1: no language 'tlh'; choose"),
    (
        ["score", "-r", "language", "in"],
        {"in": KLINGON.replace(b'"tlh"', b"5")},
        65,
        r"in:1: field 'lang' is a number; "
        r"choose",
    ),
    (
        ["score", "-r", "language:lang=tlh", "in"],
        {"in": KLINGON},
        2,
        r"--reward language:lang=tlh: .*choose "
        r"one of",
    ),
    # Texts of the user's that are none.
    (
        ["filter", "--config", "c", "in"],
        {"c": BAD_UTF8, "in": b""},
        2,
        r"c:1: not UTF-8 .*; save it as UTF-8",
    ),
    (["filter", "--config", "c", "in"], {"c": b"a = 1\nb = '\xff'", "in": b""}, 2, r"c:2: not UTF-8"),
    (["filter", "--config", "c", "in"], {"c": b"a = " + DEEP, "in": b""}, 2, r"c: not TOML: "),
    (
        ["filter", "--config", "c", "in"],
        {"c": b'where = "\\u0000"', "in": b""},
        2,
        r"c: where is '\\x00', but must be a "
        r"string",
    ),
    (["filter", "--config", "/dev/zero", "in"], {"in": b""}, 2, r"/dev/zero: more than 16 MiB"),
    (["filter", "--config", ".", "in"], {"in": b""}, 74, r"cannot read \.: Is a directory"),
    (
        ["generate", "-m", "m", "--backend", "echo", "-t", "t", "in"],
        {"t": BAD_UTF8, "in": b""},
        2,
        r"t:1: not UTF-8",
    ),
    (["generate", "-m", "m", "--backend", "echo", "-t", "x" * 300, "in"], {"in": b""}, 2, r"no template '"),
    (["score", "-r", "x" * 300 + ".py:f", "in"], {"in": b""}, 2, r"no file xxx"),
    (
        ["score", "-r", "judge:model=echo,prompt=q", "in"],
        {"q": BAD_UTF8, "in": json.dumps(SCORED).encode()},
        2,
        r"prompt=q: q:1: not UTF-8",
    ),
    (
        ["filter", "--decontaminate", "d.json", "in"],
        {"d.json": BAD_UTF8, "in": b"{}"},
        65,
        r"d\.json:1: not JSON",
    ),
    # Lines that are none.
    (["filter", "in"], {"in": b"{}\n" + DEEP}, 65, r"in:2: not JSON \(.*; each line must be"),
    (
        ["filter", "in"],
        {"in": b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"},
        65,
        r"in:1: not JSON \(nested more than "
        r"200 levels deep\)",
    ),
    (["prompts", "in.json"], {"in.json": b"[" + DEEP + b"]"}, 65, r"in\.json:1: not JSON"),
    (["filter", "in"], {"in": b'{"a":1e999}'}, 65, r"in:1: not JSON"),
    (["filter", "/dev/zero"], {}, 65, r"/dev/zero:1: a line of more than 256 MiB"),
    # Names that stand twice.
    (
        ["prompts", "in.csv"],
        {"in.csv": b"id,a,a\n1,2,3\n"},
        65,
        r"in\.csv:1: the columns hold 'a' twice; "
        r"rename",
    ),
    (["prompts", "in.tsv"], {"in.tsv": b"a\ta\n"}, 65, r"in\.tsv:1: the columns hold 'a' twice"),
    (
        ["prompts", "in.csv", "--columns", "a,b,a"],
        {"in.csv": b"1,2,3\n"},
        65,
        r"--columns: the columns hold 'a' "
        r"twice",
    ),
    (
        ["prompts", "in.csv", "--map", "id=a", "--map", "id=b"],
        {"in.csv": b"a,b\n"},
        2,
        r"--map id=b: id is given twice",
    ),
    (
        ["prompts", "sums", "--set", "digits=1", "--set", "digits=2"],
        {},
        2,
        r"--set digits=2: digits is given "
        r"twice",
    ),
    (["score", "-r", "format:style=think,style=auto", "in"], {"in": b""}, 2, r"style is given twice"),
    # A folder is no data set of the hub.
    (["prompts", "../.."], {}, 2, r"\.\./\.\. is a directory: name a file in it"),
    (["eval", "-m", "m", "--backend", "echo", "-b", "a/b"], {"a/b/in": b""}, 2, r"a/b is a directory"),
    (["prompts", "./none"], {}, 2, r"no source '\./none'"),
    (
        ["eval", "--save", "s", "in"],
        {"in": b"\n"},
        65,
        r"in: no completions to measure; give",
    ),
    (["eval", "-m", "m", "--backend", "echo", "-b", "gsm8k", "in"], {"in": b""}, 2, r"leave out FILE"),
    (["rank", "in", "in"], {"in": b""}, 65, r"in and 1 more: no verdicts"),
    (["rank"], {}, 65, r"stdin: no verdicts"),
    # What is compared with is none: --save leaves no file.
    (
        ["eval", "--save", "s", "--against", "none", "in"],
        {"in": b'{"id":"a","prompt":"p","completion":"7","rewards":{"accuracy":1.0}}'},
        2,
        r"--against none: no such file, and no such model",
    ),
    # Figures of a run that are none.
    (
        ["report", "run"],
        metrics(step_time="x"),
        65,
        r"run/metrics\.jsonl:2: field 'step_time' is a string; a "
        r"line of metrics",
    ),
    (["report", "run"], metrics(loss=None), 65, r"run/metrics\.jsonl:2: field 'loss' is null"),
    (["report", "run"], metrics(reward=[1]), 65, r"run/metrics\.jsonl:2: field 'reward' is an array"),
    (
        ["report", "run"],
        metrics(**{"completions/mean_length": True}),
        65,
        r":2: field 'completions/mean_length' "
        r"is true",
    ),
    (["report", "run"], metrics(total_flos={}), 65, r":2: field 'total_flos' is an object"),
    # Numbers that no option takes.
    (
        ["generate", "-m", "m", "--backend", "echo", "--seed", "-1", "in"],
        {"in": b""},
        2,
        r"--seed -1: must be at least 0",
    ),
    (
        ["generate", "-m", "m", "--backend", "echo", "--shard", "\u00b2/\u00b3", "in"],
        {"in": b""},
        2,
        r"--shard .*: must be i/n",
    ),
    (["score", "-r", "language:empty=inf", "in"], {"in": b""}, 2, r"empty inf: must be from"),
    # Text that is no text, and conditions that nobody can read.
    (["filter", "--where", "\udcff == 1", "in"], {"in": b""}, 2, r"--where .*: not UTF-8"),
    (
        ["filter", "--where", "-" * 3000 + "n", "in"],
        {"in": b'{"n":1}'},
        2,
        r"nested too deep|too many "
        r"nested|recursion",
    ),
]


def end(draw: Draw) -> Case:
    """One of the ends above."""
    arguments, files, code, says = ENDS[draw.number]
    return Case(arguments, files=dict(files), code=code, says=says)


def test_each_end_is_the_documented_one_and_says_where_what_and_what_to_do() -> None:
    fuzzed("test_input", ["end"], len(ENDS))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"generations": "ab", "problem": "x"}, "field 'generations' is a string"),
        ({"generations": 3, "problem": "x"}, "field 'generations' is a number"),
        ({"generations": ["a", 3], "problem": "x"}, "generation 1 is a number"),
        (
            {"generations": ["a", "b"], "finish_reasons": "stop", "problem": "x"},
            "field 'finish_reasons' is a string",
        ),
        (
            {"generations": ["a", "b"], "finish_reasons": ["stop"], "problem": "x"},
            "finish_reasons holds 1 values for 2 generations",
        ),
        ({"conversations": [{"from": ["gpt"], "value": "x"}]}, r"a turn is from \['gpt'\]"),
    ],
)
def test_a_row_is_not_read_as_what_it_is_not(row: dict[str, Any], why: str) -> None:
    """A text for `generations` was a completion for each letter, and a short list was laid beside the wrong
    ones.
    """
    with pytest.raises(BadInput, match=f"^f:1: {why}"):
        list(Reader().records(Record(row, place="f:1"), "n"))


def test_a_list_beside_the_generations_may_be_null() -> None:
    row = Record(generations=["a"], finish_reasons=None, problem="x")
    assert [record["completion"] for record in Reader().records(row, "n")] == ["a"]


def test_what_can_be_read_can_be_written_and_what_is_deeper_is_refused() -> None:
    for depth in (1, DEPTH - 1, DEPTH):
        text = b'{"a":' * (depth - 1) + b"[1,{},2]" + b"}" * (depth - 1)
        if depth < DEPTH:
            assert encode({"meta": {"x": decode(text)}}).count(b'"a"') == depth - 1
        else:
            with pytest.raises(ValueError, match="nested more than 200 levels"):
                decode(text)
    wide = b"[" + b",".join([b'{"a":[1]}'] * 5000) + b"]"
    assert len(decode(wide)) == 5000


def test_a_file_name_that_is_no_text_becomes_one_in_its_places() -> None:
    (record,) = read_lines([b'{"id":1}'], "in\udcff.jsonl")
    assert record.place == "in\\udcff.jsonl:1"


@pytest.mark.parametrize("lang", ["EN", "zh-CN", "de_AT", " fr "])
def test_a_language_may_be_written_with_its_region(lang: str) -> None:
    assert target_language(Record(lang=lang)) == lang


def test_no_seed_is_below_zero() -> None:
    """Some programs take -1 for another seed each time: here it would be one seed like any other."""
    from r1cli.signature import describe

    for name, module in (("generate", generate), ("prompts", prompts), ("eval", measure)):
        seed = next(each for each in describe(name, module).options if each.name == "seed")
        assert 0 in seed.bounds
        assert -1 not in seed.bounds


def test_a_users_function_with_parameters_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    for text, why in (
        ("f = int", "cannot read the parameters of f"),
        ("def f(record, *, x: zork = 1): return 1", "cannot read the parameters of f"),
        ("def f(): return 1", "neither a record"),
        ("def f(completion): return 1", "neither a record"),
        ("def f(said: str): return 1", "neither a record"),
        ("def f(completion, *, scale=0.5): return scale", "neither a record"),
        ("def f(completion, answer=''): return 1", "neither a record"),
    ):
        path = tmp_path / "mine.py"
        path.write_text(f"from __future__ import annotations\n{text}\n")
        with pytest.raises(UsageError, match=why):
            spec.part(f"{path}:f")


def test_a_run_of_old_without_a_figure_is_shown_without_it(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step":1,"loss":1,"total_flos":null,"step_time":null}\n')
    (record,) = report.run((tmp_path,)).records
    assert (record["total_flos"], record["seconds"]) == (0, 0.0)


@pytest.mark.parametrize("text", [b'"""Caf\xe9."""\n', b'"""X."""\n\0\n', b'"""X."""\ndef run(:\n'])
def test_a_stage_file_that_is_no_python_is_named_and_hinders_no_other(
    r1: R1, tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "mine.py").write_bytes(text)
    env = {"R1_STAGES": str(tmp_path)}
    listed = r1("--help", env=env)
    assert listed.returncode == 0, listed.stderr
    assert b"  mine " in listed.stdout
    done = r1("mine", env=env)
    assert done.returncode == 2
    assert f"r1 mine: {tmp_path}/mine.py:" in done.stderr.decode()
    assert b"no Python" in done.stderr
