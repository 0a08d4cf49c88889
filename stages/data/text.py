r"""What a completion says in words: its thinking, its answer, and the languages it is written in.

The paper's language reward is the share of words of the thinking that are in the target language.
A word is a run of letters; a Han or Kana character counts as one, since those scripts do not put
spaces between words, and four Thai, Lao, Khmer or Burmese characters count as one for the same reason.
Digits, single Latin letters, formulas, code and unit names count as nothing.

A script decides most languages. Languages that share the Latin script are told apart word by word, by
letter triples and common words, where a word goes with its neighbours unless much speaks against it
(latin.py). So the share is exact for Chinese against English, and an estimate for German against English.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

from stages.data import latin
from stages.data.errors import UsageError
from stages.data.lexicon import FUNCTION_WORDS, LANGUAGES, NOT_WORDS
from stages.data.templates import messages_of


class Parts(NamedTuple):
    """A completion cut at its thinking; `thinking` is None where no block was opened and closed."""

    thinking: str | None
    answer: str


def split_thinking(completion: str, prefill: str = "") -> Parts:
    """The thinking and what follows it.

    `prefill` is what the template opened: with `<think>` in it, the completion begins inside the block.
    Thinking that never closes leaves an empty answer: nothing was answered.
    """
    text = prefill + completion if "<think>" in prefill else completion
    _, opened, rest = text.partition("<think>")
    if not opened:
        thinking, closed, answer = text.partition("</think>")
        return Parts(thinking, answer) if closed else Parts(None, text)
    thinking, closed, answer = rest.rpartition("</think>")
    if not closed:
        return Parts(rest, "")
    return Parts(thinking, answer)


NOT_PROSE = re.compile(
    r"""```.*?(?:```|\Z)                # fenced code
      | `[^`\n]+`                       # code in a line
      | \$\$.{0,1000}?\$\$
      | \$(?!\s)(?:\\(?:text|mathrm|mbox)\w*\{[^{}$\n]*\}|\\[A-Za-z]+|\\.|[A-Za-z]{1,4}(?![A-Za-z])
        |[ -#%-@\[\]^-`{-~])+(?<!\s)\$   # formulas; not the prices in `$5 and a tip of $6`
      | \$[!-#%-~]+\$
      | \\\(.{0,1000}?\\\) | \\\[.{0,1000}?\\\]
      | \\(?:text|textbf|mathrm|mbox)\{ # words inside a formula stay, their command does not
      | \\[A-Za-z]+\*?                  # any other command
      | </?\w+>                         # tags
      | https?://\S+""",
    re.DOTALL | re.VERBOSE,
)
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)

# One group for each script; `lastgroup` names it. Marks are part of a word, so ranges, not \w.
WORD = re.compile(
    r"(?P<Latin>[A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ]+)"
    r"|(?P<Han>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f])"
    r"|(?P<Kana>[ぁ-ヿㇰ-ㇿ])"
    r"|(?P<Hangul>[가-힣ᄀ-ᇿ㄰-㆏]+)"
    r"|(?P<Cyrillic>[Ѐ-ԯ]+)"
    r"|(?P<Arabic>[ؠ-ي\u064b-\u065fٮ-ۓۺ-ۼݐ-ݿ]+)"
    r"|(?P<Greek>[Α-ώἀ-ῼ]{2,})"
    r"|(?P<Hebrew>[א-ת\u0591-\u05c7]+)"
    r"|(?P<Devanagari>[\u0900-\u0963\u0971-\u097f]+)"
    r"|(?P<Bengali>[\u0980-\u09e3]+)"
    r"|(?P<Gurmukhi>[\u0a01-\u0a65]+)"
    r"|(?P<Gujarati>[\u0a81-\u0ae3]+)"
    r"|(?P<Tamil>[\u0b82-\u0be5]+)"
    r"|(?P<Telugu>[\u0c00-\u0c65]+)"
    r"|(?P<Kannada>[\u0c80-\u0ce5]+)"
    r"|(?P<Malayalam>[\u0d00-\u0d65]+)"
    r"|(?P<Thai>[\u0e01-\u0e3a\u0e40-\u0e4e]{1,4})"
    r"|(?P<Lao>[\u0e81-\u0ecd]{1,4})"
    r"|(?P<Khmer>[\u1780-\u17d3]{1,4})"
    r"|(?P<Myanmar>[\u1000-\u103f]{1,4})"
    r"|(?P<Georgian>[ა-ჿ]+)"
    r"|(?P<Armenian>[Ա-և]+)"
)
SENTENCE = re.compile(r"[.!?;:]\s|[。！？；：\n]")
ASCII_WORD = re.compile(r"[A-Za-z]{2,}|\b[Iia]\b")


