"""Which language each word of a text in the Latin script is in.

A word speaks for a language by its letter triples and by being one of its commonest words (data/). The
likeliest sequence of languages is taken, where a change costs bits: many within a sentence, few between two.
So one name or loan word changes nothing, and half a sentence does.

Own code: off by 0.041 of the share, with py3langid by 0.040 at 100 MB a worker (docs/libraries.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from stages.language.tables import known, triples, written_in

RARE = 13.0  # bits of a triple that is none of a language's commonest
COMMON = 5.0  # bits for a word that is among the commonest of a language
LEAST = 10.0  # bits that one word may speak against a language
PIECE = 6  # words in a row among which a language of their own is looked for
NAME = 0.5  # weight of a word with a capital inside a sentence
WITHIN, BETWEEN = 14.0, 5.0  # bits a change of language costs inside a sentence, and between two
SURE = 6.0  # bits by which the likeliest language must lead the next
PREFERRED = 4.0  # bits in favour of the language that is asked for, before a word is read


@lru_cache(maxsize=1)
def codes() -> tuple[str, ...]:
    """The languages of the Latin script, in the order of all figures here."""
    return written_in("Latin")


@lru_cache(maxsize=1)
def _gains() -> dict[str, list[tuple[int, float]]]:
    """For each triple, the languages that have it, with the bits it gains over a rare one."""
    found: dict[str, list[tuple[int, float]]] = {}
    for code, bits, each in triples():
        for triple in each:
            found.setdefault(triple, []).append((codes().index(code), RARE - bits))
    return found


@lru_cache(maxsize=1)
def speakers() -> dict[str, list[int]]:
    """The languages that each common word speaks for, by their place in `codes`."""
    found: dict[str, list[int]] = {}
    for index, code in enumerate(codes()):
        for word in known()[code].common.split():
            found.setdefault(word, []).append(index)
    return found


@lru_cache(maxsize=64)
def _start(prefer: str) -> list[float]:
    """Bits in favour of each language before a word is read."""
    return [known()[code].expected + (PREFERRED if code == prefer else 0.0) for code in codes()]


@lru_cache(maxsize=65536)
def evidence(word: str) -> tuple[float, ...]:
    """Bits against each language of `codes`, 0 for the likeliest. `word` is in lower case."""
    scores = [0.0] * len(codes())
    table, framed = _gains(), f"_{word}_"
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
    start = _start(prefer)
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
    likely = sorted({max(range(len(codes())), key=each.__getitem__) for each in scored})
    if len(likely) == 1:
        return Counter({codes()[likely[0]]: words})
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
            best = [max(score, entered) + vector[index] for score, index in zip(best, likely, strict=True)]
            back.append(origins)
            cost = WITHIN
    found: Counter[str] = Counter()
    state = max(range(len(likely)), key=best.__getitem__)
    for origins in reversed(back):
        found[codes()[likely[state]]] += 1
        state = origins[state]
    return found
