"""Whether what a completion gives is the reference, once it is known where its answer stands.

`committed` says which answers it commits itself to. `settle` compares one of them as number, unit, date,
signs or words, and `compared` asks computer algebra about the rest.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from stages.grading import algebra, dates, numbers, phrases, structure, units, wording
from stages.grading.algebra import DELIMITED, PROSE
from stages.grading.commitment import around, rivals, scanner, sentences, statement, tokens
from stages.grading.commitment.reading import DENIED, WITHDRAWN
from stages.grading.places import Found, announcement, chosen, find, given_beside, offered_beside
from stages.records.verdict import Verdict

NO_NUMBER = re.compile(r"[^\d\\$]*")
WORD = re.compile(r"[a-z]{4,}")
WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'’,-])*")
BETWEEN = re.compile(r"\d(\W+)(?=\d)")
TEARS = re.compile(r"[#@`´§¶†«»“”’°]|[.*]\s*:|\.\s*\*")
OPERATOR = re.compile(r"[-+/^=<>,≈×⋅]")
BRACKET = re.compile(r"[()\[\]{}]")
KOREAN_LABEL = re.compile(r"\((\d+)\)\s*번")
SPACELESS = re.compile(r"(?<=[぀-ヿ㐀-鿿가-힣：，。、])(?=-?[\d$\\])|(?<=\d)(?=[぀-ヿ㐀-鿿가-힣])")


def committed(gold: str, found: Found, places: str, depth: int = 3) -> list[Found] | str:
    """What the completion commits itself to: answers that must all be right; or why there is none."""
    found = _pointed(found)
    kind, joined, bounded = _form(gold)
    text, after = found.text, found.after
    if found.place == "last" and kind == "value":
        text, after = sentences.last_statement(found.text)
    if found.before and around.denied_before(found.before):
        return DENIED
    if after.strip():
        why, back = around.after(after, kind, text)
        if why:
            return why
        if back >= 0:
            later = find(after[back:], places, cut=False) if depth else None
            if later is None or (later.place == "last" and not sentences.bears(later.text, kind)):
                return [found] if around.confirms(after[back:]) else WITHDRAWN
            return committed(gold, later, places, depth - 1)
    if found.place in ("answer", "boxed", "hash") and (later := _later(after, places, kind)):
        return committed(gold, later, places, depth - 1) if depth else WITHDRAWN
    more = _beside(found, text, after, kind, joined)
    if more:
        return [found._replace(text=each, context=each) for each in (found.text, *more)]
    if kind == "value" and not found.several and numbers.read(text) is not None:
        return [found]
    if found.several and not joined:
        kept: list[str] | str = list(found.several)
    elif found.several or (found.place != "last" and _same_text(gold, text)):
        return [found]
    elif kind == "words" and found.place == "last":
        text = wording.last_sentence(found.text)
        kept = statement.standing(text, kind, joined=joined, bounds=False)
    else:
        last = found.place == "last"
        bounds = not bounded and (not last or phrases.names_answer(text))
        kept = statement.standing(text, kind, joined=joined, last=last, bounds=bounds)
    if isinstance(kept, str) or kept == [text]:
        return kept if isinstance(kept, str) else [found]
    return [found._replace(text=each, context=each, several=(), before="", after="") for each in kept]


def _pointed(found: Found) -> Found:
    """What was found, with points for the decimal commas that can be nothing else."""
    texts = {name: units.pointed(getattr(found, name)) for name in ("text", "context", "before", "after")}
    return found._replace(several=tuple(map(units.pointed, found.several)), **texts)


def _beside(found: Found, text: str, after: str, kind: str, joined: frozenset[str]) -> list[str]:
    """The answers that are given or offered beside the one that was found."""
    if found.place == "last":
        return [text for text in (_offered_last(found.text, text, kind), rivals.offers(after, kind)) if text]
    given = [
        each
        for each in given_beside(found, kind)
        if each == found.beside or kind == "sided" or numbers.read(each) is not None
    ]
    alone = not joined & {"or", "and"} and not found.several
    return given + offered_beside(found, kind) if alone else given


def _offered_last(whole: str, last: str, kind: str) -> str:
    """The answer of the sentence before the last, where the last one offers another: `6. Or 7.`"""
    if kind == "words":
        last = wording.last_sentence(whole)
    start = whole.rfind(last)
    more = rivals.offers(f"\n{last[:80]}", kind) if start > 0 else ""
    if not more or kind != "value":
        return more
    earlier, _ = sentences.last_statement(whole[:start].strip())
    return earlier if "\\" in earlier else numbers.last_in(earlier) or ""


def _same_text(gold: str, text: str) -> bool:
    """Whether the answer is the reference itself, whatever words or separators that has."""
    return text == gold or (
        wording.same(gold, text)
        and statement.unstruck(text) == text
        and not any(sign in text for sign in scanner.QUESTION)
    )


def _later(after: str, places: str, kind: str) -> Found | None:
    """A number or formula that is announced after the answer was given."""
    if kind != "value" or "says" not in chosen(places):
        return None
    announced = phrases.announced(after)
    later = announcement(after, announced[1], cut=False) if announced else None
    if later is None or numbers.read(later.text) is None:
        return None
    return later


@lru_cache(maxsize=1024)
def _form(gold: str) -> tuple[str, frozenset[str], bool]:
    """What an answer to this reference looks like, which separators it has itself, and whether it is a
    bound."""
    if numbers.read(gold) is not None:
        return "value", frozenset(), False
    if wording.side(wording.bare(gold)) is not None:
        return "sided", frozenset(), False
    plain = structure.plain(gold)
    worded = readable(gold)
    joined = tokens.separators(structure.unnamed(plain)) | tokens.separators(structure.unnamed(gold))
    shape = structure.taken_apart(plain)
    if (
        shape is not None
        or joined & {"or", "and"}
        or ("," in plain.strip("{}") and numbers.read(gold) is None)
    ):
        joined |= {"order", "beside"}
        joined |= {"and", "stop"} if shape is not None and shape.ordered else {"and", "stop", "or"}
    if "\\pm" in plain:
        joined |= {"and", "or"}
    bounded = bool(structure.ORDER.search(plain))
    if bounded:
        joined |= {"order", "beside"}
    return "words" if worded else "value", joined, bounded


def settle(gold: str, found: Found) -> Verdict | None:
    """What exact numbers, units, dates, signs and plain words can say."""
    want = numbers.read(gold)
    if want is not None and not found.several:
        taken = _number(found)
        got = numbers.read(taken) if taken is not None else None
        if taken is not None and got is not None:
            equal = numbers.same(want, got)
            if equal is not None:
                return _verdict(equal, found._replace(text=taken), gold, "exact")
        elif _torn(found.text):
            return _verdict(False, found, gold, "exact")
        elif found.place == "last" and NO_NUMBER.fullmatch(found.text) and PROSE.search(found.text):
            return Verdict(0.0, "no answer: no number in the text")
        return None
    if found.several or (found.place != "last" and len(found.text) > algebra.LONG):
        return None
    equal = units.same(gold, found.text if found.place == "boxed" else units.at_end(found.text))
    if equal is not None:
        return _verdict(equal, found, gold, "units")
    if (day := dates.read(gold)) is not None:
        given = dates.dates_in(found.text)
        if given:
            return _verdict(given[-1 if found.place == "last" else 0] == day, found, gold, "date")
        return _verdict(False, found, gold, "date")
    if wording.is_signs(gold):
        equal = any(wording.same_signs(gold, each) for each in (found.text, wording.signs_at_end(found.text)))
        return _verdict(equal, found, gold, "signs")
    if wording.is_wording(gold):
        return _settle_words(gold, found)
    if found.place != "last" and structure.plain(found.text) == structure.plain(gold):
        return _verdict(True, found, gold, "text")
    return None


def _settle_words(gold: str, found: Found) -> Verdict | None:
    """The verdict on a reference in words."""
    if found.place == "last":
        said = (found.text, wording.last_sentence(found.text), wording.first_sentence(found.text))
        sided = wording.side(wording.bare(gold)) is not None
        heard = next((each for each in said[: 3 if sided else 2] if wording.says(gold, each)), None)
        if heard is not None:
            return _verdict(True, found._replace(text=heard), gold, "text")
        if sided:
            return _verdict(False, found, gold, "text")
    elif wording.says(gold, _whole_line(found) if "." in gold else found.text):
        return _verdict(True, found, gold, "text")
    words, got = _worded(gold), _worded(found.text)
    # Words of other letters differ even as products of symbols.
    if got and words and (_letters(got) != _letters(words) or WORD.search(words)):
        return _verdict(False, found, gold, "text")
    if words and WORD.search(words) and numbers.read(found.text) is not None:
        return _verdict(False, found, gold, "text")
    if not gold.isascii() or " " in wording.bare(gold):
        return _verdict(False, found, gold, "text")
    return None


def _whole_line(found: Found) -> str:
    """What was announced, to the end of its line: the stop of `Dr. Smith` ends no sentence."""
    announced = phrases.announced(found.context) if found.place == "says" else None
    return found.text if announced is None else found.context[announced[1] :].partition("\n")[0]


def _number(found: Found) -> str | None:
    """The one number that the answer is, as written; in prose, one among words."""
    text = found.text
    if "=" in text and numbers.read(named := structure.unnamed(text)) is not None:
        return named
    if found.place != "last" and (found.place == "boxed" or numbers.read(text) is not None):
        return text
    if DELIMITED.search(text) and not _only_money(text):
        return None
    if not text.isascii():
        text = KOREAN_LABEL.sub(r"\1 ", text)
        text = SPACELESS.sub(" ", text)
    if found.place == "last":
        # Around the word, math-verify looks for the answer elsewhere than at the end.
        return None if "\\" in text or "answer" in text.lower() else numbers.last_in(text)
    return numbers.last_in(text) if len(re.findall(r"\d[\d.,]*", text)) == 1 else None


def _torn(text: str) -> bool:
    """Whether a sign that joins nothing stands between two numbers, either of which algebra would take."""
    gaps = BETWEEN.findall(text)
    if any(TEARS.search(gap) and not OPERATOR.search(gap) for gap in gaps):
        return True
    unpaired = any(
        text.count(opens) != text.count(closes) or text.find(closes) < text.find(opens)
        for opens, closes in ("()", "[]", "{}")
    )
    return unpaired and any(BRACKET.search(gap) for gap in gaps)


def _only_money(text: str) -> bool:
    """Whether each `$` stands before a price, so that none of them opens a formula."""
    return (
        "\\" not in text and text.count("$") == len(re.findall(r"(?<![\d$])\$\d[\d,.]*(?![\d$])", text)) == 1
    )


def _worded(text: str) -> str:
    """`text` in lower case without dress where it is plain words, else ''."""
    if len(text) > 120:
        return ""
    plain = " ".join(unicodedata.normalize("NFKC", wording.undressed(text)).split()).strip(" .")
    if not WORDS.fullmatch(plain):
        return ""
    return plain if len(plain) == 1 else plain.casefold()


def _letters(words: str) -> list[str]:
    return sorted(letter for letter in words.casefold() if letter.isalpha())


def unreachable(gold: str, found: Found) -> Verdict | None:
    """Null where computer algebra would not come back, so that no worker has to find out."""
    formula = "" if found.place == "last" else found.text
    for what, text in (("reference", gold), ("answer", formula)):
        if why := algebra.beyond(text):
            return Verdict(None, f"the {what} is beyond computer algebra: {why}")
    return None


def compared(gold: str, found: Found, *, choice: bool) -> Verdict:
    """The verdict of computer algebra. The text of an option need not be mathematics."""
    try:
        equal = algebra.equal(gold, found)
    except Exception as error:
        return Verdict(None, f"math-verify failed: {type(error).__name__}: {error}"[:200])
    if equal is None and not readable(gold) and not choice:
        return Verdict(None, f"the reference {gold[-80:]!r} cannot be read as mathematics")
    return _verdict(bool(equal), found, gold, "math-verify")


def readable(gold: str) -> bool:
    """Whether a reference that math-verify cannot read is one in words, signs or a date."""
    return wording.is_wording(gold) or wording.is_signs(gold) or dates.read(gold) is not None


def _verdict(equal: bool, found: Found, gold: str, how: str) -> Verdict:
    text = found.context if found.several else found.text
    taken = text if len(text) <= 80 else "…" + text[-79:]
    want = gold if len(gold) <= 80 else "…" + gold[-79:]
    says = "equals" if equal else "is not"
    return Verdict(float(equal), f"{found.place} {taken!r} {says} {want!r} ({how})")
