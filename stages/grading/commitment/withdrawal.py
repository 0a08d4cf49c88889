"""What a statement takes back, asks or only explains is dropped: `7, wait, 8`; `7? No, 8`; `8, because …`."""

from __future__ import annotations

from stages.grading.commitment import particles
from stages.grading.commitment.reading import ASKED, ENDS_EXPLANATION, EXPLAINS, Reading
from stages.grading.commitment.tokens import Part, affirmed

ENDS_CONDITION = ENDS_EXPLANATION | {"and", "or", "but"}


def withdraw(reading: Reading) -> None:
    """Drops what was said before a word that takes it back, and explanations to their ends."""
    explains, ends = False, ENDS_EXPLANATION
    cases = sum(part.joint == "if" for part in reading.parts)
    for k, part in enumerate(reading.parts):
        before = range(k)
        if part.joint == "back" or (part.joint == "rather" and reading.short(k)):
            reading.take_back(k)
        elif part.joint == "ask" and not affirmed(part.tokens):
            reading.take_back(k, ASKED)
        elif part.joint == "so" and reading.kind == "label" and _lettered(part):
            reading.narrowed = reading.narrowed or any(map(reading.bears, before))
            reading.dropped[:k] = [True] * k
        elif part.joint == "if":  # `6 if it rains, 7 otherwise`; `if it rains, 6`
            several = cases > 1 or not any(map(reading.bears, before))
            ends = ENDS_CONDITION if several else ENDS_EXPLANATION
        elif part.joint == "because":
            ends = ENDS_EXPLANATION
        explains = part.joint in EXPLAINS or (explains and part.joint not in ends)
        explains = explains and part.sign.lower() not in particles.phrases("else")
        if explains:
            reading.narrowed = reading.narrowed or (reading.kind == "value" and reading.bears(k))
            reading.dropped[k] = True


def _lettered(part: Part) -> bool:
    """Whether a part holds a single capital, as labels are."""
    return any(t.kind == "word" and len(t.text) == 1 and t.text.isupper() for t in part.tokens)
