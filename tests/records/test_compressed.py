"""A compressed file is read to its end or refused with its place: wherever it is cut, nothing passes for the
whole.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.formats.tables import read_rows
from stages.records import jsonl
from stages.records.compressed import PIECE, unpacked
from stages.runtime.errors import StreamError

zstandard = pytest.importorskip("zstandard")

RECORDS = [{"id": str(k), "noise": random.Random(k).random()} for k in range(40)]
LINES = [json.dumps(record).encode() + b"\n" for record in RECORDS]
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def read(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    return [record["id"] for record in jsonl.read([str(path)])]


@pytest.mark.parametrize("kind", PACK)
def test_a_file_cut_at_any_byte_is_refused_with_its_line(kind: str, tmp_path: Path) -> None:
    whole = PACK[kind](b"".join(LINES[:9]))
    path = tmp_path / f"in.jsonl{kind}"
    for end in range(len(whole)):
        with pytest.raises(StreamError, match=r"in\.jsonl\.\w+:\d+: cannot read: .*cut short"):
            read(path, whole[:end])
    assert read(path, whole) == [str(k) for k in range(9)]


@pytest.mark.parametrize("kind", PACK)
def test_frames_that_follow_one_another_are_one_file_wherever_the_last_is_cut(
    kind: str, tmp_path: Path
) -> None:
    frames = [PACK[kind](b"".join(LINES[k : k + 10])) for k in range(0, 40, 10)]
    path = tmp_path / f"in.jsonl{kind}"
    assert read(path, b"".join(frames)) == [str(k) for k in range(40)]
    before = b"".join(frames[:3])
    for end in range(1, len(frames[3])):
        with pytest.raises(StreamError, match=r":\d+: cannot read"):
            read(path, before + frames[3][:end])


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("after", [b"x", b"garbage after the end", b"{}\n", b"\x1f", b"\x28\xb5"])
def test_what_stands_behind_the_last_frame_is_no_end(kind: str, after: bytes, tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r":\d+: cannot read: the compressed data are"):
        read(tmp_path / f"in.jsonl{kind}", PACK[kind](b"".join(LINES)) + after)


@pytest.mark.parametrize("kind", PACK)
def test_a_flipped_bit_changes_nothing_in_silence(kind: str, tmp_path: Path) -> None:
    whole = PACK[kind](b"".join(LINES))
    wanted = [str(k) for k in range(40)]
    for k in range(0, len(whole) * 8, 37):
        flipped = bytearray(whole)
        flipped[k // 8] ^= 1 << k % 8
        try:
            found = read(tmp_path / f"in.jsonl{kind}", bytes(flipped))
        except StreamError:
            continue
        assert found == wanted, f"bit {k}"  # of a header field that nobody reads, such as gzip's time


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("garbage", [b"", b"\0", b"id,prompt\n", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.json"])
def test_garbage_is_refused_with_its_place_in_every_kind_of_file(
    kind: str, garbage: bytes, name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}{kind}"
    path.write_bytes(garbage)
    with pytest.raises(StreamError, match=rf"{name}\{kind}:1: cannot read: the compressed data"):
        list(read_rows(str(path)))


def test_padding_and_frames_to_skip_hold_nothing() -> None:
    packed = PACK[".gz"](b"abc")
    padded = packed + bytes(3 * PIECE) + packed + bytes(512)
    assert unpacked(io.BytesIO(padded), "x.gz").read() == b"abcabc"
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    frame = PACK[".zst"](b"abc")
    assert unpacked(io.BytesIO(skipped + frame + skipped + frame), "x.zst").read() == b"abcabc"


@pytest.mark.parametrize("kind", PACK)
def test_a_million_zeros_come_out_of_a_kilobyte(kind: str) -> None:
    assert unpacked(io.BytesIO(PACK[kind](bytes(10**6))), f"x{kind}").read() == bytes(10**6)
