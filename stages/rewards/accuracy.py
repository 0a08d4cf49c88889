r"""1 where the answer equals the reference, 0 where it does not.

Multiple choice, dates, words and signs are compared as what they are; numbers exactly; the rest is
for math-verify (algebra.py), whose judgement the short way of numbers never contradicts. `places`
says where an answer may stand, such as `answer+boxed`; any of the five by default (see places.py).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from stages.data.record import kind_of, need
from stages.data.text import split_thinking
from stages.rewards import algebra, choices, dates, numbers, phrases, structure, units, wording
from stages.rewards.algebra import DELIMITED, PROSE
from stages.rewards.places import Found, chosen, find
from stages.rewards.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ({"completion": "3+4=7, so \\boxed{7}", "answer": "7"}, {}, 1.0),
    ({"completion": "<think>7</think> <answer>8</answer>", "answer": "7"}, {}, 0.0),
    ({"completion": "so 7</think>\n\n\\boxed{1,000}", "prefill": "<think>\n", "answer": "1000"}, {}, 1.0),
    ({"completion": "it is 7, hence 7", "prefill": "<think>\n", "answer": "7"}, {}, 0.0),
    ({"completion": "She has 72 clips.\n#### 72", "answer": "72"}, {}, 1.0),
    ({"completion": "That makes 72 clips.", "answer": "72"}, {"places": "boxed"}, 0.0),
    ({"completion": "The answer is $\\frac{2}{4}$.", "answer": "1/2"}, {}, 1.0),
    ({"completion": "\\boxed{(x+1)^2}", "answer": "x^2+2x+1"}, {}, 1.0),
    ({"completion": "\\boxed{\\text{Tuesday}}", "answer": "tuesday"}, {}, 1.0),
    ({"completion": "La respuesta es (C).", "answer": "C"}, {}, 1.0),
    ({"completion": "It is Paris.", "answer": 1, "choices": ["Rome", "Paris"]}, {}, 1.0),
    ({"completion": "So the answer is yes.", "answer": "Yes"}, {}, 1.0),
    ({"completion": "\\boxed{500\\text{ cm}}", "answer": "5 m"}, {}, 1.0),
    ({"completion": "\\boxed{7}"}, {}, None),
]  # fmt: skip

NO_NUMBER = re.compile(r"[^\d\\$]*")
WORD = re.compile(r"[a-z]{4,}")
WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'’,-])*")
KOREAN_LABEL = re.compile(r"\((\d+)\)\s*번")
SPACELESS = re.compile(r"(?<=[぀-ヿ㐀-鿿가-힣：，。、])(?=-?[\d$\\])|(?<=\d)(?=[぀-ヿ㐀-鿿가-힣])")


def accuracy(record: dict[str, Any], *, places: str = "any") -> Verdict:
    """Null where the record has no reference answer, or one that cannot be read."""
    verdict = quick(record, places=places)
    if verdict is not None:
        return verdict
    asked = choices.question(record)
    found = _answer(record, places)
    assert isinstance(found, Found)
    gold = reference(record)
    if asked is not None and asked.texts:
        gold = asked.texts[min(asked.right)]
    try:
        equal = algebra.equal(gold, found)
    except Exception as error:
        return Verdict(None, f"math-verify failed: {type(error).__name__}: {error}"[:200])
    if equal is None and not readable(gold):
        return Verdict(None, f"the reference {gold[-80:]!r} cannot be read as mathematics")
    return _verdict(bool(equal), found, gold, "math-verify")


def quick(record: dict[str, Any], *, places: str = "any") -> Verdict | None:
    """The verdict where no computer algebra is needed, else None. Some microseconds."""
    chosen(places)
    need(record, "completion", str, "accuracy judges completions: run r1 generate first")
    lacking = unusable(record)
    if lacking:
        return Verdict(None, lacking)
    gold = reference(record)
    found = _answer(record, places)
    asked = choices.question(record)
    if asked is not None:
        if isinstance(found, str) and places != "any":
            return Verdict(0.0, found)
        given = found if isinstance(found, Found) else None
        if given is None and record.get("finish") == "length":
            return Verdict(0.0, str(found))
        return choices.settle(asked, given, section(record)[-algebra.TAIL :])
    if isinstance(found, str):
        return Verdict(0.0, found)
    return _settle(gold, found) or _unreachable(gold, found)


def unusable(record: dict[str, Any]) -> str:
    """Why the reference answer cannot be used at all; "" where it may be."""
    answer = record.get("answer")
    if answer is None:
        return "the record has no reference answer"
    if isinstance(answer, dict) or (isinstance(answer, list) and len(answer) != 1):
        return f"the reference answer is {kind_of(answer)}, not a text"
    return "" if reference(record) else "the reference answer is empty"


def reference(record: dict[str, Any]) -> str:
    """The reference as text; what follows `####` where it is a GSM8K solution."""
    answer = record["answer"]
    if isinstance(answer, list):
        answer = answer[0]
    if isinstance(answer, bool):
        return "true" if answer else "false"
    text = wording.ascii_digits(str(answer))
    return (text.rpartition("####")[2] if "####" in text else text).strip()


def readable(gold: str) -> bool:
    """Whether a reference that math-verify cannot read is one in words, signs or a date."""
    return wording.is_wording(gold) or wording.is_signs(gold) or dates.read(gold) is not None


def section(record: dict[str, Any]) -> str:
    """The completion after its thinking."""
    return wording.ascii_digits(
        split_thinking(record["completion"], str(record.get("prefill") or "")).answer
    )


def _answer(record: dict[str, Any], places: str) -> Found | str:
    """Where the answer stands, or why there is none."""
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    if parts.thinking is not None and not parts.answer.strip():
        return "no answer: nothing follows the thinking"
    cut = record.get("finish") == "length"
    found = find(wording.ascii_digits(parts.answer), places, cut=cut)
    if found is None:
        where = "" if places == "any" else f" in {places}"
        return f"no answer{where}" + (": the completion was cut off" if cut else "")
    if found.place == "last":
        return found._replace(text=found.text[-algebra.TAIL :])
    return found


def _settle(gold: str, found: Found) -> Verdict | None:
    """What exact numbers, units, dates, signs and plain words can say."""
    want = numbers.read(gold)
    if want is not None and not found.several:
        taken = _number(found)
        got = numbers.read(taken) if taken is not None else None
        if taken is not None and got is not None:
            equal = numbers.same(want, got)
            if equal is not None:
                return _verdict(equal, found._replace(text=taken), gold, "exact")
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
        equal = any(
            wording.same_signs(gold, each)
            for each in (found.text, wording.signs_at_end(found.text))
        )
        return _verdict(equal, found, gold, "signs")
    if wording.is_wording(gold):
        return _settle_words(gold, found)
    if found.place != "last" and structure.plain(found.text) == structure.plain(gold):
        return _verdict(True, found, gold, "text")
    return None


def _unreachable(gold: str, found: Found) -> Verdict | None:
    """Null where computer algebra would not come back, so that no worker has to find out."""
    formula = "" if found.place == "last" else found.text
    for what, text in (("reference", gold), ("answer", formula)):
        if why := algebra.beyond(text):
            return Verdict(None, f"the {what} is beyond computer algebra: {why}")
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


def _only_money(text: str) -> bool:
    """Whether each `$` stands before a price, so that none of them opens a formula."""
    return (
        "\\" not in text
        and text.count("$") == len(re.findall(r"(?<![\d$])\$\d[\d,.]*(?![\d$])", text)) == 1
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


def _verdict(equal: bool, found: Found, gold: str, how: str) -> Verdict:
    text = found.context if found.several else found.text
    taken = text if len(text) <= 80 else "…" + text[-79:]
    want = gold if len(gold) <= 80 else "…" + gold[-79:]
    says = "equals" if equal else "is not"
    return Verdict(float(equal), f"{found.place} {taken!r} {says} {want!r} ({how})")


def prepare() -> None:
    """Loads math-verify in a worker before the clock of the first record starts."""
    algebra.prepare()


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """An option or a number, right or wrong: null where the reference is missing or cannot be read."""
    asked = choices.question(problem)
    return [(f"</think>\\boxed{{{asked.series[0] if asked else 17}}}", 0.0)]
