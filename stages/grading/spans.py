"""DROP's own measure of an answer: exact match and F1 over bags of words, spans aligned one to one.

Of a span remain its words in lower case without articles and punctuation, numbers as floats. Each reference
span is paired with at most one that was given, so that the F1 of the pairs is greatest; a pair whose
reference has numbers counts only if one of them was given. F1 is the sum over the pairs divided by the
greater number of spans, in hundredths. Source: "DROP: A Reading Comprehension Benchmark Requiring Discrete
Reasoning Over Paragraphs" (arXiv 1903.00161), section 5, and its published program.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

WORDS = re.compile("[ -]")
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
ENOUGH = 200  # times the spans that are wanted: no F1 is then as much as a hundredth


class Overlap(NamedTuple):
    """Both from 0 to 1."""

    exact: float
    f1: float


def best_overlap(given: Sequence[str], references: Sequence[Sequence[str]]) -> Overlap:
    """The greatest of each over the references, each a list of spans; one whose first is blank counts 0."""
    found = [overlap(given, spans) for spans in references if spans and spans[0].strip()]
    return Overlap(
        max((each.exact for each in found), default=0.0), max((each.f1 for each in found), default=0.0)
    )


def overlap(given: Sequence[str], wanted: Sequence[str]) -> Overlap:
    """How the spans given agree with those wanted, one or more each."""
    said, gold = [normalised(span) for span in given], [normalised(span) for span in wanted]
    exact = float(set(said) == set(gold) and len(said) == len(gold))
    if len(said) >= ENOUGH * len(gold):
        return Overlap(exact, 0.0)
    bags_said, bags_gold = [set(span.split()) for span in said], [set(span.split()) for span in gold]
    pairs = [[_pair_f1(there, here) for here in bags_said] for there in bags_gold]
    mean = _greatest_sum(pairs) / max(len(said), len(gold))
    return Overlap(exact, round(mean * 100) / 100)


def normalised(span: str) -> str:
    """The words of a span that count, parted by spaces."""
    words = []
    for word in WORDS.split(span.lower()):
        plain = word if _is_number(word) else word.translate(PUNCTUATION)
        number = str(float(plain)) if _is_number(plain) else plain
        words += ARTICLES.sub(" ", number).split()
    return " ".join(words)


def _pair_f1(gold: set[str], said: set[str]) -> float:
    numbers = {word for word in gold if _is_number(word)}
    if numbers and numbers.isdisjoint(said):
        return 0.0
    shared = len(gold & said)
    precision = shared / len(said) if said else 1.0
    recall = shared / len(gold) if gold else 1.0
    return 2 * precision * recall / (precision + recall) if precision or recall else 0.0


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _greatest_sum(scores: Sequence[Sequence[float]]) -> float:
    """The greatest sum of entries of which no two share a row or a column (Kuhn 1955, with potentials)."""
    if len(scores) > len(scores[0]):
        scores = [list(column) for column in zip(*scores, strict=True)]
    rows, columns = len(scores), len(scores[0])
    row_price, column_price = [0.0] * (rows + 1), [0.0] * (columns + 1)
    row_of = [0] * (columns + 1)  # the row that holds each column, counted from 1; 0: none
    for row in range(1, rows + 1):
        row_of[0], column = row, 0
        slack, came = [float("inf")] * (columns + 1), [0] * (columns + 1)
        reached = [False] * (columns + 1)
        while row_of[column]:
            reached[column] = True
            here, least, following = row_of[column], float("inf"), 0
            for other in range(1, columns + 1):
                if not reached[other]:
                    cost = -scores[here - 1][other - 1] - row_price[here] - column_price[other]
                    if cost < slack[other]:
                        slack[other], came[other] = cost, column
                    if slack[other] < least:
                        least, following = slack[other], other
            for other in range(columns + 1):
                if reached[other]:
                    row_price[row_of[other]] += least
                    column_price[other] -= least
                else:
                    slack[other] -= least
            column = following
        while column:
            row_of[column], column = row_of[came[column]], came[column]
    return sum(scores[row_of[column] - 1][column - 1] for column in range(1, columns + 1) if row_of[column])
