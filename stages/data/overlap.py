"""Whether a prompt repeats a problem of a benchmark: shared runs of words.

A prompt is contaminated where it shares `n` successive words with a benchmark's problem (13, after
GPT-3). A problem of 6 to n-1 words must stand in the prompt as a whole; a shorter one must be the
whole prompt. Case, punctuation and formatting do not count; a Han or Kana character is a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stages.data.errors import BadInput, StreamError, UsageError
from stages.data.jsonl import open_input, read_lines
from stages.data.record import Record, place_of
from stages.data.templates import messages_of

TOKEN = re.compile(r"[㐀-鿿豈-﫿ぁ-ヿ]|[^\W_]+")
FIELDS = ("prompt", "problem", "question", "Question", "input", "text")
SHORTEST = 6  # words that a problem must have to be found inside a longer prompt


class Overlap:
    """The problems of some files, to look prompts up in."""

    def __init__(self, problems: Iterable[tuple[str, str]], n: int = 13) -> None:
        """`problems` are (text, name) pairs. Raises UsageError for an n below 6."""
        if n < SHORTEST:
            raise UsageError(f"--ngram {n}: must be at least {SHORTEST}")
        self.n = n
        self._runs: dict[int, dict[int, str]] = {}  # words in a run -> its hash -> problem
        self._whole: dict[int, str] = {}
        self._last: tuple[str, str | None] = ("", None)
        for text, name in problems:
            words = TOKEN.findall(text.lower())
            if not words:
                continue
            self._whole[hash(tuple(words))] = name
            size = min(n, len(words))
            if size >= SHORTEST:
                known = self._runs.setdefault(size, {})
                for start in range(len(words) - size + 1):
                    known[hash(tuple(words[start : start + size]))] = name

    def find(self, prompt: str) -> str | None:
        """The name of a problem that `prompt` repeats, or None."""
        if self._last[0] != prompt:  # the completions of a problem follow one another
            self._last = (prompt, self._search(TOKEN.findall(prompt.lower())))
        return self._last[1]

    def _search(self, words: Sequence[str]) -> str | None:
        whole = self._whole.get(hash(tuple(words)))
        if whole is not None:
            return whole
        for size, known in self._runs.items():
            for start in range(len(words) - size + 1):
                name = known.get(hash(tuple(words[start : start + size])))
                if name is not None:
                    return name
        return None


def problems(path: str) -> Iterable[tuple[str, str]]:
    """(text, `FILE:LINE`) of each problem in a file: JSON Lines, or a .json array.

    Raises BadInput where a line has none of the usual fields, or the file none at all.
    """
    count = 0
    for record in _records(path):
        count += 1
        yield _text(record), place_of(record)
    if not count:
        raise BadInput("no problems in it", place=path, remedy="give a file of benchmark problems")


def _records(path: str) -> Iterable[Record]:
    if not path.endswith(".json"):
        with open_input(path) as stream:
            yield from read_lines(stream, path)
        return
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise BadInput(f"not JSON ({error})", place=path) from None
    for number, value in enumerate(values if isinstance(values, list) else [values], 1):
        yield Record(value if isinstance(value, dict) else {}, place=f"{path}:{number}")


def _text(record: Record) -> str:
    for field in FIELDS:
        value: Any = record.get(field)
        if isinstance(value, str):
            body = record.get("Body")  # SVAMP: the story, then its question
            return f"{body} {value}" if isinstance(body, str) else value
        if isinstance(value, list):
            return prompt_text({"prompt": value})
    raise BadInput(
        f"no problem in it: none of {', '.join(FIELDS)}",
        place=place_of(record),
        remedy="rename the field that holds the problem",
    )


def prompt_text(record: dict[str, Any]) -> str:
    """What the user says in the record's prompt."""
    return "\n".join(turn["content"] for turn in messages_of(record) if turn["role"] != "system")
