"""What stands between marks in a text: what the leaderboard's lazy patterns find, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

ROW_END = re.compile(r"\]")
NEXT_ROW = re.compile(r"\s*,\s*\[")
SPACES = re.compile(r"\s*")


class Next:
    """The places of a mark in a text, asked for from left to right."""

    def __init__(self, text: str, mark: str) -> None:
        self.text, self.mark, self.found = text, mark, -1

    def at(self, place: int) -> int:
        """The first at `place` or after it; beyond the text where there is none."""
        if self.found < place:
            found = self.text.find(self.mark, place)
            self.found = found if found >= 0 else len(self.text) + 1
        return self.found


def between(text: str, opening: re.Pattern[str], close: str, least: int = 0) -> Iterator[str]:
    """As findall of `opening`, `(.{least,}?)` and `close`."""
    closes, lines = Next(text, close), Next(text, "\n")
    place = 0
    while (found := opening.search(text, place)) and (end := closes.at(found.end() + least)) <= len(text):
        if end < lines.at(found.end()):
            yield text[found.end() : end]
            place = end + len(close)
        else:
            place = found.start() + 1


def pairs(
    text: str, opening: re.Pattern[str], middle: re.Pattern[str], close: str
) -> Iterator[tuple[str, str]]:
    """As findall of `opening`, `(.*?)`, `middle`, `(.*?)` and `close`."""
    closes, lines = Next(text, close), Next(text, "\n")
    middles = [
        (each, end)
        for each in middle.finditer(text)
        if (end := closes.at(each.end())) <= len(text) and end <= lines.at(each.end())
    ]
    lines = Next(text, "\n")  # from the left again
    place = k = 0
    while found := opening.search(text, place):
        while k < len(middles) and middles[k][0].start() < found.end():
            k += 1
        if k == len(middles):
            return
        each, end = middles[k]
        if each.start() < lines.at(found.end()):
            yield text[found.end() : each.start()], text[each.end() : end]
            place = end + len(close)
        else:
            place = found.start() + 1


def end_of_rows(text: str, start: int, last: str) -> int:
    """Where `.*?\\]\\s*(,\\s*\\[.*?\\]\\s*)*` and `last` end, from `start` in the first row; -1 for nowhere.

    Taken from the last bracket to the first: of each, where what ends a row there ends in all.
    """
    after = end = -1

    def reached(place: int) -> int:
        return end if after >= 0 and "\n" not in text[place:after] else -1

    for place in [found.start() for found in ROW_END.finditer(text, start)][::-1]:
        row, spaces = NEXT_ROW.match(text, place + 1), SPACES.match(text, place + 1)
        here = reached(row.end()) if row else -1
        if here < 0 and spaces and text[spaces.end() : spaces.end() + 1] == last:
            here = spaces.end() + 1
        if here < 0:
            here = reached(place + 1)
        after, end = place, here
    return reached(start)
