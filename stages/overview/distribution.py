"""The distribution of a field's values, in bounded memory however many there are.

Numbers are counted one by one while at most `EXACT` of them differ: rewards, lengths, steps. What is more
goes into bins whose width grows with the value (DDSketch: Masson, Rim & Lee, VLDB 2019), so that a quantile
is off by at most `ERROR` of itself; mean, standard deviation, least and greatest stay exact. Of texts the
first `TEXTS` that differ are counted, and what comes after them together.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

EXACT = 2048  # numbers that differ
ERROR = 0.01  # of a quantile, relative, beyond
TEXTS = 500  # texts that differ, each of at most `LONGEST` characters
LONGEST = 100
SHOWN = 10  # texts told, and bars of a histogram
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GAMMA = math.log1p(2 * ERROR / (1 - ERROR))
LARGEST = sys.float_info.max
FIRST = 40_000  # added to a power, of which the least is -37,250: a bin's number has the sign of its values
WAITING = 1024  # numbers that are counted together


class Moments(NamedTuple):
    """Of numbers: how many, their mean, and the sum of squared distances from it."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def joined(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub & LeVeque 1983)."""
        number = self.number + other.number
        if not self.number or not other.number:
            return other if other.number else self
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.number / number)
        squares = self.squares + other.squares + apart * apart * (self.number * other.number / number)
        return Moments(number, mean, squares)


class Distribution:
    """What was added of one field: numbers, texts (true and false among them) and nulls.

    Numbers wait until there are `WAITING` of them: the same ones in the same order give the same figures to
    the last digit, and many at a time cost a tenth.
    """

    def __init__(self) -> None:
        self.null = self.others = 0
        self.texts: Counter[str] = Counter()
        self._waiting: list[float] = []
        self._counts: Counter[float] = Counter()
        self._bins: Counter[int] = Counter()  # all numbers, once more than EXACT differ
        self._binned = Moments()
        self._least, self._greatest = math.inf, -math.inf

    def add(self, value: Any, times: int = 1) -> None:
        """A JSON value that is no object; a list counts as its length."""
        kind = type(value)
        if kind is float or kind is int:
            self.add_numbers([value]) if times == 1 else self._add_counts({value: times})
        elif value is None:
            self.null += times
        elif kind is list:
            self.add(len(value), times)
        else:
            self.add_text(value if kind is str else str(value).lower(), times)

    def add_numbers(self, values: Sequence[float]) -> None:
        """Numbers, none of them true or false."""
        self._waiting += values
        if len(self._waiting) >= WAITING:
            self._settle()

    def add_text(self, text: str, times: int) -> None:
        """A text that stands there so many times."""
        text = text[:LONGEST]
        if text in self.texts or len(self.texts) < TEXTS:
            self.texts[text] += times
        else:
            self.others += times

    def knows(self, other: Distribution) -> bool:
        """Whether `join` is exact: no text that is counted here is among the others there."""
        return not other.others or self.texts.keys() <= other.texts.keys()

    def expect(self, other: Distribution) -> None:
        """Will count the texts that `other` counts, and further ones while there is room."""
        for text in other.texts:
            self.texts.setdefault(text, 0)

    def join(self, other: Distribution) -> None:
        """Adds what `other` has taken, as if it came after all here."""
        self._settle()
        other._settle()
        self.null += other.null
        self.others += other.others
        for text, times in other.texts.items():
            self.add_text(text, times)
        if other._bins:
            self._fold()
            self._bins.update(other._bins)
            self._binned = self._binned.joined(other._binned)
            self._least = min(self._least, other._least)
            self._greatest = max(self._greatest, other._greatest)
        else:
            self._add_counts(other._counts)

    def figures(self) -> dict[str, Any]:
        """How many values there are of each kind, and what they are like; plain JSON values."""
        self._settle()
        pairs = self._pairs()
        numbers = self._binned if self._bins else _moments(pairs)
        if self._counts:
            self._least, self._greatest = _float(min(self._counts)), _float(max(self._counts))
        told: dict[str, Any] = {"numbers": numbers.number, "texts": self.texts.total() + self.others}
        told["null"] = self.null
        if numbers.number:
            ranked = zip(QUANTILES, _quantiles(pairs, numbers.number), strict=True)
            told |= {
                "mean": _finite(numbers.mean),
                "std": _finite(math.sqrt(max(numbers.squares, 0.0) / numbers.number)),
                "min": self._least,
                "max": self._greatest,
                "quantiles": {f"{share:g}": value for share, value in ranked},
                "exact": not self._bins and not self.others,
                "histogram": histogram(pairs),
            }
        if told["texts"]:
            common = dict(self.texts.most_common(SHOWN))
            others = told["texts"] - sum(common.values())
            told |= {"values": common, "others": others, "exact": not self._bins and not self.others}
        return told

    def _settle(self) -> None:
        """Counts the numbers that wait."""
        waiting, self._waiting = self._waiting, []
        if self._bins:
            self._bin(waiting, [])
            return
        self._counts.update(waiting)
        if len(self._counts) > EXACT:
            self._fold()

    def _add_counts(self, counts: Mapping[float, int]) -> None:
        """Numbers, each with how often it stands there."""
        self._settle()
        self._counts.update(counts)
        if self._bins or len(self._counts) > EXACT:
            self._fold()

    def _fold(self) -> None:
        """Takes all single numbers into the bins."""
        counts, self._counts = self._counts, Counter()
        self._bin([*counts], [*counts.values()])

    def _bin(self, values: Sequence[float], times: Sequence[int]) -> None:
        """Takes numbers into the bins, each as often as `times` says, or once."""
        if not values:
            return
        import numpy as np  # 60 ms of each start

        try:
            numbers = np.array(values, dtype=float)
        except OverflowError:
            numbers = np.array([*map(_float, values)])
        weights: Any = np.array(times, dtype=float) if times else 1
        with np.errstate(all="ignore"):  # the figures of numbers near the greatest are told as null
            count = sum(times) or len(values)
            mean = float((numbers / count * weights).sum())
            squares = float(((numbers - mean) ** 2 * weights).sum())
            powers = np.ceil(np.log(np.abs(numbers)) / GAMMA)
            keys = np.where(numbers == 0, 0, np.sign(numbers) * (powers + FIRST)).astype(np.int64)
        if times:
            found, places = np.unique(keys, return_inverse=True)
            sums = np.bincount(places, weights=weights)
        else:
            found, sums = np.unique(keys, return_counts=True)
        for key, number in zip(found.tolist(), sums.tolist(), strict=True):
            self._bins[key] += int(number)
        self._binned = self._binned.joined(Moments(count, mean, squares))
        self._least = min(self._least, float(numbers.min()))
        self._greatest = max(self._greatest, float(numbers.max()))

    def _pairs(self) -> list[tuple[float, int]]:
        """Values in order, each with its count; those of a bin stand in its middle."""
        if not self._bins:
            found: Counter[float] = Counter()
            for value, count in self._counts.items():
                found[_float(value)] += count  # a whole number and the float that stands for it
            return sorted(found.items())
        inside = (
            (min(max(_middle(key), self._least), self._greatest), count) for key, count in self._bins.items()
        )
        return sorted(inside)


