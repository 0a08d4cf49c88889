"""Regular expressions that take time in proportion to the text, whatever they are: no bomb among them.

Those of a JSON Schema come with the data, so Python's own, which turns back, will not do. All places of a
pattern are followed at once (Thompson, "Regular expression search algorithm", 1968). What needs turning back,
looking around and references to groups, is refused; so is what only a dialect has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

LARGEST = 0x10FFFF
STATES = 2000  # of a pattern whose repeats are written out
REMEMBERED = 256  # steps of a search
DIGITS = ((48, 57),)
WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACES = ((9, 13), (32, 32), (160, 160), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
          (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF))  # fmt: skip
LINE_ENDS = ((10, 10), (13, 13), (0x2028, 0x2029))
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACES}
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}

Ranges = tuple[tuple[int, int], ...]  # of code points, both ends included


class Take(NamedTuple):
    """Reads one character of these."""

    ranges: Ranges


class Fork(NamedTuple):
    """Goes on at either place."""

    one: int
    other: int


class Edge(NamedTuple):
    """Goes on at the beginning of the text, or at its end."""

    end: bool


class Sequence(NamedTuple):
    parts: tuple[Node, ...]


class Choice(NamedTuple):
    ways: tuple[Node, ...]


class Repeat(NamedTuple):
    """`most` is None where there is no end."""

    part: Node
    least: int
    most: int | None


Node = Take | Edge | Sequence | Choice | Repeat


class Pattern:
    """A pattern that is searched for in texts. Raises ValueError for one that cannot be read."""

    def __init__(self, source: str) -> None:
        self._program: list[Take | Fork | Edge | None] = []
        try:
            self._write(_Reader(source).all())
        except RecursionError:
            raise ValueError(f"the pattern {source[:40]!r} is nested too deep") from None
        self._add(None)

    def found(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`."""
        last = len(self._program) - 1
        states = self._reached([0], first=True, end=not text)
        steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        for k, char in enumerate(text, 1):
            if last in states:
                return True
            end = k == len(text)
            after = None if end else steps.get((states, char))
            if after is None:
                after = self._reached(self._taken(states, ord(char)), first=False, end=end)
                if len(steps) < REMEMBERED and not end:
                    steps[states, char] = after
            states = after
        return last in states

    def _taken(self, states: Iterable[int], code: int) -> list[int]:
        """Where the pattern may go on after a character; at its beginning, too."""
        found = [0]
        for state in states:
            step = self._program[state]
            if isinstance(step, Take) and any(low <= code <= high for low, high in step.ranges):
                found.append(state + 1)
        return found

    def _reached(self, states: list[int], *, first: bool, end: bool) -> frozenset[int]:
        """All places that are reached from these without a character."""
        seen = set(states)
        while states:
            state = states.pop()
            step = self._program[state]
            ways: tuple[int, ...] = ()
            if isinstance(step, Fork):
                ways = step
            elif isinstance(step, Edge) and (end if step.end else first):
                ways = (state + 1,)
            for way in ways:
                if way not in seen:
                    seen.add(way)
                    states.append(way)
        return frozenset(seen)

    def _add(self, step: Take | Fork | Edge | None) -> int:
        if len(self._program) > STATES:
            raise ValueError(f"a pattern has more than {STATES} states: give smaller numbers of repeats")
        self._program.append(step)
        return len(self._program) - 1

    def _write(self, node: Node) -> None:
        match node:
            case Sequence(parts):
                for part in parts:
                    self._write(part)
            case Choice(ways):
                self._choose(ways)
            case Repeat(part, least, most):
                self._repeat(part, least, most)
            case _:
                self._add(node)

    def _choose(self, ways: tuple[Node, ...]) -> None:
        ends = []
        for way in ways[:-1]:
            fork = self._add(None)
            self._write(way)
            ends.append(self._add(None))
            self._program[fork] = Fork(fork + 1, len(self._program))
        self._write(ways[-1])
        here = len(self._program)
        for end in ends:
            self._program[end] = Fork(here, here)

    def _repeat(self, part: Node, least: int, most: int | None) -> None:
        for _ in range(least):
            before = len(self._program)
            self._write(part)
            if len(self._program) == before:  # it reads nothing, however often
                return
        if most is None:
            fork = self._add(None)
            self._write(part)
            self._add(Fork(fork, fork))
            self._program[fork] = Fork(fork + 1, len(self._program))
            return
        forks = []
        for _ in range(most - least):
            forks.append(self._add(None))
            self._write(part)
        for fork in forks:
            self._program[fork] = Fork(fork + 1, len(self._program))


