"""The marks of a chat template: tokens that set turns and their parts off, and that end an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stages.inference.chat import ANSWER, QUESTION, shared, text_of
from stages.records.templates import Rendered
from stages.records.turns import Turn
from stages.runtime.errors import BadInput


def ending(tokenizer: Any, *later: Turn) -> str:
    """What the chat template writes after an answer that `later` turns follow; "" where it refuses."""
    if not tokenizer.chat_template:
        return ""
    turns = ({"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}, *later)
    try:
        text = text_of(tokenizer, Rendered(None, turns, "", ()), "", begin=False)
    except BadInput:
        return ""
    return text.rpartition(ANSWER)[2] if ANSWER in text else ""


def turn_end(tokenizer: Any) -> int | None:
    """The token with which the chat template ends an answer; None where that is plain text or nothing.

    Of several that follow an answer, whether or not a turn comes after it, it is the tokenizer's end of text
    where that is among them, as in Command, and else the first, as in Phi-3.
    """
    last = ending(tokenizer)
    within = ending(tokenizer, {"role": "user", "content": QUESTION})
    common = shared(last, within).rstrip()
    run = _leading(tokenizer, common) or _leading(tokenizer, last)
    return tokenizer.eos_token_id if tokenizer.eos_token_id in run else next(iter(run), None)


def _leading(tokenizer: Any, text: str) -> list[int]:
    """The added tokens that `text` begins with."""
    names, found = marks_of(tokenizer).names, []
    for token in tokenizer(text, add_special_tokens=False)["input_ids"] if text.strip() else ():
        if token in names:
            found.append(int(token))
        elif tokenizer.decode([token]).strip():
            break
    return found


@dataclass(frozen=True)
class Marks:
    """The tokens that a text has only where it says their names: ends, heads, tags."""

    names: dict[int, str]
    special: frozenset[int]  # those that are no part of what is said
    pattern: re.Pattern[str]

    def special_at_end(self, text: str) -> int | None:
        """The special token that `text` closes with, white space aside."""
        text = text.rstrip()
        found = [token for token in self.special if text.endswith(self.names[token])]
        return max(found, key=lambda token: len(self.names[token]), default=None)

    def run(self, text: str) -> int:
        """Where the tokens and white space begin that `text` closes with."""
        text, names = text.rstrip(), tuple(self.names.values())
        while text.endswith(names):
            name = max((each for each in names if text.endswith(each)), key=len)
            text = text.removesuffix(name).rstrip()
        return len(text)

    def last(self, text: str) -> int:
        """Where the last of them begins in `text`; 0 where there is none."""
        return max((match.start() for match in self.pattern.finditer(text)), default=0)


@lru_cache(maxsize=4)
def marks_of(tokenizer: Any) -> Marks:
    """The tokenizer's added tokens, without those that are white space."""
    known = {
        int(token): added for token, added in tokenizer.added_tokens_decoder.items() if str(added).strip()
    }
    names = {token: str(added) for token, added in known.items()}
    special = frozenset(token for token, added in known.items() if added.special)
    return Marks(names, special, any_of(names.values()))


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Any of the texts, the longest that fits; nothing where there is none."""
    longest = sorted(map(re.escape, texts), key=len, reverse=True)
    return re.compile("|".join(longest) or r"(?!)")
