"""What goes wrong ends with one line that says what and where, the right code, and nothing half-made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import distill, generate, grpo, init, score, sft
from stages import eval as evaluation
from stages.checkpoints.checkpoint import read_manifest
from stages.checkpoints.contents import check_files
from stages.inference.transformers.model import load_model
from stages.records.jsonl import decode, encode
from stages.records.record import Record, digest, kind_of, need
from stages.records.templates import messages_of
from stages.rewards.accuracy import accuracy
from stages.runtime.errors import BadInput, NoRecords, Unavailable, UsageError
from stages.selection.rules import select
from stages.settings.criteria import Selection
from stages.settings.groups import Engine


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{bad", "not JSON (unexpected character, expected a string key at column 2)"),
        (b"null", "null, not an object"),
        (b"[1]", "an array, not an object"),
        (b"true", "true, not an object"),
        (b'"x"', "a string, not an object"),
        (b"\0\0", "not JSON (unexpected character, expected a JSON value at column 1)"),
        (b'{"a": NaN}', "not JSON (unexpected character"),
        (b'{"a": "\\ud800"}', "not JSON (no low surrogate in string at column 8)"),
        (b'{"a": "\\ud800", "n": 12345678901234567890123}', "not JSON (no low surrogate"),
        (b'{"a": "\xff"}', "not JSON ('utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_line_that_is_no_object_is_named_with_its_place(r1: R1, line: bytes, why: str) -> None:
    done = r1("relay", input=b'{"id":1}\n\n' + line + b"\n")
    assert done.returncode == 65
    assert f"r1 relay: stdin:3: {why}" in done.stderr.decode()


def test_windows_line_ends_and_a_byte_order_mark_are_read(r1: R1) -> None:
    done = r1("relay", input=b'\xef\xbb\xbf{"id":1}\r\n{"id":2}')
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2]


def test_a_long_integer_keeps_its_digits_and_can_be_named() -> None:
    value = decode(b'{"id":123456789012345678901234567890}')
    assert decode(encode(value)) == value
    assert digest(value) == digest({"id": 123456789012345678901234567890}) != digest({"id": 1})


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        (None, "field 'prompt' is null"),
        (5, "field 'prompt' is a number"),
        ([], "the prompt has no message"),
        (["x"], "a message is a string"),
        ([{"role": "user"}], "field 'content' is missing"),
        ([{"role": "user", "content": [{"text": "x"}]}], "field 'content' is an array"),
        ([{"role": None, "content": "x"}], "field 'role' is null"),
    ],
)
def test_a_prompt_of_another_shape_is_bad_input_with_its_place(prompt: Any, why: str) -> None:
    with pytest.raises(BadInput, match=f"^f:3: {why}; a prompt is a string, or"):
        messages_of(Record(prompt=prompt, place="f:3"))


def test_kinds_have_the_names_of_json() -> None:
    values = [None, True, False, 1, 0.5, "", [], {}]
    assert " ".join(map(kind_of, values)) == ("null true false a number a number a string an array an object")
    with pytest.raises(BadInput, match="field 'n' is true"):
        need({"n": True}, "n", int, "give a number")


def test_a_reference_that_is_no_text_is_null_with_a_reason() -> None:
    verdict = accuracy({"completion": "1", "answer": {"value": 1}})
    assert verdict == (None, "the reference answer is an object, not a text")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint, too small to learn anything."""
    path: Path = tmp_path_factory.mktemp("model") / "whole"
    init.run(init.Settings(out=path, hidden=16, layers=1, heads=2, context=64))
    return path


def cut(directory: Path) -> None:
    weights = directory / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 7)


def emptied(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(bytes(5000))


def without_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def without_configuration(directory: Path) -> None:
    (directory / "config.json").unlink()


def with_other_sizes(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))


def without_a_layer(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))


