"""Whether a prompt repeats a problem of a benchmark, and in which words.

A problem of 13 words or more is repeated where the prompt has most of it, rare words before common ones
(likeness.py). One of 6 to 12 words must stand in the prompt as a whole; a shorter one must be the whole
prompt. With `n`, any n successive words that both have suffice, however common (GPT-3's rule with 13). Case,
punctuation and formatting do not count; a Han or Kana character is a word.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from stages.formats.foreign import as_records, is_record
from stages.formats.rows import Reader
from stages.formats.tables import read_rows
from stages.records.record import Record, bad_record, object_of, place_of
from stages.records.templates import messages_of
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.report import SILENT, Report
from stages.selection.likeness import Problems
from stages.settings.criteria import SHARE

TOKEN = re.compile(r"[㐀-鿿豈-﫿ぁ-ヿ]|[^\W_]+")
FIELDS = ("prompt", "problem", "question", "Question", "input", "text")
SHORTEST = 6  # words that a problem must have to be found inside a longer prompt
WEIGHED = 13  # words from which on a part of a problem suffices
SHOWN = 200  # characters of what is shared


class Repetition(NamedTuple):
    """The problem that a prompt repeats, the share of it that the prompt has, and the words of both."""

    name: str
    share: float
    words: str


class Overlap:
    """The problems of some files, to look prompts up in."""

    def __init__(
        self, problems: Iterable[tuple[str, str]], n: int | None = None, share: float = SHARE
    ) -> None:
        """`problems` are (text, name) pairs. Raises UsageError for an n below 6."""
        if n is not None and n < SHORTEST:
            raise UsageError(f"--ngram {n}: must be at least {SHORTEST}")
        self._least = share
        self._runs: dict[int, dict[int, str]] = {}  # words in a run -> its hash -> problem
        self._whole: dict[int, str] = {}
        self._last: tuple[str, Repetition | None] = ("", None)
        weighed: list[tuple[list[str], str]] = []
        for text, name in problems:
            words = TOKEN.findall(text.lower())
            if not words:
                continue
            self._whole[hash(tuple(words))] = name
            if n is None and len(words) >= WEIGHED:
                weighed.append((words, name))
                continue
            size = len(words) if n is None else min(n, len(words))
            if size >= SHORTEST:
                known = self._runs.setdefault(size, {})
                for start in range(len(words) - size + 1):
                    known[hash(tuple(words[start : start + size]))] = name
        self._weighed = Problems(weighed)

    def find(self, prompt: str) -> str | None:
        """The name of a problem that `prompt` repeats, or None."""
        found = self.repetition(prompt)
        return None if found is None else found.name

    def repetition(self, prompt: str) -> Repetition | None:
        """What `prompt` repeats of a problem, or None."""
        if self._last[0] != prompt:  # the completions of a problem follow one another
            self._last = (prompt, self._search(prompt))
        return self._last[1]

    def _search(self, prompt: str) -> Repetition | None:
        lowered = prompt.lower()
        places = [match.span() for match in TOKEN.finditer(lowered)]
        if len(lowered) != len(prompt):  # a letter such as İ has two of lower case
            prompt = lowered
        words = [lowered[begin:end] for begin, end in places]
        whole = self._whole.get(hash(tuple(words)))
        if whole is not None:
            return Repetition(whole, 1.0, _shown(prompt, places, [True] * len(words)))
        for size, known in self._runs.items():
            for start in range(len(words) - size + 1):
                name = known.get(hash(tuple(words[start : start + size])))
                if name is not None:
                    shared = [start <= k < start + size for k in range(len(words))]
                    return Repetition(name, 1.0, _shown(prompt, places, shared))
        like = self._weighed.most_like(words, self._least)
        if like is None:
            return None
        return Repetition(like.name, like.share, _shown(prompt, places, like.shared))


def _shown(prompt: str, places: Sequence[tuple[int, int]], shared: Sequence[bool]) -> str:
    """The words that are shared as the prompt has them, what stands between them as an ellipsis."""
    pieces: list[str] = []
    for marked, run in itertools.groupby(range(len(places)), key=lambda k: shared[k]):
        if marked:
            each = list(run)
            pieces.append(" ".join(prompt[places[each[0]][0] : places[each[-1]][1]].split()))
    text = " … ".join(pieces)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def problems(path: str) -> Iterable[tuple[str, str]]:
    """(text, `FILE:LINE`) of each problem in a file, in whichever format `r1 prompts` reads.

    Raises BadInput where a line has none of the usual fields, or the file none at all.
    """
    count = 0
    for record in read_rows(path):
        count += 1
        yield _text(record), place_of(record)
    if not count:
        raise BadInput("no problems in it", place=path, remedy="give a file of benchmark problems")


def repeated(
    texts: Iterable[str], path: str, report: Report = SILENT, *, lines: int | None = None
) -> set[str]:
    """Those of the problems' texts that the first `lines` of a file of training data, or all, repeat.

    Of each line it is the one that the line is most like, with all that have the same words. Raises BadInput
    for a line that has no text, and for a file without lines.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for text in texts:
        alike.setdefault(tuple(TOKEN.findall(text.lower())), []).append(text)
    overlap = Overlap((same[0], same[0]) for same in alike.values())
    read = itertools.islice(as_records(read_rows(path), report), lines)
    found = {overlap.find(_text(record)) for record in read}
    if not found:
        raise BadInput("no training data in it", place=path, remedy="give the file that was trained on")
    return {text for same in alike.values() if same[0] in found for text in same}


def text_of(record: Record) -> str:
    """The problem of a record in words: of a task of lm-eval without its examples, where its row is there."""
    row = object_of(object_of(record.get("lm_eval")).get("row"))
    asked = next((row[field] for field in FIELDS if isinstance(row.get(field), str)), None)
    return prompt_text(record) if asked is None else str(asked)


def _text(record: Record) -> str:
    for field in FIELDS:
        value: Any = record.get(field)
        if isinstance(value, str):
            body = record.get("Body")  # SVAMP: the story, then its question
            return f"{body} {value}" if isinstance(body, str) else value
        if isinstance(value, list):
            return prompt_text({"prompt": value})
    if not is_record(record) and (known := next(Reader().records(record, "row"), None)) is not None:
        return prompt_text(known)
    raise bad_record(
        record,
        f"no problem in it: none of {', '.join(FIELDS)}",
        "`r1 prompts FILE --map prompt=FIELD` says which field holds it",
    )


def prompt_text(record: dict[str, Any]) -> str:
    """What the user says in the record's prompt."""
    return "\n".join(turn["content"] for turn in messages_of(record) if turn["role"] != "system")
