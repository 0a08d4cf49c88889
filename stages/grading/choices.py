"""Which options of a multiple choice a completion names: by letter, by digit or by their own text."""

from __future__ import annotations

import re
from functools import lru_cache

from stages.grading import phrases
from stages.grading.commitment import around, rivals, scanner, statement, tokens
from stages.grading.commitment.reading import DENIED, WITHDRAWN
from stages.grading.places import Found, announcement, find, given_beside, offered_beside
from stages.grading.questions import DIGITS, LATIN, SERIES, Question, several
from stages.grading.wording import bare, first_sentence, last_sentence, undressed
from stages.records.verdict import Verdict

HOMOGLYPHS = str.maketrans("АВСЕΑΒΕ", "ABCEABE")
WORDED_LABEL = re.compile(
    r"(?:option|choice|answer|letter|statement|opción|respuesta|réponse|antwort|alternativa"
    r"|选项|選項|選択肢|선택지|보기|الخيار|вариант)\s*:?\s*",
    re.IGNORECASE,
)
JOINED = re.compile(r"[^\w(（【「]*")
OPTION_A = re.compile(r"^[ \t]*A:", re.M | re.I)
OPTION_B = re.compile(r"^[ \t]*B:[^\n]*", re.M | re.I)
ANSWER = re.compile(r"\banswer\b", re.I)
CONCLUDES = re.compile(
    r"\b(?:so|hence|thus|therefore|is|be|pick|choose|select|with|option|choice|answer)"
    r"[:,]?\s(?:\s*option\s)?\W*$",
    re.I,
)
SHORT = 300  # characters of a text in which one label anywhere may be the answer
FORMULA = re.compile(r"\$[^$\n]{1,400}\$")
BREAKS_OFF = re.compile(r"[^\n]{100}[A-Za-z0-9,;:=+*/\\({\[^_-]\s*\Z")
# Two labels with no more than a sign between them: `A + B`.
RELATED = re.compile(
    r"(?<![^\W_])([A-J])\)?\s*(?:[-+#*<>±·]|\\pm|plus|with|comma)\s*\(?([A-J])(?![^\W_]|\s+[a-z])"
)
OPENING = re.compile(r"\s*[(\[（]?([^\W\d_])[)\]）.:：、]+\s+")
SENTENCE = re.compile(r"[.!?](?=\s)|[。！？\n]")


def settle(asked: Question, found: Found | None, section: str, places: str) -> Verdict | None:
    """The verdict on what the completion names; None where only its mathematics can tell."""
    if found is not None and found.place == "says":
        found = _informative(asked, found, section)
    where = found.place if found is not None else "last"
    named = _named(asked, found, section, places)
    want = "".join(asked.series[k] for k in sorted(asked.right) if k < len(asked.series))
    if isinstance(named, str):
        return Verdict(0.0, named)
    if named is None:
        if asked.texts and found is not None and where != "last":
            return None
        return Verdict(0.0, "no answer: no option is named")
    got = "".join(asked.series[k] if k < len(asked.series) else str(k + 1) for k in sorted(named))
    equal = named == asked.right
    says = "is" if equal else "is not"
    return Verdict(float(equal), f"{where} names option {got}, which {says} {want} (choice)")


def _lists_options(section: str) -> bool:
    """Whether lines begin with `A:` and later `B:`, and no answer is spoken of after the last of these."""
    first = OPTION_A.search(section)
    others = list(OPTION_B.finditer(section, first.end())) if first else []
    return bool(others) and not ANSWER.search(section, others[-1].end())


def _informative(asked: Question, found: Found, section: str) -> Found | None:
    """The last announcement that names an option, or the last one; None where `A:` was a label, not an
    announcement.
    """
    if _lists_options(section):
        return None
    for begins, start in phrases.announcements(section)[::-1]:
        each = announcement(section, start, cut=False, begins=begins)
        if each is not None and _in_region(asked, undressed(each.text)) is not None:
            return each
    return found


