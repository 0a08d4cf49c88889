"""How far a mean is from 0, or two means of the same units from each other, by Student's t.

    t_test.py FIRST [SECOND] [--ratio | --slope]

Each file has lines `{"unit": NAME, "value": NUMBER}`; the values of a unit are averaged first, as they are
not independent. With SECOND the units of both files are paired, and the effect is FIRST less SECOND; with
--ratio it is FIRST over SECOND: the geometric mean of the units' ratios, whose values must be above 0. With
--slope it is how much FIRST rises with SECOND: the slope of least squares over the units. Units that one file
alone has are left out, and counted on standard error.
Prints `{"effect", "low", "high", "p", "units"}`: the 95 % interval and the two-sided p-value. Where all units
differ by the same amount, t is not defined: there is no interval, and p is that of the exact sign-flip test,
2 of 2^units. With fewer than two units (three for a slope, whose error must not be 0) there is no p either.
What there is not is null. Ends with 65 for a line that is not so.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from stages.evaluation.student import quantile, two_sided_p


class Tested(NamedTuple):
    """A mean with its 95 % interval and two-sided p-value over so many units; None is not known."""

    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    units: int


def t_test(values: list[float]) -> Tested:
    """The mean of independent values against 0."""
    units = len(values)
    if units < 2:
        return Tested(values[0] if values else None, None, None, None, units)
    mean, spread = fmean(values), stdev(values)
    if spread <= 1e-12 * abs(mean):
        return Tested(mean, None, None, 1.0 if mean == 0 else 2.0 ** (1 - units), units)
    error = spread / math.sqrt(units)
    half = quantile(0.975, units - 1) * error
    return Tested(mean, mean - half, mean + half, two_sided_p(mean / error, units - 1), units)


def slope(pairs: list[tuple[float, float]]) -> Tested:
    """The slope of least squares of (y, x) against 0, of units with the same spread around the line."""
    units = len(pairs)
    x_mean = fmean(x for _, x in pairs) if pairs else 0.0
    y_mean = fmean(y for y, _ in pairs) if pairs else 0.0
    spread = sum((x - x_mean) ** 2 for _, x in pairs)
    if spread == 0:
        return Tested(None, None, None, None, units)
    rise = sum((x - x_mean) * (y - y_mean) for y, x in pairs) / spread
    if units < 3:
        return Tested(rise, None, None, None, units)
    left = sum((y - y_mean - rise * (x - x_mean)) ** 2 for y, x in pairs)
    error = math.sqrt(left / (units - 2) / spread)
    if error == 0:
        return Tested(rise, None, None, None, units)
    half = quantile(0.975, units - 2) * error
    return Tested(rise, rise - half, rise + half, two_sided_p(rise / error, units - 2), units)


def means(path: Path) -> dict[str, float]:
    """The mean value of each unit of a file. Raises ValueError with the place of a line that has none."""
    values: dict[str, list[float]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            found = json.loads(line)
            values.setdefault(str(found["unit"]), []).append(float(found["value"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: no unit and value: {error}") from error
    return {unit: fmean(each) for unit, each in values.items()}


def compared(
    first: dict[str, float], second: dict[str, float] | None, *, ratio: bool = False, rise: bool = False
) -> Tested:
    """The units of `first` against 0, or against those of `second`. Raises ValueError for a ratio of 0."""
    if second is None:
        return t_test(list(first.values()))
    pairs = [(first[unit], second[unit]) for unit in first if unit in second]
    if rise:
        return slope(pairs)
    if not ratio:
        return t_test([one - other for one, other in pairs])
    if any(one <= 0 or other <= 0 for one, other in pairs):
        raise ValueError("a ratio needs values above 0")
    *logs, p, units = t_test([math.log(one / other) for one, other in pairs])
    effect, low, high = (None if each is None else math.exp(each) for each in logs)
    return Tested(effect, low, high, p, units)


def main() -> None:
    parser = argparse.ArgumentParser(description="Student's t of a mean, or of paired means.")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path, nargs="?")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--ratio", action="store_true")
    how.add_argument("--slope", action="store_true")
    asked = parser.parse_args()
    if asked.slope and not asked.second:
        parser.error("--slope needs SECOND")
    try:
        first, second = means(asked.first), means(asked.second) if asked.second else None
        tested = compared(first, second, ratio=asked.ratio, rise=asked.slope)
    except (OSError, ValueError) as error:
        print(f"t_test: {error}", file=sys.stderr)
        raise SystemExit(65) from error
    alone = first.keys() ^ second.keys() if second is not None else ()
    if alone:
        known = len(alone) + tested.units
        print(
            f"t_test: {len(alone)} of {known} units, as {min(alone)}, are in one file alone", file=sys.stderr
        )
    print(json.dumps(tested._asdict()))


if __name__ == "__main__":
    main()
