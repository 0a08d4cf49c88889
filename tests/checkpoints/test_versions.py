"""Versions of weights in a directory: to the bit what was written, and whole or not there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zstandard
from torch import Tensor

from stages.checkpoints.versions import delta, layout, reader
from stages.checkpoints.versions.writer import EVERY, Writer
from stages.runtime.errors import R1Error, UsageError

Weights = dict[str, Tensor]


def fresh() -> Weights:
    made = torch.Generator().manual_seed(0)
    return {
        "embed": torch.randn(40, 16, generator=made) / 50,
        "norm": torch.ones(17),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "turned": torch.randn(4, 6, generator=made).T,
    }


def step(weights: Weights, rate: float = 1e-4) -> None:
    """One update of AdamW, as far as its size goes."""
    for weight in weights.values():
        weight.sub_(rate * torch.randn(weight.shape).sign())


def copied(weights: Weights, dtype: str) -> Weights:
    return {name: weight.to(getattr(torch, dtype), copy=True) for name, weight in weights.items()}


def same(found: Weights, wanted: Weights) -> bool:
    return list(found) == list(wanted) and all(
        found[name].dtype == weight.dtype and torch.equal(found[name], weight)
        for name, weight in wanted.items()
    )


def read(directory: Path, version: int) -> Weights:
    return dict(reader.weights(reader.chain(directory, version)))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "weights", "bfloat16")
    yield writer
    writer.close()


def test_a_frame_is_the_bits_of_what_changed_and_then_their_xor_byte_by_byte() -> None:
    old = np.array([1, 2, 3, 4, 5, 6, 7, 8, 0x0F0F], np.uint16)
    new = np.array([1, 6, 3, 4, 5, 6, 7, 8, 0x0E0E], np.uint16)
    frame = delta.between(old, new)
    # Numbers 1 and 8 of nine: bits 0b00000010 and 0b1; 2 ^ 6 is 0x0004, the other 0x0101; low bytes first.
    assert zstandard.ZstdDecompressor().decompress(frame) == bytes([0b10, 0b1, 0x04, 0x01, 0x00, 0x01])
    delta.apply(frame, old)
    assert old.tolist() == new.tolist()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"no zstd", "no frame of zstd"),
        (zstandard.ZstdCompressor().compress(bytes(1 << 20)), "another size"),
        (zstandard.ZstdCompressor().compress(b""), "ends early"),
        (zstandard.ZstdCompressor().compress(b"\x01"), "another number of changes"),
        (zstandard.ZstdCompressor().compress(b"\x01\x01"), "another number of changes"),
    ],
)
def test_a_frame_that_does_not_fit_its_tensor_is_refused(frame: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        delta.apply(frame, np.zeros(3, np.uint16))


@pytest.mark.parametrize(("dtype", "steps"), [("bfloat16", 50), ("float32", 20)])
def test_steps_are_exact_to_the_bit_and_old_versions_go(dtype: str, steps: int, tmp_path: Path) -> None:
    writer, weights, written = Writer(tmp_path, dtype), fresh(), []
    wanted: list[Weights] = []
    for number in range(steps):
        written.append(writer.write(weights.items()))
        wanted.append(copied(weights, dtype))
        assert written[-1].version == number
        assert same(read(tmp_path, number), wanted[-1])
        step(weights)
    bases = [each.version for each in written if each.is_base]
    assert bases == list(range(0, steps, EVERY))
    there = layout.versions(tmp_path)
    assert there == list(range(bases[-2], steps)), "all since the last base but one"
    assert all(same(read(tmp_path, number), wanted[number]) for number in there), "who comes late finds them"
    assert reader.newest(tmp_path).index.version == steps - 1
    files = {path.name for path in tmp_path.glob("*.safetensors")}
    assert files == {f"{number:06d}.safetensors" for number in there}
    writer.close()


def test_what_did_not_change_takes_no_room_and_who_changes_all_writes_a_base(made: Writer) -> None:
    weights = fresh()
    base = made.write(weights.items())
    weights["norm"][3] = 7.0
    second = made.write(weights.items())
    changed = layout.weights_of(made.directory, second.version)
    (length,) = np.frombuffer(changed.read_bytes()[:8], np.uint64)
    assert set(json.loads(changed.read_bytes()[8 : 8 + int(length)])) == {"__metadata__", "norm"}
    assert not second.is_base
    assert same(read(made.directory, 1), copied(weights, "bfloat16"))
    assert made.write(weights.items()).size < base.size, "an update that changes nothing"
    noise = {
        name: torch.randint(-(2**15), 2**15, weight.shape).short().view(torch.bfloat16)
        for name, weight in weights.items()
    }
    assert made.write(noise.items()).is_base, "its changes are no less than it"
    made.write(weights.items())
    weights["more"] = torch.ones(3)
    assert made.write(weights.items()).is_base, "a version says the changes of the same tensors"
    assert same(read(made.directory, 5), copied(weights, "bfloat16"))


def test_a_version_cut_at_any_byte_or_altered_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "bfloat16")
    weights = {"a": torch.randn(40) / 50, "b": torch.randn(2, 3)}
    writer.write(weights.items())
    weights["a"][7] += 1
    last = writer.write(weights.items())
    assert not last.is_base
    writer.close()
    wanted, undetected = copied(weights, "bfloat16"), 0
    for path in [*tmp_path.glob("0*.json"), *tmp_path.glob("0*.safetensors")]:
        whole = path.read_bytes()
        bits = [
            bytes([*whole[:at], whole[at] ^ 1 << at % 8, *whole[at + 1 :]])
            for at in range(0, len(whole), 5)  # every byte takes half a minute
        ]
        for broken in [*(whole[:end] for end in range(len(whole))), *bits]:
            path.write_bytes(broken)
            try:
                found = read(tmp_path, last.version)
            except R1Error:
                continue
            undetected += 1
            assert same(found, wanted), f"{path.name}: other weights pass for those that were written"
        path.write_bytes(whole)
    # A white space in JSON, a checksum of the version before, what nobody reads of a header.
    assert undetected < 100
    assert same(read(tmp_path, last.version), wanted)


def test_with_the_checksum_of_its_index_nothing_else_passes_for_a_version(made: Writer) -> None:
    made.write(fresh().items())
    second = made.write(fresh().items())
    assert reader.chain(made.directory, 1, second.digest).index.version == 1
    path = layout.index_of(made.directory, 1)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(R1Error, match=r"000001.json is not the one that was written: its checksum differs"):
        reader.chain(made.directory, 1, second.digest)


def _write_for_ever(directory: Path, start: int) -> None:
    torch.manual_seed(start)
    writer, weights = Writer(directory, "bfloat16", every=4), fresh()
    while True:
        writer.write(weights.items())
        step(weights)


def test_a_writer_killed_at_any_instant_leaves_whole_versions_and_goes_on(tmp_path: Path) -> None:
    chance, seen = random.Random(0), -1
    for turn in range(25):
        child = os.fork()
        if child == 0:
            try:
                _write_for_ever(tmp_path, turn)
            finally:
                os._exit(1)
        deadline = time.monotonic() + 20
        while not (there := layout.versions(tmp_path)) or there[-1] <= seen:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it was still writing"
        there = layout.versions(tmp_path)
        assert there[-1] > seen, "a number is never used twice"
        seen = there[-1]
        readable = [version for version in there if len(read(tmp_path, version)) == len(fresh())]
        assert readable == there
    assert len(there) <= 2 * 4 + 2


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "model.safetensors"
    for name in ("model.safetensors", "000007.safetensors", ".000008.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    writer = Writer(tmp_path, "float32")
    assert sorted(tmp_path.glob("*.safetensors")) == [mine]
    assert writer.write(fresh().items()).version == 9
    writer.close()


def test_what_fails_on_the_way_leaves_no_version_and_the_next_one_is_a_base(made: Writer) -> None:
    weights = fresh()
    made.write(weights.items())
    step(weights)

    def broken() -> Iterator[tuple[str, Tensor]]:
        yield "embed", weights["embed"]
        raise ConnectionError("pulled out")

    with pytest.raises(ConnectionError):
        made.write(broken())
    assert layout.versions(made.directory) == [0]
    assert made.write(weights.items()).is_base
    assert same(read(made.directory, 1), copied(weights, "bfloat16"))
    with pytest.raises(R1Error, match="two weights are called a"):
        made.write([("a", torch.ones(2)), ("a", torch.ones(2))])


def test_one_run_at_a_time_writes_there(tmp_path: Path) -> None:
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        Writer(tmp_path, "float32")
        os.write(ready[1], b"!")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(UsageError, match=f"--weights-dir {tmp_path}: another run writes there"):
            Writer(tmp_path, "float32")
    finally:
        os.write(done[1], b"!")
        os.waitpid(child, 0)
    Writer(tmp_path, "float32").close()


def test_who_waits_gets_a_version_when_all_of_it_has_come(made: Writer, tmp_path: Path) -> None:
    weights, there = fresh(), tmp_path / "copy"
    made.write(weights.items())
    step(weights)
    second = made.write(weights.items())
    there.mkdir()
    with pytest.raises(R1Error, match=r"version 1 .* has not come: .*000001.json is not there"):
        reader.awaited(there, 1, second.digest, timeout=0.2)

    def arrive() -> None:
        for name in ("000001.json", "000000.safetensors", "000000.json", "000001.safetensors"):
            whole = (made.directory / name).read_bytes()
            (there / name).write_bytes(whole[: len(whole) // 2])
            time.sleep(0.05)
            (there / name).write_bytes(whole)

    coming = threading.Thread(target=arrive)
    coming.start()
    came = reader.awaited(there, 1, second.digest, timeout=20)
    coming.join()
    assert same(dict(reader.weights(came)), copied(weights, "bfloat16"))


def test_the_newest_is_the_last_that_is_whole(made: Writer) -> None:
    weights = fresh()
    with pytest.raises(R1Error, match="has no version of weights"):
        reader.newest(made.directory)
    for _ in range(3):
        made.write(weights.items())
        step(weights)
    layout.weights_of(made.directory, 2).unlink()
    assert reader.newest(made.directory).index.version == 1


def test_another_run_goes_on_with_the_numbers_and_begins_with_a_base(tmp_path: Path) -> None:
    for run in range(3):
        writer, weights = Writer(tmp_path, ("float32", "bfloat16")[run % 2]), fresh()
        assert [writer.write(weights.items())[::3] for _ in range(2)] == [
            (2 * run, True),
            (2 * run + 1, False),
        ]
        writer.close()
    assert layout.versions(tmp_path) == [2, 3, 4, 5]


def test_beside_them_stands_all_that_a_checkpoint_has_but_weights(made: Writer, tiny: Path) -> None:
    made.describe(str(tiny))
    described: Any = {path.name for path in (made.directory / "model").iterdir()}
    assert described == {path.name for path in tiny.iterdir()} - {"model.safetensors", "r1.json"}
    shutil.copytree(tiny, made.directory.parent / "other", ignore=lambda *_: ["chat_template.jinja"])
    made.describe(str(made.directory.parent / "other"))
    assert "chat_template.jinja" not in {path.name for path in (made.directory / "model").iterdir()}


def test_the_reader_of_the_docs_reads_them(made: Writer) -> None:
    page = (Path(__file__).parents[2] / "docs" / "weight-files.md").read_text("utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    found: dict[str, Any] = {}
    exec(code, found)
    weights = fresh()
    for version in range(3):
        made.write(weights.items())
        step(weights, 1e-2)
        wanted = read(made.directory, version)
        read_there = found["weights"](made.directory, version)
        assert read_there == {name: bytes_of(weight) for name, weight in wanted.items()}


def bytes_of(weight: Tensor) -> bytes:
    return weight.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