def _named(
    asked: Question, found: Found | None, section: str, places: str, depth: int = 3
) -> frozenset[int] | str | None:
    """The places of the options that are named as the answer, or why none is; None where none is
    mentioned."""
    if found is not None and found.place != "last":
        return _stated(asked, found, places, depth)
    if BREAKS_OFF.search(section):
        return "no answer: the text breaks off"
    if matches := list(_closing(asked.series).finditer(section)):
        begins, ends = _sentence(section, matches[-1].start(), matches[-1].end())
        named = _left(asked, section[begins:ends])
        return named if named is not None else frozenset({_place(asked, matches[-1][1])})
    whole = section if len(section) <= SHORT else ""
    first, last = first_sentence(section), last_sentence(section)
    for text in (last, whole, first if OPENING.match(first) or len(first) <= 60 else ""):
        named = _left(asked, FORMULA.sub(" ", text) if len(text) > 40 else text)
        if text == last and whole and (isinstance(named, str) or _offers(asked, last)):
            named = _left(asked, whole)  # `B. (A is wrong.)`, `A. Or B.`
        if named is not None:
            return named
    return None


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence around a stretch of text begins and ends."""
    begins = max((stop.end() for stop in SENTENCE.finditer(text, 0, start)), default=0)
    stop = SENTENCE.search(text, end)
    return begins, stop.end() if stop else len(text)


def _stated(asked: Question, found: Found, places: str, depth: int) -> frozenset[int] | str | None:
    """The options that are left of what was stated in a place of its own."""
    if found.before and around.denied_before(found.before):
        return DENIED
    found = found._replace(after=_after_own_text(asked, found))
    if found.after.strip(" .\n*)"):
        why, back = around.after(found.after, "label", found.text.strip("() "))
        if why:
            return why
        if back >= 0 and depth:
            rest = found.after[back:]
            named = _named(asked, find(rest, places, cut=False), rest, places, depth - 1)
            if named is not None:
                return named
            if not around.confirms(rest):
                return WITHDRAWN
    taken: set[int] = set()
    for text in (*(found.several or (found.text,)), *_beside(asked, found)):
        named = _left(asked, text)
        if named is None or isinstance(named, str):
            return named
        taken |= named
    return frozenset(taken)


def _beside(asked: Question, found: Found) -> list[str]:
    """The options that are given or offered beside the one that was found."""
    given = given_beside(found, "label") + offered_beside(found, "words" if asked.texts else "label")
    return [each for text in given if _is_option(asked, each := text.strip("() "))]


def _offers(asked: Question, sentence: str) -> bool:
    """Whether a sentence only offers an option beside what was said: `Or B.`"""
    near = f"\n{sentence[:80]}"
    return any(_is_option(asked, rivals.offers(near, kind).strip("() ")) for kind in ("label", "words"))


def _is_option(asked: Question, text: str) -> bool:
    """Whether a text is a label, or the text of an option."""
    return (len(text) == 1 and text in asked.series) or _by_text(asked.texts, text, whole=True) is not None


def _left(asked: Question, region: str) -> frozenset[int] | str | None:
    """The options that a statement leaves standing, or why it leaves none; None where it mentions none."""
    given, region = region, statement.unstruck(region)
    if given != region and not region.strip(" .$*{}"):
        return DENIED
    region = undressed(region)
    if asked.texts:
        exact = _by_text(asked.texts, region, whole=True)
        if exact is not None and len(region.strip(" .:*()[]（）【】")) > 1:
            return exact
        region = _without_own_text(asked, region)
    kept = statement.standing(RELATED.sub(r"\1 or \2", region), "label")
    if isinstance(kept, str):
        return kept if _in_region(asked, region) is not None else None
    if len(kept) > 1:  # no article: `A if it rains, else B`
        kept = [re.sub(r"^A(?= )", "(A)", text.strip(" +=&|/-")) for text in kept]
    named = [each for text in kept if (each := _in_region(asked, text)) is not None]
    if not named and kept != [region] and _in_region(asked, region) is not None:
        return DENIED
    return frozenset().union(*named) if named else None


def _without_own_text(asked: Question, region: str) -> str:
    """`(B)` of `(B) oil or gas`, where that is the text of B: what joins or denies in it is not the
    model's."""
    opening = OPENING.match(region)
    if opening is None or (place := _place(asked, opening[1])) < 0 or place >= len(asked.texts):
        return region
    own = " ".join(asked.texts[place].split()).casefold().rstrip(" .")
    rest = " ".join(region[opening.end() :].split())
    if own and rest.casefold().startswith(own):
        return region[: opening.end()] + rest[len(own) :]
    return region


def _after_own_text(asked: Question, found: Found) -> str:
    """What follows the answer, without the option's own text: `C. No, because …` takes nothing back."""
    label = found.text.strip(" ().")
    rest = found.after.lstrip(" .):")
    if len(label) != 1 or found.after[:1] not in ".):":
        return found.after
    whole = f"({label}) {rest}"
    left = _without_own_text(asked, whole)
    return found.after if left == whole else left[len("(A) ") :]


@lru_cache(maxsize=64)
def _closing(series: str) -> re.Pattern[str]:
    """A label that is said to be right: `B is correct`."""
    letters = re.escape(series[:26])
    label = rf"(?<![^\W_])[(\[（【「]?\*{{0,2}}([{letters}])\*{{0,2}}[)\]）】」]?"
    return re.compile(label + f"(?:{phrases.IS_RIGHT})")


def _in_region(asked: Question, region: str) -> frozenset[int] | None:
    """The options that a short text names: by a label alone, by an option's own text, by its labels."""
    label = region.strip(" .:*()[]（）【】")
    if len(label) == 1 and label in asked.series:
        return frozenset({_place(asked, label)})
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
    if listed := several(whole):
        return listed
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
        # It opens with its label: later ones count where nothing but signs is between.
        lead = {places[0]}
        for before, mark, place in zip(usable, usable[1:], places[1:], strict=False):
            if not JOINED.fullmatch(region[before.end() : mark.start()]):
                break
            lead.add(place)
        return frozenset(lead)
    return frozenset(places)


def _marks(asked: Question, region: str) -> list[re.Match[str]]:
    """The labels of options in a text, but for the article `A`."""
    return [
        mark
        for mark in _candidates(asked.series).finditer(region)
        if _place(asked, mark[1] or mark[2]) >= 0
        and not (mark[2] and mark[2] in "AI" and tokens.ARTICLE.match(region, mark.end()))
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
    inside = [k for k, text in enumerate(plain) if text and re.search(_whole(text), said)]
    # `New York` holds no `York` of its own.
    longest = [k for k in inside if not any(plain[k] != plain[j] and plain[k] in plain[j] for j in inside)]
    return frozenset(longest) if len(longest) == 1 else None


def _whole(text: str) -> str:
    """A pattern for `text` as words of their own. Scripts without spaces join them to particles."""
    begins, ends = (
        ("" if re.match(f"[{scanner.UNSPACED}]", text[k]) else edge)
        for k, edge in ((0, r"(?<!\w)"), (-1, r"(?!\w)"))
    )
    return begins + re.escape(text) + ends