def of_another_kind(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type": "zork"}')


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (cut, "model.safetensors: broken: 7 bytes are missing"),
        (emptied, "model.safetensors: broken: it has no header"),
        (without_weights, "has no weights"),
        (without_configuration, "is no checkpoint: it has no config.json"),
        (
            with_other_sizes,
            "do not fit the configuration: |describes a model of",
        ),
        # transformers would fill it in at random, with a warning.
        (
            without_a_layer,
            "do not fit the configuration: model.layers.1.input_layernorm.weight is missing, and 8",
        ),
        (of_another_kind, r"config\.json: cannot load this model: .*zork"),
    ],
)
def test_a_model_that_is_not_whole_is_never_loaded(
    model: Path, tmp_path: Path, broken: Callable[[Path], None], why: str
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(model, directory)
    broken(directory)
    with pytest.raises((BadInput, Unavailable), match=why):
        load_model(str(directory), Engine(device="cpu", threads=1))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("./nowhere", "no checkpoint ./nowhere: there is no such directory"),
        ("a/b/c", "no checkpoint a/b/c: there is no such directory"),
        (__file__, "is a file, and a checkpoint is a directory"),
    ],
)
def test_a_name_that_is_no_model_is_told_without_a_network(name: str, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        check_files(name)


@pytest.mark.parametrize("text", ["{bad", "[1]", '{"options": 3}'])
def test_a_manifest_that_cannot_be_read_is_bad_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "r1.json").write_text(text)
    with pytest.raises(BadInput, match=r"r1\.json: not .*delete this file"):
        read_manifest(tmp_path)


TRAINING: dict[str, Callable[..., object]] = {
    "sft": lambda records, **options: sft.run(records, sft.Settings(**options)),
    "grpo": lambda records, **options: grpo.run(records, grpo.Settings(**options)),
    "distill": lambda records, **options: distill.run(
        records, distill.Settings(teacher=options["model"], **options)
    ),
}


def unread() -> Iterator[Record]:
    yield from ()
    raise AssertionError("a pipe would have run to its end before this was told")


@pytest.mark.parametrize("name", TRAINING)
def test_training_is_refused_before_its_input_is_read(name: str, model: Path, tmp_path: Path) -> None:
    train = TRAINING[name]
    with pytest.raises(UsageError, match="exists; choose another -o"):
        train(unread(), model=str(model), out=model)
    with pytest.raises(Unavailable, match="there is no such directory"):
        train(unread(), model=str(tmp_path / "none"), out=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRAINING)
def test_an_empty_input_trains_nothing_and_leaves_nothing(name: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRecords, match=r"^no (records|problems) to .*; "):
        TRAINING[name]([], model=str(model), out=tmp_path / "new", template="none")
    assert list(tmp_path.iterdir()) == []


def scored(**fields: Any) -> Record:
    record = {"id": "a#0", "group": "a", "prompt": "1+1=?", "answer": "2", "completion": "2"}
    return Record({**record, "rewards": {"accuracy": 1.0}, "reward": 1.0, **fields}, place="f:3")


@pytest.mark.parametrize("value", ["high", True, [1], {}])
def test_a_reward_that_is_no_number_is_bad_input_everywhere(value: Any) -> None:
    record = scored(rewards={"accuracy": value}, reward=value)
    best = Selection(keep="best")
    for judge in (
        lambda: list(select([record], Selection(keep="correct"), lambda *_: None)),
        lambda: list(select([record], Selection(min_pass=0.5), lambda *_: None)),
        lambda: list(select([record, record], best, lambda *_: None)),
        lambda: list(score.run([record], score.Settings(reward=("length",)))),
        lambda: evaluation.run([record]),
    ):
        with pytest.raises(BadInput, match=r"^f:3: .*reward'?( 'accuracy')? is "):
            judge()


@pytest.mark.parametrize("meta", [3, [], {"generate": 3, "prompts": [], "score": "x"}])
def test_a_meta_of_another_shape_is_as_good_as_none(meta: Any) -> None:
    (figures,) = evaluation.run([scored(meta=meta)]).records
    assert (figures["pass@1"], figures["model"]) == (1.0, None)


def test_two_problems_of_one_id_are_refused() -> None:
    """They would draw the same random numbers, and be one group for all that comes after."""
    problems = [Record(id="a", prompt=text, place=f"f:{text}") for text in "12"]
    with pytest.raises(BadInput, match=r"^f:2: id 'a' stands twice"):
        list(
            generate.run(
                problems, generate.Settings(model="none", template="none", engine=Engine(backend="echo"))
            )
        )


@pytest.mark.parametrize(
    ("device", "error"),
    [("zork", UsageError), ("cuda:x", UsageError), ("meta", UsageError), ("cuda:999", Unavailable)],
)
def test_a_device_that_is_not_there_is_named(model: Path, device: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^--device {device}: "):
        load_model(str(model), Engine(device=device))
