"""What can be seen of a text, and what its letters are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.language import letters
from stages.rewards.format import format

HIDDEN = [
    "\u200b", "\u00ad", "\u2800", "\u3164", "\0", "\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e",
    "\u2060",
    "\u2064", "\u206f", "\ufe0f", "\ufeff", "\uffa0", "\ufff0", "\ufffc", "\U0001d159", "\U0001d173",
    "\U0001bca0",
    "\U00016fe4", "\U000e0001", "\U000e0061", "\U000e01ef", "\U000e0fff", "\u061c", "\u202e", "\u2066",
    "\x1b", "\x7f", "\x85",
    "\u00a0", "\u3000", "\u2028", "\u200d", "\u0301", "\ue000", "\U0010ffff", "\u0378", "\u20dd",
]  # fmt: skip


@pytest.mark.parametrize("sign", HIDDEN, ids=[f"U+{ord(each):04X}" for each in HIDDEN])
def test_a_block_of_what_cannot_be_seen_is_empty(sign: str) -> None:
    for hidden in (sign, f" {sign}\n{sign * 3}"):
        for said in (
            f"<think>{hidden}</think><answer>7</answer>",
            f"<think>3+4</think><answer>{hidden}</answer>",
        ):
            assert format({"completion": said}).value == 0
        assert format({"completion": f"<think>3+4</think>{hidden}"}, style="think").value == 0


def test_every_control_format_sign_and_space_is_blank_and_no_letter_is() -> None:
    for point in range(0x110000):
        kind = unicodedata.category(chr(point))
        if kind in ("Cc", "Cf", "Zs", "Zl", "Zp"):
            assert letters.blank(chr(point)), hex(point)
    assert not any(map(letters.blank, "a7.-=中かغ가🙂½√□"))


@given(st.text(max_size=600))
def test_one_form_of_letters_is_that_of_unicode(text: str) -> None:
    assert letters.compatible(text) == unicodedata.normalize("NFKC", text)


def test_marks_without_end_are_read_in_no_time() -> None:
    assert len(letters.plain("a" + "\u0301\u0316" * 50_000)) == 1
    assert len(letters.compatible("\u05b0\u05b4" * 50_000)) == 100_000
