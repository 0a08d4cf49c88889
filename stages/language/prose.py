"""What of a text is prose: all but code, formulas, tags and addresses."""

from __future__ import annotations

import re

# Where something begins that is no prose. What a closing sign ends is looked for by _end.
BEGINS = re.compile(
    r"""```? | ` | \$\$?                  # code, a formula
      | \\[(\[]
      | \\(?:text|textbf|mathrm|mbox)\{ # words inside a formula stay, their command does not
      | \\[A-Za-z]+\*?                  # any other command
      | </?\w+>                         # tags
      | https?://\S+""",
    re.VERBOSE,
)
INLINE = re.compile(r"`[^`\n]+`")
# A formula to its last character but the `$`; not the prices in `$5 and a tip of $6`.
FORMULA = re.compile(
    r"""\$(?!\s)(?:\\(?:text|mathrm|mbox)\w*\{[^{}$\n]*\}|\\[A-Za-z]+|\\.|[A-Za-z]{1,4}(?![A-Za-z])
        |[ -#%-@\[\]^-`{-~])++""",
    re.DOTALL | re.VERBOSE,
)
TIGHT = re.compile(r"\$[!-#%-~]+\$")
FARTHEST = 1000  # characters of a formula between `$$`, or between `\(` and `\)`
# What stands between `<` and `>` is a tag where it is one of these, or closes somewhere; else it is a word.
TAGS = frozenset(("think", "answer", "br", "hr", "li", "p"))
CLOSED = re.compile(r"</(\w+)>")
# In what is no prose, words of other scripts are still words: neither code nor formulas are written in them.
SIGNS = re.compile("[\x00-\u036f]+|(?<![Ͱ-Ͽ])[Ͱ-Ͽ]{1,3}(?![Ͱ-Ͽ])")
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)


def prose(text: str) -> str:
    """`text` without code, formulas, tags and addresses; words of scripts these are not written in stay."""
    if not ("`" in text or "$" in text or "\\" in text or "<" in text or "://" in text):
        return text
    pieces: list[str] = []
    tags = TAGS.union(CLOSED.findall(text))
    # A formula that begins inside one that never closes does not close either: it is not tried.
    at = written = unclosed = 0
    while (match := BEGINS.search(text, at)) is not None:
        start, end, sign = match.start(), match.end(), match[0]
        if sign[0] == "$":
            end, unclosed = _formula(text, match, unclosed)
        elif sign[0] == "`":
            end = _code(text, match)
        elif sign in ("\\(", "\\["):
            end = _closing(text, "\\)" if sign == "\\(" else "\\]", end)
        elif sign[0] == "<" and sign.strip("</>") not in tags:
            end = -1
        if end < 0:
            at = start + 1
            continue
        left = text[start:end]
        pieces += [text[written:start], " ", "" if left.isascii() else SIGNS.sub(" ", left)]
        at = written = end
    return "".join([*pieces, text[written:]])


def _code(text: str, opened: re.Match[str]) -> int:
    """Where the code ends that begins here; -1 where none does."""
    if opened[0] == "```":
        end = text.find("```", opened.end())
        return len(text) if end < 0 else end + 3
    inline = INLINE.match(text, opened.start())
    return -1 if inline is None else inline.end()


def _closing(text: str, sign: str, start: int) -> int:
    end = text.find(sign, start, start + FARTHEST + len(sign))
    return -1 if end < 0 else end + len(sign)


def _formula(text: str, opened: re.Match[str], unclosed: int) -> tuple[int, int]:
    """Where the formula ends that begins here, -1 where none does; and up to where none is known to close."""
    start = opened.start()
    if opened[0] == "$$" and (end := _closing(text, "$$", opened.end())) >= 0:
        return end, unclosed
    if start >= unclosed and (match := FORMULA.match(text, start)) is not None:
        end = match.end()
        if text.startswith("$", end) and not text[end - 1].isspace():
            return end + 1, unclosed
        unclosed = end
    tight = TIGHT.match(text, start)
    return (-1 if tight is None else tight.end()), unclosed


def code_share(text: str) -> float:
    """Share of the characters of `text` that stand in fenced or quoted code, 0 to 1."""
    if "`" not in text:
        return 0.0
    return sum(len(match.group()) for match in CODE.finditer(text)) / len(text)
