"""Multiple choice: which options a completion names, by letter, by digit or by their own text.

The options are the record's `choices` (a list of texts, `{label: text}`, or `{"label": […], "text":
[…]}`), else what the prompt lists as `(A) …`, `B. …`. A reference is a label, an option's text, or,
where it is a JSON number beside `choices`, its place counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from stages.data.templates import messages_of
from stages.rewards import phrases
from stages.rewards.places import Found
from stages.rewards.verdict import Verdict
from stages.rewards.wording import ascii_digits, bare, first_sentence, last_sentence, undressed


class Question(NamedTuple):
    """`right` holds the places of the right options; `texts` is empty where they are not known."""

    right: frozenset[int]
    texts: tuple[str, ...]
    series: str  # the letters or digits that label the options


LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMALL = LATIN.lower()
# Labels of other scripts, in the order of their options.
SERIES = (
    "أبجدهوزح", "ابجدهوزح", "가나다라마바사", "ㄱㄴㄷㄹㅁㅂㅅ", "アイウエオカキ", "甲乙丙丁戊己",
    "कखगघङच", "কখগঘঙচ", "กขคงจฉ", "АБВГДЕЖ", "ΑΒΓΔΕΖ", "אבגדהו",
)  # fmt: skip
DIGITS = "123456789"
HOMOGLYPHS = str.maketrans("АВСЕΑΒΕ", "ABCEABE")
LABEL = re.compile(
    r"[(\[（【「『]?\s*([^\W\d_])\s*(?:[)\]）】」』].*|[.:：．、,，)].*)?", re.DOTALL
)
WORDED_LABEL = re.compile(
    r"(?:option|choice|answer|letter|statement|opción|respuesta|réponse|antwort|alternativa|选项|選項|選択肢|선택지|보기|الخيار|вариант)\s*:?\s*",
    re.IGNORECASE,
)
JOINED = r"\s*(?:[,，、;/&+]|\band\b|\bor\b|\bund\b|\boder\b|\bet\b|\bou\b|\by\b|\bo\b|\be\b|和|与|或|と|와|과|및|또는|أو|و)+\s*"
LISTED = re.compile(
    r"(?:^|\n|\s)\(?([A-Z])[).:][ \t]+(.+?)(?=\s+\(?[A-Z][).:][ \t]|\n|$)", re.DOTALL
)
SEVERAL = re.compile(r"[A-J](?:[,;&\s]|and)*(?:[A-J](?:[,;&\s]|and)*)+")
NOT = re.compile(r"(?:\bnot|n't|rather than|instead of|而不是|不是|nicht|pas|no)\s*[(\[]?$", re.I)
OPTIONS_LISTED = re.compile(
    r"^[ \t]*A:.*\n+[ \t]*B:[^\n]*(?![\s\S]*\banswer\b)", re.M | re.S | re.I
)
CONCLUDES = re.compile(
    r"\b(?:so|hence|thus|therefore|is|be|pick|choose|select|with|option|choice|answer)[:,]?\s+(?:option\s+)?\W*$",
    re.I,
)
WRONG = re.compile(
    r"\s*(?:is|are|was|can(?:not|'t)|est|ist|es)\s+(?:not|n't|wrong|incorrect|false|pas|nicht|be\b|falsch)"
    r"|\s*(?:不|是错|錯|が誤り|は誤り|는 틀|은 틀)",
    re.IGNORECASE,
)
ARTICLE = re.compile(r"\s+(?!(?:is|are|and|or|because|since|as|for|which|was|with)\b)[a-z]")


def question(record: dict[str, Any]) -> Question | None:
    """The multiple choice that `record` poses, or None where it is none."""
    answer = record.get("answer")
    given = record.get("choices", record.get("options"))
    labels, texts = _options(given)
    if texts:
        return _among(answer, labels, texts)
    if not isinstance(answer, str) or len(answer) > 40:
        return None
    return _lettered(answer, record)


def _among(answer: Any, labels: Sequence[str], texts: tuple[str, ...]) -> Question | None:
    """The question whose options the record lists; None where its reference is none of them."""
    series = "".join(labels) if all(len(label) == 1 for label in labels) else ""
    if isinstance(answer, int) and not isinstance(answer, bool):
        inside = 0 <= answer < len(texts)
        return Question(frozenset({answer}), texts, series or LATIN) if inside else None
    wanted = ascii_digits(str(answer)).strip()
    plain = [bare(text) for text in texts]
    letters = _label_of(wanted)
    for names in (series, LATIN, *SERIES, DIGITS) if letters else ():
        if letters and letters in names and names.index(letters) < len(texts):
            return Question(frozenset({names.index(letters)}), texts, names)
    if wanted.isdigit() and 1 <= int(wanted) <= len(texts) and wanted not in plain:
        return Question(frozenset({int(wanted) - 1}), texts, DIGITS)
    if bare(wanted) in plain:
        return Question(frozenset({plain.index(bare(wanted))}), texts, series or LATIN)
    several = _several(wanted)
    return Question(several, texts, LATIN) if several and max(several) < len(texts) else None


def _lettered(answer: str, record: dict[str, Any]) -> Question | None:
    """The question whose reference is a letter, or several."""
    wanted = undressed(ascii_digits(answer))
    if several := _several(wanted):
        return Question(several, (), LATIN)
    label = _label_of(wanted)
    if label is None:
        return None
    enclosed = wanted[0] in "([（【"
    if label in LATIN and (enclosed or label in LATIN[:10]):
        place, series = LATIN.index(label), LATIN
    elif label in SMALL and enclosed:
        place, series = SMALL.index(label), LATIN
    else:
        found = next((each for each in SERIES if label in each), None)
        if found is None:
            return None
        place, series = found.index(label), found
    texts = _listed(record)
    return Question(frozenset({place}), texts if place < len(texts) else (), series)


def _label_of(text: str) -> str | None:
    """The label that `text` is, alone or before its option: `B`, `(B)`, `B.`, `(B) Paris`."""
    if len(text) == 1:
        return text if text.isalpha() else None
    match = LABEL.fullmatch(text)
    if match is None or "=" in text or ("," in text and text.rstrip()[-1] in ")]"):
        return None  # an equation, an interval, a point
    return match[1]


def _several(text: str) -> frozenset[int]:
    """The places of `A, C`, `A and C` or `ACD`; none for a word such as `BAD`."""
    text = text.strip(" .()[]")
    letters = re.findall("[A-J]", text) if SEVERAL.fullmatch(text) else []
    ordered = len(letters) > 1 and letters == sorted(set(letters))
    return frozenset(map(LATIN.index, letters)) if ordered else frozenset()


def _options(given: Any) -> tuple[list[str], tuple[str, ...]]:
    """Labels and texts of the record's options; labels are empty where only the texts are given."""
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        labels = given.get("label")
        texts = tuple(map(str, given["text"]))
        whole = isinstance(labels, list) and len(labels) == len(texts)
        return (list(map(str, labels)) if whole and labels else []), texts
    if isinstance(given, dict):
        return list(map(str, given)), tuple(map(str, given.values()))
    if isinstance(given, list):
        return [], tuple(re.sub(r"^\(?[A-J][).:]\s+", "", str(text)) for text in given)
    return [], ()


