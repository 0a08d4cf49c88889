"""The tokens of completions with how probable each was, to the sampler and to the policy that learned it.

A token's text is what the tokenizer of the checkpoint adds at it. Where that is not at hand, or gives another
text than the completion's, the page says so and shows no tokens. Per token there are three characters for its
text, two for its log-probability, and two for the ratio of the two probabilities where both are kept.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.records.record import Record, said_by
from stages.runtime import shown

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PAIRS = [one + other for one in LETTERS for other in LETTERS]
NONE = PAIRS[-1]
LAST = len(PAIRS) - 2  # the greatest value that two characters say
UNIT = 200  # steps of a log-probability from 0 down: 0.005 each, to -20.47
RATIO_UNIT = 1000  # steps of the logarithm of a ratio, from -2.047 to 2.047
MOST_TEXTS = 1 << 18  # that three characters tell apart
FILE = "tokenizer.json"


class Tokens(NamedTuple):
    """Ids, log-probabilities of the sampler, and the policy's where they are kept; NaN is not known."""

    ids: array[int]
    logprobs: array[float]
    policy: array[float] | None

    def mean(self) -> float | None:
        """The mean log-probability of those that were drawn."""
        known = [value for value in self.logprobs if not math.isnan(value)]
        return math.fsum(known) / len(known) if known else None

    def farthest(self) -> float | None:
        """The ratio that is the farthest from 1, by its logarithm."""
        known = [value for value in self.log_ratios() if not math.isnan(value)]
        return math.exp(min(max(known, key=abs), 60.0)) if known else None

    def log_ratios(self) -> list[float]:
        """log π(policy) − log π(sampler) of each token; empty where the policy's are not kept."""
        return [own - drawn for own, drawn in zip(self.policy or (), self.logprobs, strict=False)]


def tokens_of(record: Record) -> Tokens | None:
    """What a record keeps of its tokens; None where that is not a log-probability for each id."""
    ids, logprobs = record.get("completion_ids"), record.get("logprobs")
    if not (isinstance(ids, list) and ids and all(type(each) is int and 0 <= each < 1 << 31 for each in ids)):
        return None
    drawn = _numbers(logprobs, len(ids))
    return (
        None
        if drawn is None
        else Tokens(array("i", ids), drawn, _numbers(record.get("policy_logprobs"), len(ids)))
    )


def _numbers(values: Any, count: int) -> array[float] | None:
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(each is None or type(each) in (int, float) for each in values):
        return None
    return array("f", (math.nan if each is None else max(min(each, 1e30), -1e30) for each in values))


class Heat:
    """Tokens as the page has them; `texts` are what they say, each once."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._tokenizers: dict[Path, Any] = {}

    @property
    def texts(self) -> list[str]:
        """Texts of tokens in the order of their numbers."""
        return list(self._texts)

    def told(self, record: Record, tokens: Tokens, folders: Sequence[Path]) -> list[str] | str:
        """The tokens of a completion, or why they are not shown. The tokenizer is in the first of `folders`
        that has one, else where the record says that its model lies.
        """
        model = said_by(record, "generate").get("model")
        places = [*folders, *([Path(model)] if isinstance(model, str) and model else [])]
        folder = next((each for each in places if os.path.isfile(each / FILE)), None)
        if folder is None:
            return f"no {FILE} in {' or '.join(shown.line(str(each)) for each in places) or 'any folder'}"
        tokenizer = self._tokenizer(folder)
        if isinstance(tokenizer, str):
            return tokenizer
        pieces = _pieces(tokenizer, tokens.ids)
        completion = record.get("completion")
        wanted = _bare(completion if isinstance(completion, str) else "").rstrip("\ufffd")
        if not _bare("".join(pieces)).startswith(wanted):
            return f"{shown.line(str(folder / FILE))} reads another text from the ids"
        numbers = [self._texts.setdefault(shown.block(piece), len(self._texts)) for piece in pieces]
        if len(self._texts) > MOST_TEXTS:
            return f"more than {MOST_TEXTS} texts of tokens"
        ratios = tokens.log_ratios()
        return [
            "".join(PAIRS[number >> 6] + LETTERS[number & 63] for number in numbers),
            "".join(
                NONE if math.isnan(x) else PAIRS[min(max(round(-x * UNIT), 0), LAST)] for x in tokens.logprobs
            ),
            "".join(
                NONE if math.isnan(x) else PAIRS[min(max(round(x * RATIO_UNIT) + LAST // 2, 0), LAST)]
                for x in (max(min(each, 9.0), -9.0) for each in ratios)
            ),
        ]

    def _tokenizer(self, folder: Path) -> Any:
        """The tokenizer, or what is wrong with its file."""
        from tokenizers import Tokenizer

        if folder not in self._tokenizers:
            try:
                self._tokenizers[folder] = Tokenizer.from_file(str(folder / FILE))
            except Exception as error:  # tokenizers has no narrower one
                self._tokenizers[folder] = f"{shown.line(str(folder / FILE))}: {shown.line(str(error))}"
        return self._tokenizers[folder]


def _pieces(tokenizer: Any, ids: array[int]) -> list[str]:
    """What each token adds to the text: nothing where a later one ends the character that it begins."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    try:
        return [stream.step(tokenizer, each) or "" for each in ids]
    except Exception:  # an id that the tokenizer does not have
        return []


def _bare(text: str) -> str:
    return "".join(text.split())
