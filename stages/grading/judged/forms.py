"""What a judge is asked: a text with places for the problem and the answers, in roles where it has any.

Places are `{prompt}`, `{completion}`, `{answer}`, and of a pair `{first}` and `{second}`. The names that
published programs give them are known as well, so that a text of theirs can be taken as it is. A text is what
the user says, unless it has parts between `<|im_start|>ROLE` and `<|im_end|>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from stages.runtime import text_file
from stages.runtime.errors import R1Error, UsageError

Turns = tuple[tuple[str, str], ...]  # role and words of each turn

PLACES = {
    "prompt": ("prompt", "instruction", "question", "question_1", "QUESTION", "behavior"),
    "completion": ("completion", "predicted_answer", "generation"),
    "answer": ("answer", "target"),
    "first": ("first", "output_1", "answer_1", "ANSWER_A"),
    "second": ("second", "output_2", "answer_2", "ANSWER_B"),
}
CALLED = {name: place for place, names in PLACES.items() for name in names}
PLACE = re.compile(r"\{(" + "|".join(CALLED) + r")\}")
BEGIN, END = re.compile(r"<\|im_start\|>(system|user|assistant)\n"), "<|im_end|>"


class Form(NamedTuple):
    """The turns of a question, with places in them."""

    turns: Turns

    @property
    def places(self) -> frozenset[str]:
        """What it has a place for."""
        return frozenset(CALLED[name] for _, text in self.turns for name in PLACE.findall(text))

    def filled(self, fields: Mapping[str, str]) -> Turns:
        """The turns with `fields` in their places; what stands in braces in a field stays as it is."""
        return tuple(
            (role, PLACE.sub(lambda match: fields[CALLED[match[1]]], text)) for role, text in self.turns
        )


@lru_cache(maxsize=16)
def form_of(file: str, reward: str, needs: tuple[str, ...] = ("completion",)) -> Form:
    """The form in `file`, or the reward's own where that is "".

    Raises UsageError for a file that cannot be read, or that lacks a place of `needs`.
    """
    path = Path(file) if file else Path(__file__).parent / "prompts" / f"{reward}.txt"
    try:
        text = text_file.read(path)
    except R1Error as error:
        raise UsageError(f"--reward {reward}: prompt={path}: {error}") from error
    found = Form(_turns(text) or (("user", text),))
    for place in needs:
        if place not in found.places:
            raise UsageError(f"--reward {reward}: prompt={path} holds no {{{place}}}")
    return found


def _turns(text: str) -> Turns:
    """The parts of a text that have a role."""
    _, *parts = BEGIN.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple((role, words.partition(END)[0].removesuffix("\n")) for role, words in pairs)