def _listed(record: dict[str, Any]) -> tuple[str, ...]:
    """The options that the prompt lists as (A), (B) and so on."""
    if not record.get("prompt"):
        return ()
    return _listed_in(messages_of(record)[-1]["content"])


@lru_cache(maxsize=64)
def _listed_in(prompt: str) -> tuple[str, ...]:
    found = LISTED.findall(prompt)
    starts = [k for k, (label, _) in enumerate(found) if label == "A"]
    texts: list[str] = []
    for label, text in found[starts[-1] :] if starts else ():
        if label != LATIN[len(texts)]:
            break
        texts.append(text.strip())
    return tuple(texts) if len(texts) > 1 else ()


def settle(asked: Question, found: Found | None, section: str) -> Verdict | None:
    """The verdict on what the completion names; None where only its mathematics can tell."""
    if found is not None and found.place == "says" and OPTIONS_LISTED.search(section):
        found = None  # the `A:` that may announce an answer was a label here
    where = found.place if found is not None else "last"
    named = _named(asked, found, section)
    want = "".join(asked.series[k] for k in sorted(asked.right) if k < len(asked.series))
    if named is None:
        if asked.texts and found is not None and where != "last":
            return None
        return Verdict(0.0, "no answer: no option is named")
    got = "".join(asked.series[k] if k < len(asked.series) else str(k + 1) for k in sorted(named))
    equal = named == asked.right
    says = "is" if equal else "is not"
    return Verdict(float(equal), f"{where} names option {got}, which {says} {want} (choice)")


def _named(asked: Question, found: Found | None, section: str) -> frozenset[int] | None:
    """The places of the options that are named as the answer."""
    if found is not None and found.place != "last":
        region = undressed(found.text)
        return _in_region(asked, region)
    for pattern in _closings(asked.series):
        matches = pattern.findall(section)
        if matches:
            return frozenset({_place(asked, matches[-1])})
    whole = undressed(section)
    opening = _labels(asked, whole)
    if opening is not None and len(opening) == 1 and len(_marks(asked, whole)) == 1:
        return opening
    for region in (undressed(last_sentence(section)), whole, undressed(first_sentence(section))):
        named = _in_region(asked, region)
        if named is not None:
            return named
    return None


