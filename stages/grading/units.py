r"""Numbers with a unit: `5 \text{ m}` is `500 cm`, and is not `5 cm`.

Only where both answers carry a unit does it decide; a number alone is compared as a number.
Own code: pint reads `5 a` as years, takes over 15 s for `9**9**8 m` and 1.1 s to start (docs/libraries.md).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from stages.grading import numbers


class Quantity(NamedTuple):
    """`size` in the base unit of its kind."""

    size: Fraction
    kind: str
    decimal: bool


# kind -> unit names, each with its size in the first one.
TABLE = {
    "length": "m meter meters metre metres=1 km kilometer kilometers kilometre kilometres=1000 cm centimeter "
    "centimeters centimetre centimetres=1/100 mm millimeter millimeters millimetre millimetres=1/1000 "
    "in inch inches=127/5000 ft foot feet=381/1250 yd yard yards=1143/1250 mi mile miles=201168/125",
    "time": "s sec second seconds=1 min mins minute minutes=60 h hr hrs hour hours=3600 day days=86400 week "
    "weeks=604800",
    "mass": "kg kilogram kilograms=1 g gram grams=1/1000 mg milligram milligrams=1/1000000",
    "weight": "lb lbs pound pounds=1 oz ounce ounces=1/16 ton tons=2000",
    "volume": "l liter liters litre litres=1 ml milliliter milliliters millilitre millilitres=1/1000",
    "money": "dollar dollars usd=1 cent cents=1/100",
    "euro": "euro euros eur=1",
    "angle": "degree degrees °=1",
}
SQUARE = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3}
POWERS = {"²": 2, "³": 3, "^2": 2, "^3": 3, "^{2}": 2, "^{3}": 3, "": 1}
SHAPE = re.compile(
    r"(?P<number>-?[\d.,/]+)\s*(?:(?P<square>square|sq\.?|cubic|cu)\s+)?(?P<unit>[a-z]+|°)\.?\s*"
    r"(?P<power>²|³|\^\{?[23]\}?)?\.?"
)

AT_END = re.compile(r"(?<![\d.,/])(-?\d[\d.,/]*\s*(?:(?:square|cubic)\s+)?[A-Za-z]+(?:\s*[²³]|\^[23])?)\.?$")

# A decimal comma that nothing else can be: `1{,}5`, `1,5 m`, `1.234,5 m`; `1,500 m` and `1,5` may be others.
DECIMAL_COMMA = re.compile(
    r"(?<![\w.,}])(\d{1,3}(?:\.\d{3})+|\d+)"
    r"(?:\{,\}(\d{1,2})(?![\d.,{])"
    r"|,(\d{1,2})(?=(?:\\[,;: ]|[~\s])*+(?:\\(?:text|mathrm|mbox|textrm)\{\s*+)?([A-Za-z]+|[°€])))"
)
WORDS = {"in", "M"}  # units' names that may be something else behind a number


def pointed(text: str) -> str:
    """`text` with a point for each decimal comma that is certain: one or two digits follow, and a unit."""
    return DECIMAL_COMMA.sub(_point, text) if "," in text else text


def _point(match: re.Match[str]) -> str:
    whole, braced, plain, unit = match.groups()
    known = braced or (unit not in WORDS and (unit == "€" or unit.lower() in _units()))
    return f"{whole.replace('.', '')}.{braced or plain}" if known else match[0]


@lru_cache(maxsize=1)
def _units() -> dict[str, tuple[str, Fraction]]:
    found = {}
    for kind, text in TABLE.items():
        names: list[str] = []
        for word in text.split():
            name, equals, size = word.partition("=")
            names.append(name)
            if equals:
                found.update({each: (kind, Fraction(size)) for each in names})
                names = []
    return found


def read(text: str) -> Quantity | None:
    """The quantity that `text` is, or None where it has no unit that is known here."""
    return _read(text) if len(text) <= 80 else None


@lru_cache(maxsize=2048)
def _read(text: str) -> Quantity | None:
    text = re.sub(r"\\(?:text|mathrm|mbox|textrm|,|;|!|:| )|[{}~]", " ", text.replace("^{", "^"))
    money = re.fullmatch(r"\s*(?:\$\s*)?\\\$\s*(-?[\d.,]+)\s*(?:\$\s*)?", text)
    if money:
        number = numbers.read(money[1])
        return None if number is None else Quantity(number.value, "money1", number.kind == "decimal")
    text = text.replace("\\circ", "°").replace("^ °", "°").replace("^°", "°").replace("$", " ")
    text = re.sub(r" ?\^ ?", "^", " ".join(text.split()))
    text = text.strip()
    match = None if re.search("(?<![A-Za-z])M$", text) else SHAPE.fullmatch(text.lower())  # M is no metre
    if match is None or match["unit"] not in _units():
        return None
    number = numbers.read(match["number"])
    if number is None or number.percent:
        return None
    kind, size = _units()[match["unit"]]
    power = SQUARE.get(match["square"] or "", 1) * POWERS[match["power"] or ""]
    return Quantity(number.value * size**power, f"{kind}{power}", number.kind == "decimal")


def at_end(text: str) -> str:
    """The number and unit that a sentence ends in, or the whole text where it ends in none."""
    match = AT_END.search(text.strip()[-80:])
    return match[1] if match and read(match[1]) is not None else text


def same(gold: str, other: str) -> bool | None:
    """Whether two quantities are equal; None where one has no unit."""
    a = read(gold)
    b = read(other) if a is not None else None
    if a is None or b is None:
        return None
    if a.kind != b.kind:
        return False
    if a.size == b.size:
        return True
    return None if abs(a.size - b.size) <= abs(a.size) / 10**5 else False
