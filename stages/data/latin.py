"""Which language each word of a text in the Latin script is in.

A word speaks for a language by its letter triples (triples.py) and by being one of its commonest words
(lexicon.py). The likeliest sequence of languages is taken, where a change costs bits: many within a
sentence, few between two. So one name or loan word changes nothing, and half a sentence does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from stages.data.lexicon import FUNCTION_WORDS
from stages.data.triples import FIRST, RARE, STEP, TRIPLES

CODES = tuple(FUNCTION_WORDS)
COMMON = 5.0  # bits for a word that is among the commonest of a language
LEAST = 10.0  # bits that one word may speak against a language
PIECE = 6  # words in a row among which a language of their own is looked for
NAME = 0.5  # weight of a word with a capital inside a sentence
WITHIN, BETWEEN = 14.0, 5.0  # bits a change of language costs inside a sentence, and between two
SURE = 6.0  # bits by which the likeliest language must lead the next
# Bits in favour of a language before a word is read: models write some far more often than others.
EXPECTED = {"en": 4.0, "de": 3.0, "fr": 3.0, "es": 3.0, "it": 1.5, "pt": 1.5, "vi": 1.5, "nl": 1.0,
            "pl": 1.0, "tr": 1.0, "id": 1.0, "sw": 1.0}  # fmt: skip
PREFERRED = 4.0  # and of the one that is asked for


@lru_cache(maxsize=1)
def _bits() -> dict[str, tuple[tuple[int, float], ...]]:
    """For each triple, the languages that have it, with the bits it gains over a rare one."""
    found: dict[str, list[tuple[int, float]]] = {}
    for index, code in enumerate(CODES):
        for row, text in enumerate(TRIPLES[code].split("/")):
            gain = RARE - FIRST - STEP * row
            for k in range(0, len(text), 3):
                found.setdefault(text[k : k + 3], []).append((index, gain))
    return {triple: tuple(gains) for triple, gains in found.items()}


@lru_cache(maxsize=1)
def speakers() -> dict[str, tuple[int, ...]]:
    """The languages that each common word speaks for, by their place in CODES."""
    found: dict[str, list[int]] = {}
    for index, words in enumerate(FUNCTION_WORDS.values()):
        for word in words.split():
            found.setdefault(word, []).append(index)
    return {word: tuple(indices) for word, indices in found.items()}


@lru_cache(maxsize=65536)
def evidence(word: str) -> tuple[float, ...]:
    """Bits against each language of CODES, 0 for the likeliest. `word` is in lower case."""
    scores = [0.0] * len(CODES)
    table, framed = _bits(), f"_{word}_"
    for k in range(len(framed) - 2):
        for index, gain in table.get(framed[k : k + 3], ()):
            scores[index] += gain
    for index in speakers().get(word, ()):
        scores[index] += COMMON
    top = max(scores)
    return tuple([max(score - top, -LEAST) for score in scores])


@lru_cache(maxsize=65536)
def _weak(word: str) -> tuple[float, ...]:
    return tuple([NAME * bits for bits in evidence(word)])


def counted(sentences: Sequence[Sequence[str]], prefer: str) -> Counter[str]:
    """How many of the words are in each language; `latin` for all where none is likely.

    `prefer` is the language that is asked for: it gets the benefit of a small doubt.
    """
    vectors = [
        [
            _weak(word.lower()) if k and word[0].isupper() else evidence(word.lower())
            for k, word in enumerate(sentence)
        ]
        for sentence in sentences
    ]
    start = [EXPECTED.get(code, 0.0) + (PREFERRED if code == prefer else 0.0) for code in CODES]
    sums = [
        [sum(column) for column in zip(*each[k : k + PIECE], strict=True)]
        for each in vectors
        for k in range(0, len(each), PIECE)
    ]
    total = [sum(column) for column in zip(*sums, strict=True)]
    words = sum(map(len, sentences))
    ranked = sorted(total, reverse=True)
    if ranked[0] - ranked[1] < SURE and not any(
        word.lower() in speakers() for sentence in sentences for word in sentence
    ):
        return Counter({"latin": words})
    scored = [[a + b for a, b in zip(each, start, strict=True)] for each in (total, *sums)]
    likely = sorted({max(range(len(CODES)), key=each.__getitem__) for each in scored})
    if len(likely) == 1:
        return Counter({CODES[likely[0]]: words})
    return _sequence(vectors, start, likely)


def _sequence(
    vectors: Sequence[Sequence[tuple[float, ...]]], start: Sequence[float], likely: Sequence[int]
) -> Counter[str]:
    """Words by language in the likeliest sequence (Viterbi) of the languages `likely`."""
    best = [start[index] for index in likely]
    back: list[list[int]] = []
    for sentence in vectors:
        cost = BETWEEN
        for vector in sentence:
            leader = max(range(len(likely)), key=best.__getitem__)
            entered = best[leader] - cost
            origins = [k if score >= entered else leader for k, score in enumerate(best)]
            best = [
                max(score, entered) + vector[index]
                for score, index in zip(best, likely, strict=True)
            ]
            back.append(origins)
            cost = WITHIN
    found: Counter[str] = Counter()
    state = max(range(len(likely)), key=best.__getitem__)
    for origins in reversed(back):
        found[CODES[likely[state]]] += 1
        state = origins[state]
    return found