class _Reader:
    """The text of a pattern, read from left to right."""

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0

    def all(self) -> Node:
        node = self._choice()
        if self.at < len(self.source):
            raise self._wrong("a bracket too many")
        return node

    def _choice(self) -> Node:
        ways = [self._sequence()]
        while self._skip("|"):
            ways.append(self._sequence())
        return Choice(tuple(ways)) if len(ways) > 1 else ways[0]

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._next() not in ("", "|", ")"):
            part = self._atom()
            count = self._count()
            if count is not None:
                if isinstance(part, Edge):
                    raise self._wrong("nothing to repeat")
                part = Repeat(part, *count)
                self._skip("?")  # fewest first: the same texts match
                if self._next() and self._next() in "*+?":
                    raise self._wrong("a repeat of a repeat")
            parts.append(part)
        return Sequence(tuple(parts))

    def _atom(self) -> Node:
        char = self._take()
        if char in "^$":
            return Edge(end=char == "$")
        if char == "(":
            if self._skip("?") and not self._skip(":"):
                raise self._wrong("only plain groups are read, ( ) and (?: )")
            node = self._choice()
            if not self._skip(")"):
                raise self._wrong("a group that does not end")
            return node
        if char == "[":
            return Take(self._class())
        if char in "*+?{":
            raise self._wrong("nothing to repeat; write \\{ for a brace")
        if char == ".":
            return Take(_others(LINE_ENDS))
        return Take(self._escaped() if char == "\\" else _one(char))

    def _count(self) -> tuple[int, int | None] | None:
        """How often the part before is repeated; None where nothing says so."""
        for sign, count in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._skip(sign):
                return count
        if not self._skip("{"):
            return None
        inside, closed, _ = self.source[self.at :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not least.isdecimal() or not (most.isdecimal() or not most) or len(inside) > 12:
            raise self._wrong("a number of repeats is written {2}, {2,} or {2,5}")
        self.at += len(inside) + 1
        low = int(least)
        high = (int(most) if most else None) if comma else low
        if max(low, high or 0) > STATES or (high is not None and high < low):
            raise self._wrong(f"a number of repeats is at most {STATES}, and the first the smaller")
        return low, high

    def _class(self) -> Ranges:
        negated = self._skip("^")
        found: list[tuple[int, int]] = []
        while not self._skip("]"):
            low = self._member()
            if self._next() == "-" and self.source[self.at + 1 : self.at + 2] != "]":
                self._take()
                high = self._member()
                ends = (low[0][0], high[0][0])
                single = len(low) == len(high) == 1 and low[0][0] == low[0][1] and high[0][0] == high[0][1]
                if not single or ends[0] > ends[1]:
                    raise self._wrong("a range of characters goes from one to a later one")
                found.append(ends)
            else:
                found.extend(low)
        return _others(tuple(found)) if negated else tuple(found)

    def _member(self) -> Ranges:
        char = self._take()
        return self._escaped() if char == "\\" else _one(char)

    def _escaped(self) -> Ranges:
        char = self._take()
        if char.lower() in CLASSES:
            ranges = CLASSES[char.lower()]
            return _others(ranges) if char.isupper() else ranges
        if char in CONTROLS:
            return _one(CONTROLS[char])
        if char in "xu":
            size = 2 if char == "x" else 4
            digits = self.source[self.at : self.at + size]
            if len(digits) < size or not HEXADECIMAL.issuperset(digits):
                raise self._wrong(f"\\{char} wants {size} hexadecimal digits")
            self.at += size
            return _one(chr(int(digits, 16)))
        if char.isalnum():
            raise self._wrong(f"\\{char} is not read")
        return _one(char)

    def _next(self) -> str:
        return self.source[self.at : self.at + 1]

    def _skip(self, sign: str) -> bool:
        here = self._next() == sign
        self.at += here
        return here

    def _take(self) -> str:
        char = self._next()
        if not char:
            raise self._wrong("it breaks off")
        self.at += 1
        return char

    def _wrong(self, why: str) -> ValueError:
        return ValueError(f"the pattern {self.source[:60]!r}, character {self.at}: {why}")


def _one(char: str) -> Ranges:
    return ((ord(char), ord(char)),)


def _others(ranges: Ranges) -> Ranges:
    """All characters but these."""
    found, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return (*found, (at, LARGEST)) if at <= LARGEST else tuple(found)
