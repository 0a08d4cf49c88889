"""One pass over a statement: what is struck out of it, and which parts of it still stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stages.grading.commitment import particles
from stages.grading.commitment.tokens import SMALL, Token, is_atom, parts_of, small

DENIED = "no answer: what is stated is denied"
WITHDRAWN = "no answer: what was stated is taken back"
ASKED = "no answer: it is asked, not stated"
UNFINISHED = "no answer: a list breaks off"
BOUNDED = "no answer: a bound is stated, not a value"
DRESS = re.compile(r"\\[()\[\]]|\\(?:text|mathrm|textbf|mbox)\b|\$|\*\*|\(\s*\)|\[\s*\]|（\s*）")
EXPLAINS = frozenset(["because", "if"])
ENDS_EXPLANATION = frozenset(["back", "stop", "rather", "so"])


class Reading:
    """A statement in parts, for answers of one kind; `why` says what took something out of it."""

    def __init__(self, text: str, kind: str) -> None:
        self.text, self.kind = text, kind
        self.parts = parts_of(text)
        self.gone = bytearray(len(text))
        self.dropped = [False] * len(self.parts)
        self.why = ""
        self.narrowed = False  # a conclusion was drawn from what came before it

    def left(self, k: int) -> list[Token]:
        """The tokens of a part that are not struck."""
        return [token for token in self.parts[k].tokens if not self.gone[token.start]]

    def bears(self, k: int) -> bool:
        """Whether the part holds something that could be the answer."""
        return not self.dropped[k] and any(is_atom(token, self.kind) for token in self.left(k))

    def strike(self, tokens: Sequence[Token]) -> None:
        """Takes the stretch from the first of these tokens to the last out of the text."""
        if tokens:
            start, end = tokens[0].start, tokens[-1].end
            self.gone[start:end] = b"\1" * (end - start)
            self.why = self.why or DENIED

    def take_back(self, k: int, why: str = WITHDRAWN) -> None:
        """Drops what was said before part `k`."""
        if any(map(self.bears, range(k))):
            self.why = why
        self.dropped[:k] = [True] * k

    def begins(self, tokens: Sequence[Token], n: int = 0) -> int:
        """Where an answer begins at the `n`-th token or after small words; -1 where none does."""
        for m in range(n, len(tokens)):
            if is_atom(tokens[m], self.kind):
                return m
            if not self._leads(tokens[m]):
                break
        return -1

    def _leads(self, token: Token) -> bool:
        """Whether a word says nothing by itself and only leads to an answer."""
        worded = token.kind == "word" and self.kind in ("value", "label")
        return token.kind in SMALL or (worded and token.said in particles.phrases("leads"))

    def ends(self, tokens: Sequence[Token], n: int) -> int:
        """Where the answer that begins at `n` ends: a formula at its first word, words at the end of the
        part.
        """
        if self.kind == "sided":
            return n + 1
        formula = tokens[n].kind in ("number", "command") or len(tokens[n].text) == 1
        depth = 0
        for m in range(n + 1, len(tokens)):
            kind = tokens[m].kind
            depth += tokens[m].nests
            if depth < 0 or kind in ("not", "wrong", "no", "bound", "neutral"):
                return m
            worded = kind == "character" or (kind in ("word", "link") and len(tokens[m].text) > 1)
            if formula and worded:
                return m
        return len(tokens)

    def short(self, k: int) -> bool:
        """Whether the part is as short as an answer itself: `7 apples`, not `the 7 that he bought`."""
        tokens = self.left(k)
        first = self.begins(tokens)
        if first < 0:
            return False
        rest = [token.kind for token in tokens[self.ends(tokens, first) :]]
        most = 2 if self.kind == "value" else 0  # words beside a number
        return "number" not in rest and rest.count("word") + rest.count("character") <= most

    def breaks_off(self) -> bool:
        """Whether the statement ends in a word that joins: `6 or`, `6 if it rains, 7 otherwise`."""
        for k in range(len(self.parts) - 1, 0, -1):
            part = self.parts[k]
            if part.joint != "stop" or self.bears(k):
                return part.joint == "or" and part.sign[0].isalpha() and small(part.tokens)
        return False

    def stands(self, k: int) -> str:
        """What is left of the part, without what dresses it."""
        tokens = self.left(k)
        while len(tokens) > 1 and tokens[0].kind in ("link", "neutral", "no"):
            del tokens[0]
        if not tokens:
            return ""
        start, end = tokens[0].start, tokens[-1].end
        return cleaned("".join(c for n, c in enumerate(self.text[start:end], start) if not self.gone[n]))


def cleaned(text: str) -> str:
    """`text` without delimiters, empty brackets and brackets that lost their partner."""
    text = DRESS.sub(" ", text).strip()
    for opens, closes in ("()", "[]", "{}", "（）"):
        if text.count(opens) > text.count(closes):
            text = text.removesuffix(opens).removeprefix(opens)
        elif text.count(closes) > text.count(opens):
            text = text.removesuffix(closes).removeprefix(closes)
    return " ".join(text.strip(' \t\n*_`"“”„«»’:：;；,，、').split())
