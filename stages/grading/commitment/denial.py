"""What a statement denies is struck: `8 (not 7)`, `7 is wrong`, `nicht 7, sondern 8`, `Yes (wrong)`.

A word that denies stands before an answer (`not`), behind it (`wrong`), or alone: then what it denies is in
an earlier part. Of the sides of a question only a plain yes or no is struck: that `not true` is the other
side is known in wording.py.
"""

from __future__ import annotations

from stages.grading.commitment import particles
from stages.grading.commitment.reading import BOUNDED, ENDS_EXPLANATION, EXPLAINS, Reading
from stages.grading.commitment.tokens import SMALL, Token, is_atom, side_of, small


def deny(reading: Reading, *, bounds: bool) -> None:
    """Strikes what is denied, and with `bounds` what is only bounded: `at least 7`. What explains is passed
    over.
    """
    rules = SIDED if reading.kind == "sided" else RULES
    explains = False
    for k, part in enumerate(reading.parts):
        explains = part.joint in EXPLAINS or (explains and part.joint not in ENDS_EXPLANATION)
        for n, token in enumerate(() if explains else part.tokens):
            rule = rules.get(token.kind)
            if rule and not reading.gone[token.start] and (bounds or token.kind != "bound"):
                rule(reading, k, n)


def _not(reading: Reading, k: int, n: int) -> None:
    """`not 7`; `7 not`; `7. Not.`"""
    tokens = reading.parts[k].tokens
    start = reading.begins(tokens, n + 1)
    if start >= 0:
        reading.strike(tokens[n : reading.ends(tokens, start)])
        if tokens[n].kind == "bound":
            reading.why = BOUNDED
        _joined(reading, k)
        return
    reading.strike([tokens[n]])
    if not small(tokens[n + 1 :]):
        return
    if any(is_atom(token, reading.kind) and not reading.gone[token.start] for token in tokens[:n]):
        reading.strike(tokens[: n + 1])
    elif k == n == 0 and len(reading.parts) > 1 and reading.parts[1].joint in ("equals", "stop", "or"):
        reading.strike(reading.parts[1].tokens)
    else:
        _earlier(reading, k)


def _joined(reading: Reading, k: int) -> None:
    """`neither 6 nor 7`, `not 6, 7 or 8`: a list that ends in `or` is denied as one."""
    last = k
    for m, part in enumerate(reading.parts[k + 1 :], k + 1):
        comma = part.sign in (",", "，", "、")
        if part.joint not in ("or", "and") or not (part.tokens or comma):
            break
        if not comma and reading.begins(part.tokens) in (0, 1, 2):
            last = m
    for part in reading.parts[k + 1 : last + 1]:
        reading.strike(part.tokens)


def _no(reading: Reading, k: int, n: int) -> None:
    """`no 7`; `7? No, 8`; `7 - no`."""
    tokens = reading.parts[k].tokens
    if reading.begins(tokens, n + 1) >= 0:
        _not(reading, k, n)
    elif small(tokens[:n]):
        reading.take_back(k)
    elif small(tokens[n + 1 :]):
        reading.strike(tokens)


def _wrong(reading: Reading, k: int, n: int) -> None:
    """`7 is wrong`; `7. That is wrong.`; `wrong: 7`."""
    tokens = reading.parts[k].tokens
    opens = _opens(reading, tokens, n)
    if any(is_atom(token, reading.kind) for token in tokens[opens:n]):
        reading.strike(tokens[opens : n + 1])
        return
    reading.strike([tokens[n]])
    start = reading.begins(tokens, n + 1)
    after = reading.parts[k + 1 : k + 2]
    if start >= 0:
        reading.strike(tokens[start : reading.ends(tokens, start)])
    elif not _earlier(reading, k) and after and after[0].sign in (":", "："):
        reading.strike(after[0].tokens)


def _opens(reading: Reading, tokens: list[Token], n: int) -> int:
    """Where the bracket opens in which the `n`-th token stands with an answer of its own: `7 (9 is wrong)`;
    else 0.
    """
    depth = 0
    for m in range(n - 1, -1, -1):
        depth += tokens[m].nests
        if depth > 0:
            return m if any(is_atom(token, reading.kind) for token in tokens[m:n]) else 0
    return 0


def _earlier(reading: Reading, k: int) -> bool:
    """Strikes the last part before `k` that could be an answer; all of them for `that is wrong`."""
    earlier = [m for m in range(k) if reading.bears(m)]
    whole = any(token.kind == "link" and _points(token) for token in reading.parts[k].tokens)
    for m in earlier if whole else earlier[-1:]:
        reading.strike(reading.parts[m].tokens)
    return bool(earlier)


def _points(token: Token) -> bool:
    return token.said in particles.phrases("pointing")


def is_plain_side(token: Token) -> bool:
    """Whether a token is a plain yes or no."""
    return token.said in particles.phrases("sides")


def _not_side(reading: Reading, k: int, n: int) -> None:
    """`not yes`; `yes - not`."""
    tokens = reading.parts[k].tokens
    start = n + 1
    while start < len(tokens) - 1 and tokens[start].kind in SMALL:
        start += 1
    if start < len(tokens) and is_plain_side(tokens[start]):
        reading.strike(tokens[n : start + 1])
    elif small(tokens[n + 1 :]) and _after_side(tokens[:n]):
        reading.strike(tokens)


def _wrong_side(reading: Reading, k: int, n: int) -> None:
    """`Yes (wrong)`; `Yes. Wrong.`; but of the question it is said in `No, it is impossible`."""
    tokens = reading.parts[k].tokens
    if _after_side(tokens[:n]):
        if not _of_question(tokens[:n]):
            reading.strike(tokens)
    elif small(tokens[:n]) and side_of(tokens[n]) is None:
        before = reading.parts[k - 1].tokens if k else []
        if not _of_question([*before, *tokens[:n]]):
            _earlier(reading, k)


def _after_side(tokens: list[Token]) -> bool:
    """Whether these tokens end in a plain yes or no, with nothing but small words behind it."""
    last = next((t for t in reversed(tokens) if t.kind not in SMALL or is_plain_side(t)), None)
    return last is not None and is_plain_side(last)


def _of_question(tokens: list[Token]) -> bool:
    """Whether what follows these tokens is said of the question, after a no: `No, it is …`."""
    pointing = next((n for n, token in enumerate(tokens) if _points(token)), 0)
    return any(side_of(token) == (0, 1) for token in tokens[:pointing])


RULES = {"not": _not, "bound": _not, "no": _no, "wrong": _wrong}
SIDED = {"not": _not_side, "wrong": _wrong_side}