def histogram(pairs: list[tuple[float, int]]) -> list[list[float]]:
    """[from, to, count] of at most `SHOWN` bars; few values have one each, whose ends are equal."""
    if len(pairs) <= SHOWN:
        return [[value, value, count] for value, count in pairs]
    low, high = pairs[0][0], pairs[-1][0]
    width = high / SHOWN - low / SHOWN
    ends = [low * (1 - k / SHOWN) + high * (k / SHOWN) for k in range(SHOWN + 1)]  # of any finite numbers
    bars = [[ends[k], ends[k + 1], 0] for k in range(SHOWN)]
    for value, count in pairs:
        place = int(min((value / width - low / width), SHOWN - 1)) if width else 0
        bars[place][2] += count
    return bars


def _quantiles(pairs: Iterable[tuple[float, int]], count: int) -> list[float]:
    """For each of QUANTILES the least value that this share of all is not above."""
    found: list[float] = []
    below = 0
    for value, times in pairs:
        below += times
        while len(found) < len(QUANTILES) and below >= QUANTILES[len(found)] * count:
            found.append(value)
    return found


def _moments(pairs: Sequence[tuple[float, int]]) -> Moments:
    """Of values in order, each with its count."""
    number = sum(count for _, count in pairs)
    if not number:
        return Moments()
    mean = sum(value / number * count for value, count in pairs)
    apart = [(value - mean, count) for value, count in pairs]
    return Moments(number, mean, sum(each * each * count for each, count in apart))


def _middle(key: int) -> float:
    """The value that is off by at most ERROR from all of the bin: the sign, and which power of
    (1 + ERROR) / (1 - ERROR) its values are below.
    """
    if not key:
        return 0.0
    power = abs(key) - FIRST
    return math.copysign(min(math.exp(min(power * GAMMA, 709.0)) * (1 - ERROR), LARGEST), key)


def _float(value: float) -> float:
    """A whole number may be greater than any float."""
    try:
        return float(value)
    except OverflowError:
        return LARGEST if value > 0 else -LARGEST


def _finite(value: float) -> float | None:
    """None for what JSON has no number for: the figures of numbers near the greatest."""
    return value if math.isfinite(value) else None
