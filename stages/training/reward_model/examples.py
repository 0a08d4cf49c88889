"""Lessons to examples: token by token what the finished model reads when it judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stages.inference.encoding import refuse_unknown
from stages.inference.transformers.classifier import conversation_ids, read_at
from stages.language.judged import Part
from stages.records.notes import Notes
from stages.records.record import Record, digest, place_of
from stages.runtime.errors import BadInput
from stages.runtime.report import Report
from stages.training.loop.preflight import nothing_to_train_on
from stages.training.reward_model.lessons import Lesson, lesson
from stages.training.rows import Sample

SAME = "chosen and rejected are one text to the model; it teaches nothing and is left out"


@dataclass(frozen=True)
class Example:
    """The samples of a lesson, one for each text, with its signs."""

    samples: tuple[Sample, ...]
    signs: tuple[float, ...]
    margin: float
    problem: str


@dataclass(frozen=True)
class Data:
    """The examples, a digest of their tokens, and one of the records they were made of."""

    examples: list[Example]
    learned: str
    given: str

    @property
    def are_pairs(self) -> bool:
        """Whether they are pairs, and not labelled completions."""
        return len(self.examples[0].signs) > 1


@dataclass
class Reader:
    """Makes examples of records: texts of at most `limit` tokens, the last of which is read at.

    With `together` the two texts of a pair share the tokens that they begin with.
    """

    tokenizer: Any
    pad: int
    vocabulary: int
    limit: int
    part: Part
    together: bool
    notes: Notes = field(default_factory=Notes)

    def read(self, records: Iterable[Record], report: Report) -> Data:
        """All examples of `records`. Raises BadInput where there are none, or pairs beside labels."""
        examples: list[Example] = []
        taught: list[str] = []
        given: list[str] = []
        pairs = None
        for line in records:
            given.append(digest(line))
            found = lesson(line, self.part)
            pairs = found.is_pair if pairs is None else pairs
            if found.is_pair != pairs:
                what = "a label among pairs" if pairs else "a pair among labels"
                remedy = "train a model on each, or make one form of them"
                raise BadInput(what, place=place_of(line), remedy=remedy)
            for example in self._example(found, str(len(examples))):
                examples.append(example)
                texts = [[*s.prompt_ids, *s.completion_ids] for s in example.samples]
                taught.append(digest(texts, example.signs, example.margin))
        self.notes.tell(report)
        if not examples:
            raise nothing_to_train_on()
        return Data(examples, digest(taught), digest(given))

    def _example(self, found: Lesson, name: str) -> Iterator[Example]:
        texts = [self._ids(each, found.record) for each in found.conversations]
        longest = max(map(len, texts))
        if longest > self.limit:
            self.notes.add(f"longer than --context {self.limit} tokens and left out", found.record)
        elif found.is_pair and texts[0] == texts[1]:
            self.notes.add(SAME, found.record)
        else:
            shared = _shared(texts) if self.together and found.is_pair else 0
            group = name if shared else ""
            samples = tuple(_sample(ids, shared or 1, group) for ids in texts)
            yield Example(samples, found.signs, found.margin, found.problem)

    def _ids(self, conversation: list[dict[str, str]], record: Record) -> list[int]:
        """The tokens up to the one that is read at."""
        ids = conversation_ids(self.tokenizer, conversation, place_of(record))
        if not ids:
            raise BadInput(
                "prompt and completion are empty", place=place_of(record), remedy="drop the record"
            )
        refuse_unknown(self.tokenizer, ids, self.vocabulary, place_of(record))
        return ids[: read_at(ids, self.pad) + 1]


def _shared(texts: list[list[int]]) -> int:
    """How many tokens two texts begin with in common."""
    one, other = texts
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _sample(ids: list[int], shared: int, group: str) -> Sample:
    """A text whose last token is one that predicts: a further one, which is not read, stands after it."""
    rest = [*ids[shared:], ids[-1]]
    return Sample(ids[:shared], rest, [0.0] * len(rest), group=group)
