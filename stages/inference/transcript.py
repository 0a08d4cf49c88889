"""A conversation as one sequence of tokens, in which nothing that was sampled is tokenised again.

It grows by texts that the template writes and by answers, whose tokens may be given. Where the template
writes what is in it anew, as those that drop the thinking of earlier turns do, it ends, and another begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stages.inference import chat, marks
from stages.inference.encoding import decode, following, opening, plain_ids
from stages.records.templates import Rendered
from stages.records.turns import words_of


@dataclass(eq=False)
class Transcript:
    """Tokens `ids` of `text`, each with its `weight` in the loss. `exact`: all of them say their text."""

    tokenizer: Any
    text: str
    ids: list[int]
    weight: list[float] = field(default_factory=list)
    exact: bool = True
    open: bool = True

    def extend_to(self, text: str) -> bool:
        """Adds the rest of a `text` that begins with its own; False, and adds nothing, for any other."""
        if not self.open or not text.startswith(self.text):
            return False
        self.add(text[len(self.text) :], None, 0.0, given=True)
        return True

    def end_answer(self, end: int, shown: str, weight: float) -> None:
        """Adds the token that ends an answer, shown as `shown`; where that is "", nothing follows."""
        self.ids.append(end)
        self.weight.append(weight)
        self.text += shown
        self.open = bool(shown)

    def add(self, said: str, ids: Sequence[int] | None, weight: float, *, given: bool) -> None:
        """Adds a text, such as an answer: the tokens `ids`, or, without them, those of the text."""
        if ids is None:
            ids, exact = following(self.tokenizer, self.ids, self.text, said, given=given)
            self.exact &= exact
        self.ids.extend(ids)
        self.weight.extend([weight] * len(ids))
        self.text += said


def begin(tokenizer: Any, text: str, *, chatting: bool) -> Transcript:
    """A transcript that is `text`, of which nothing is learned."""
    ids = plain_ids(tokenizer, text) if chatting else opening(tokenizer, text)
    return Transcript(tokenizer, text, ids, [0.0] * len(ids))


def matching_prefix(tokenizer: Any, before: list[int], ids: Sequence[int], text: str) -> list[int] | None:
    """The first tokens of `ids` that say `text` after the tokens `before`; None where none do."""
    said = decode(tokenizer, before, list(ids))
    if said == text:
        return list(ids)
    if not said.startswith(text):
        return None
    low, high = 0, len(ids)
    while low < high:  # a stop text was cut off: the fewest tokens that have all of the text
        middle = (low + high) // 2
        if len(decode(tokenizer, before, list(ids[:middle]))) < len(text):
            low = middle + 1
        else:
            high = middle
    return list(ids[:low]) if decode(tokenizer, before, list(ids[:low])) == text else None


def history(tokenizer: Any, prompt: Rendered, text: str, place: str) -> list[int]:
    """The tokens of the prompt's `text`, in which those turns that hold their `completion_ids` have these."""
    transcript: Transcript | None = None
    for index, turn in enumerate(prompt.messages):
        ids = turn.get("completion_ids")
        if not ids or not index:
            continue
        head, _ = chat.head_of(tokenizer, replace(prompt, messages=prompt.messages[:index]), place)
        if not text.startswith(head):
            continue
        rest = text[len(head) :]
        bare = list(ids[:-1]) if ids[-1] in ends_of(tokenizer) else list(ids)
        said = decode(tokenizer, plain_ids(tokenizer, head), bare)
        at = rest.find(said)
        if at < 0 or not words_of(turn).startswith(rest[:at]):
            continue
        if transcript is None:
            transcript = begin(tokenizer, head + rest[:at], chatting=True)
        elif not transcript.extend_to(head + rest[:at]):
            continue
        transcript.add(said, bare, 0.0, given=True)
    if transcript is None or not transcript.extend_to(text):
        return plain_ids(tokenizer, text)
    return transcript.ids


def ends_of(tokenizer: Any) -> set[int | None]:
    """Tokens that the tokenizer and its chat template end an answer with."""
    return {tokenizer.eos_token_id, marks.turn_end(tokenizer)} - {None}