def prose(text: str) -> str:
    """`text` without code, formulas, tags and addresses."""
    if "`" in text or "$" in text or "\\" in text or "<" in text or "://" in text:
        return NOT_PROSE.sub(" ", text)
    return text


def languages(text: str, prefer: str = "en") -> Counter[str]:
    """Words of `text` by language code; `latin` and `und` where a script is known but no language.

    Where two languages are as likely, `prefer` is the one.
    """
    found: Counter[str] = Counter()
    sentences: list[list[str]] = []
    for sentence in SENTENCE.split(prose(text)):
        if not sentence:
            continue
        if sentence.isascii():
            words = [w for w in ASCII_WORD.findall(sentence) if w.lower() not in NOT_WORDS]
        else:
            words, scripts = _by_script(sentence)
            _add_scripts(found, scripts, sentence)
        if words:
            sentences.append(words)
    if sentences:
        found.update(latin.counted(sentences, prefer))
    return found


def _by_script(sentence: str) -> tuple[list[str], Counter[str]]:
    words: list[str] = []
    scripts: Counter[str] = Counter()
    for match in WORD.finditer(sentence):
        script = match.lastgroup or ""
        if script != "Latin":
            scripts[script] += 1
            continue
        word = match.group()
        if (len(word) > 1 or not word.isascii()) and word.lower() not in NOT_WORDS:
            words.append(word)
    if scripts.total() > len(words):
        # Names and abbreviations stay in Latin letters in any language: `200 GB`, `Carla`.
        common = latin.speakers()
        words = [word for word in words if word[0].islower() or word.lower() in common]
    return words, scripts


def _add_scripts(found: Counter[str], scripts: Counter[str], sentence: str) -> None:
    """Adds the words of other scripts. Han is Japanese where Kana stands in the same sentence."""
    kana, han = scripts.pop("Kana", 0), scripts.pop("Han", 0)
    if kana:
        found["ja"] += kana + han
    elif han:
        found["zh"] += han
    for script, count in scripts.items():
        if script == "Cyrillic":
            found["uk" if re.search("[іїєґІЇЄҐ]", sentence) else "ru"] += count
        elif script == "Arabic":
            found["fa" if re.search("[پچژگ]", sentence) else "ar"] += count
        else:
            found[_OF_SCRIPT.get(script, "und")] += count


# The language a script stands for where it is the only one of LANGUAGES that uses it.
_OF_SCRIPT = {script: code for code, script in reversed(LANGUAGES.items())}


def known_language(lang: str) -> str:
    """The two-letter code of `lang` (`zh-CN` is `zh`). Raises UsageError for one that is unknown."""
    code = re.split("[-_]", lang.strip().lower())[0]
    if code not in LANGUAGES:
        raise UsageError(f"no language {lang!r}: choose one of {' '.join(sorted(LANGUAGES))}")
    return code


@lru_cache(maxsize=4096)
def language_of(text: str) -> str | None:
    """The language most words of `text` are in; None where it has no word or no telling one."""
    found = languages(text, "")
    found.pop("latin", 0)
    found.pop("und", 0)
    return found.most_common(1)[0][0] if found else None


def language_share(text: str, lang: str) -> float | None:
    """Share of the words of `text` that are in `lang`, 0 to 1; None where no word counts."""
    code = known_language(lang)
    found = languages(text, code)
    total = sum(found.values())
    if not total:
        return None
    inside = found[code]
    script = LANGUAGES[code]
    if script == "Latin":
        inside += found["latin"]
        if code not in FUNCTION_WORDS:
            inside = sum(found[each] for each in (*FUNCTION_WORDS, "latin"))
    elif script in ("Cyrillic", "Arabic", "Devanagari"):
        inside = sum(found[each] for each, of in LANGUAGES.items() if of == script)
    elif code == "ja" and not inside and found["zh"] < 4:
        inside = found["zh"]  # a word or two in Kanji alone
    return inside / total


def target_language(record: dict[str, Any]) -> str | None:
    """The record's `lang`, else the language of its prompt's last message, or None."""
    if record.get("lang"):
        return str(record["lang"])
    return language_of(messages_of(record)[-1]["content"]) if record.get("prompt") else None


def mixing(text: str, lang: str) -> float | None:
    """Share of the words of `text` that are not in `lang`; None where no word counts."""
    share = language_share(text, lang)
    return None if share is None else 1.0 - share


def code_share(text: str) -> float:
    """Share of the characters of `text` that stand in fenced or quoted code, 0 to 1."""
    if "`" not in text:
        return 0.0
    return sum(len(match.group()) for match in CODE.finditer(text)) / len(text)


def longest_paragraph(text: str) -> int:
    """Words (as `languages` counts them) of the longest paragraph of `text`; blank lines divide."""
    return max((len(WORD.findall(part)) for part in re.split(r"\n\s*\n", text)), default=0)
