"""Answers in words: yes and no, names, lists, sequences of signs; equal where they say the same."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from stages.language.letters import compatible

COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathsf|mbox|textnormal"
    r"|operatorname|boxed|fbox|emph)\s*\{([^{}]*)\}"
)
DRESS = re.compile(r"\\[()\[\] ,;!]|\\q?quad|(?<!\\)\$|\*\*|[*_`\"“”„«»]|</?\w+>")
FOREIGN_DIGIT = re.compile(r"[٠-٩۰-۹०-९০-৯๐-๙０-９]|(?<!\d)[①-⑨](?!\d)")
SIGNS = str.maketrans("٫٬٪−％", ".,%-%")
BRACKETS = 20  # around a text, one in another, that are taken off
SHORT = 200  # characters of a text that is worth remembering
EDGE = " \t\n.。!！?？,，;；:：、·-–—"
ARTICLES = re.compile(r"^(?:the|an?|la|le|les|el|los|las|der|die|das)\s+|^l['’]")
# What each language says for the two sides of a question; the first of a row names the side.
SIDES = (
    "yes yeah yep true correct right oui vrai ja wahr richtig sí si verdadero cierto sim verdadeiro "
    "vero да верно правда 是 是的 对 對 正确 正確 真 はい 正しい 네 예 맞다 참 نعم صحيح हाँ हां सही có đúng "
    "ใช่ evet",
    "no nope false incorrect wrong non faux nein falsch falso não нет неверно ложь 否 不是 不对 不對 不 错误 "
    "錯誤 假 "
    "いいえ 偽 正しくない 아니요 아니오 거짓 لا خطأ नहीं गलत không sai ไม่ใช่ ไม่ hayır",
)
VALIDITY = ("valid gültig valide válido 有效", "invalid ungültig invalide inválido 无效")
PAIRS = (SIDES, VALIDITY, ("plausible", "implausible"), ("possible", "impossible"), ("even", "odd"))
NOTHING = frozenset(
    (
        "no solution",
        "no solutions",
        "none",
        "empty set",
        "\\emptyset",
        "\\varnothing",
        "∅",
        "\\{\\}",
    )
)
SEPARATOR = re.compile(
    r"(?:(?<!\s)\s+)?(?:[,，、;；](?:\s*(?:and\b|or\b|&))?|\band\b|&|\bund\b|\bet\b|和|と|및|그리고)\s*"
)
FOLLOWS = re.compile(
    r"\s*(?:[,;:(（.。，—–-]\s*)?(?:because|since|as|which|who|the|a|an|not|for|is|are|was|were|has|have|"
    r"can|will|would|does|did|that|it|he|she|they|this|there|so|due|given|by|in|with|"
    r"car|weil|denn|parce|porque|因为|입니다|이다|です|だ)\b"
    r"|\s*(?:입니다|이다|예요|이에요|です|だ|である|。|，因为|है)"
)
STATED = (
    r"(?:\bis|\bare|\bwas|\bwere|\bbe|[=:：→]|\bso|\bthus|\btherefore|\bhence|是|为|は)[,:]"
    r"?\s*(?:the\s+|an?\s+)?"
)
NEGATED = re.compile(r"\b(?:not|n't|never|neither|nor|no longer|isn't|cannot)\b|不|没")


def ascii_digits(text: str) -> str:
    """`text` with the digits of other scripts as 0 to 9, and without marks of direction."""
    if text.isascii():
        return text
    if "\u200e" in text or "\u200f" in text:
        text = text.replace("\u200e", "").replace("\u200f", "")
    text = FOREIGN_DIGIT.sub(lambda match: str(unicodedata.digit(match[0])), text)
    return text.translate(SIGNS)


def undressed(text: str) -> str:
    r"""`text` without markup around its words: `\text{(C)}`, `**C**`, `"C"`. Case and brackets stay."""
    if "\\" in text:
        for _ in range(3):
            text, changed = COMMAND.subn(lambda match: match[1], text)
            if not changed:
                break
    text = DRESS.sub(" ", text)
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(text.split())


def bare(text: str) -> str:
    """`text` for comparison: lower case, no markup, no article, no punctuation at its ends."""
    return _bare(text) if len(text) <= SHORT else _bare.__wrapped__(text)


@lru_cache(maxsize=4096)
def _bare(text: str) -> str:
    plain = compatible(undressed(text)).casefold().strip(EDGE)
    for _ in range(BRACKETS):
        if len(plain) < 3 or plain[0] + plain[-1] not in ("()", "[]", "{}"):
            break
        plain = plain[1:-1].strip(EDGE)
    plain = plain.strip("'’")
    return ARTICLES.sub("", plain) if " " in plain or "'" in plain or "’" in plain else plain


def is_wording(text: str) -> bool:
    """Whether `text` is words alone: letters of any script, spaces, and what joins words."""
    if len(text) > 2 * SHORT:
        return False
    plain = bare(text)
    if len(plain) == 1:
        return unicodedata.category(plain) == "Lo"
    if not plain or len(plain) > 400 or "\\" in text.replace("\\text", "").replace("\\mbox", ""):
        return False
    if not any(map(str.isalpha, plain)) or not _long_word(plain):
        return False
    return all(c.isalpha() or c in " .,'’-&;、，" or unicodedata.category(c)[0] == "M" for c in plain)


def _long_word(plain: str) -> bool:
    return any(
        len(word) > 1 and not (word.isascii() and len(word) < 3 and word not in ("no", "ja", "si"))
        for word in re.findall(r"[^\W\d_]+", plain)
    )


def is_signs(text: str) -> bool:
    """Whether `text` is a sequence of signs such as `] ) }`: neither letters nor digits."""
    plain = undressed(text) if len(text) <= 2 * SHORT else ""
    return bool(plain) and not any(c.isalnum() or c in "\\$" for c in plain)


def signs_at_end(text: str) -> str:
    """What follows the last word of a text, if it is signs."""
    return re.split(r"\w[:,;]?\s", f"x {text}")[-1]


def same_signs(gold: str, other: str) -> bool:
    """Whether two sequences of signs are the same, whatever separates the signs."""
    return _signs(gold) == _signs(other)


def _signs(text: str) -> str:
    return re.sub(r"[\s,'.]|\\(?=[{}])", "", undressed(text))


def side(plain: str) -> tuple[int, int] | None:
    """Which pair, and which side of it, a bare word stands for; None for any other word."""
    return _side(plain) if len(plain) <= 20 else None


@lru_cache(maxsize=512)
def _side(plain: str) -> tuple[int, int] | None:
    for pair, sides in enumerate(PAIRS):
        for k, words in enumerate(sides):
            if plain in words.split():
                return pair, k
    return None


def same(gold: str, other: str) -> bool:
    """Whether two wordings are equal: as words, as one side of a question, or as a list in order."""
    want, got = bare(gold), bare(other)
    if want == got:
        return True
    if want in NOTHING and got in NOTHING:
        return True
    if (sided := side(want)) is not None:
        return side(got) == sided
    parts, others = _list(want), _list(got)
    return len(parts) + len(others) > 2 and " ".join(parts) == " ".join(others)


def _list(plain: str) -> list[str]:
    return [ARTICLES.sub("", part) for part in SEPARATOR.split(plain) if part]


def says(gold: str, region: str) -> bool:
    """Whether a short text gives `gold` as the answer: it is it, opens with it, or ends in `is …`."""
    if same(gold, region):
        return True
    want, text = bare(gold), compatible(undressed(region)).casefold().strip(EDGE)
    text = ARTICLES.sub("", text)
    sided = side(want)
    if sided is not None:
        return _side_in(text, sided[0]) == sided
    if text.startswith(want) and FOLLOWS.match(text, len(want)):
        return True
    ending = re.search(rf"{STATED}{re.escape(want)}$", text)
    return ending is not None and not NEGATED.search(text[: ending.start()][-40:])


def _side_in(text: str, pair: int) -> tuple[int, int] | None:
    """The one side of a pair that a sentence takes; None where it takes none, or both."""
    words = re.findall(r"[^\W\d_]+", text)
    if not words:
        return None
    first = side(words[0])
    if first is not None and first[0] == pair and (len(words) == 1 or not _determines(text, words[0])):
        return first
    found = set()
    for k, word in enumerate(words):
        taken = side(word)
        if taken is None or taken[0] != pair:
            continue
        if word in ("no", "right", "correct", "si", "la") and k + 1 < len(words):
            continue  # `no problem`, `the right side`: not a verdict
        turned = k > 0 and words[k - 1] in ("not", "nicht", "pas", "isn")
        found.add((pair, 1 - taken[1]) if turned else taken)
    return found.pop() if len(found) == 1 else None


def _determines(text: str, word: str) -> bool:
    """Whether an opening `no` or `right` belongs to a noun: `no solution exists`."""
    rest = text[len(word) :]
    return word in ("no", "right", "true", "correct") and bool(re.match(r" [^\W\d_]", rest))


def last_sentence(section: str) -> str:
    """The last sentence of a text, without its final stop."""
    lines = [line for line in section.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    parts = re.split(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])", lines[-1].strip())
    return next((part for part in reversed(parts) if part.strip()), "").strip()


def first_sentence(section: str) -> str:
    """The first sentence of a text."""
    return re.split(r"(?<=[.!?,])\s|[。！？\n]", section.strip(), maxsplit=1)[0]