@lru_cache(maxsize=64)
def _closings(series: str) -> tuple[re.Pattern[str], ...]:
    letters = re.escape(series[:26])
    label = rf"(?<![^\W_])[(\[（【「]?\*{{0,2}}([{letters}])\*{{0,2}}[)\]）】」]?"
    return (re.compile(label + f"(?:{phrases.IS_RIGHT})"),)


def _in_region(asked: Question, region: str) -> frozenset[int] | None:
    """The options that a short text names: by its labels, else by an option's own text."""
    if asked.texts:
        exact = _by_text(asked.texts, region, whole=True)
        if exact is not None:
            return exact
    labels = _labels(asked, region)
    if labels:
        return labels
    return _by_text(asked.texts, region, whole=False) if asked.texts else None


def _labels(asked: Question, region: str) -> frozenset[int] | None:
    region = WORDED_LABEL.sub("", region)
    whole = region.strip(" ().[]:（）【】、。")
    if len(whole) == 1 and (place := _place(asked, whole)) >= 0:
        return frozenset({place})
    if several := _several(whole):
        return several
    usable = _marks(asked, region)
    if not usable:
        return None
    places = [_place(asked, mark[1] or mark[2]) for mark in usable]
    last = usable[-1]
    if not region[last.end() :].strip(" .)") and CONCLUDES.search(
        region[max(0, last.start() - 40) : last.start()]
    ):
        return frozenset({places[-1]})
    if not region[: usable[0].start()].strip(" ([（【\"'*"):
        # It opens with its label: later ones count where they are joined to it.
        lead = {places[0]}
        for before, mark, place in zip(usable, usable[1:], places[1:], strict=False):
            if not re.fullmatch(JOINED, region[before.end() : mark.start()]):
                break
            lead.add(place)
        return frozenset(lead)
    return frozenset(places)


def _marks(asked: Question, region: str) -> list[re.Match[str]]:
    """The labels of options in a text, but for those it calls wrong, and the article `A`."""
    return [
        mark
        for mark in _candidates(asked.series).finditer(region)
        if _place(asked, mark[1] or mark[2]) >= 0
        and not NOT.search(region[max(0, mark.start() - 20) : mark.start()])
        and not WRONG.match(region, mark.end())
        and not (mark[2] and mark[2] in "AI" and ARTICLE.match(region, mark.end()))
    ]


@lru_cache(maxsize=64)
def _candidates(series: str) -> re.Pattern[str]:
    """Labels that stand alone: not in a word, a name or a formula."""
    latin = "A-Za-z" if series[0] in LATIN else re.escape(series)
    near = r"A-Za-z0-9_\\'’^À-ÿ" if series[0] in LATIN + DIGITS else r"\w"
    letters = "A-J" if series == LATIN else re.escape(series)
    return re.compile(
        rf"[(\[（【「'‘]\s*([{latin}])\s*[)\]）】」'’]"
        rf"|(?<![{near}+*/])([{letters}])(?![{near}]|\s*[=+*/^<>]|-[A-Za-z0-9])"
    )


def _place(asked: Question, label: str) -> int:
    """The place that `label` stands for, -1 where it is none of the options."""
    count = len(asked.texts) or 26
    same = asked.series.find(label)
    if same < 0 and asked.series == LATIN:
        same = LATIN.find(label.upper()) if label.isascii() else -1
    if same < 0:
        label = label.translate(HOMOGLYPHS) if asked.series == LATIN else label
        # A number names an option only where it is known that there are options.
        rows = (LATIN, *SERIES, DIGITS) if asked.texts else (LATIN, *SERIES)
        same = next((row.index(label) for row in rows if label in row), -1)
    return same if same < count else -1


def _by_text(texts: tuple[str, ...], region: str, *, whole: bool) -> frozenset[int] | None:
    """The one option whose own text `region` is, or holds."""
    said = bare(region)
    plain = [bare(text) for text in texts]
    if whole:
        return frozenset({plain.index(said)}) if said and said in plain else None
    inside = [
        k
        for k, text in enumerate(plain)
        if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)
    ]
    # `New York` holds no `York` of its own.
    longest = [
        k for k in inside if not any(plain[k] != plain[j] and plain[k] in plain[j] for j in inside)
    ]
    return frozenset(longest) if len(longest) == 1 else None
