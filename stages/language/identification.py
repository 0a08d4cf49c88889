r"""Which language each word of a text is in, and the share of its words in one.

The paper's language reward is the share of words of the thinking that are in the target language.
A word is a run of letters; a Han or Kana character counts as one, since those scripts do not put
spaces between words, and four Thai, Lao, Khmer or Burmese characters count as one for the same reason.
Digits, single Latin letters, formulas, code and unit names count as nothing, but for words of another script
than theirs that stand in them. A letter of any script of Unicode is part of a word.

A script decides most languages. Languages that share the Latin script are told apart word by word, by
letter triples and common words, where a word goes with its neighbours unless much speaks against it
(latin.py). So the share is exact for Chinese against English, and an estimate for German against English.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

from stages.language import latin
from stages.language.letters import plain
from stages.language.prose import prose
from stages.language.tables import known, remedy, symbols, word, written_in
from stages.records.record import bad_record, need
from stages.records.templates import messages_of
from stages.runtime.errors import UsageError

SENTENCE = re.compile(r"[.!?;:]\s|[。！？；：\n]")
ASCII_WORD = re.compile(r"[A-Za-z]{2,40}|\b[Iia]\b")


def languages(text: str, prefer: str = "en") -> Counter[str]:
    """Words of `text` by language code; `latin` and `und` where a script is known but no language.

    Where two languages are as likely, `prefer` is the one.
    """
    found: Counter[str] = Counter()
    sentences: list[list[str]] = []
    for sentence in SENTENCE.split(prose(plain(text))):
        if not sentence:
            continue
        if sentence.isascii():
            words = [each for each in ASCII_WORD.findall(sentence) if each.lower() not in symbols()]
        else:
            words, scripts = _by_script(sentence)
            _add_scripts(found, scripts, sentence)
        if words:
            sentences.append(words)
    if sentences:
        found.update(latin.counted(sentences, prefer))
    return found


def _by_script(sentence: str) -> tuple[list[str], Counter[str]]:
    """The words in Latin letters, and how many there are of each other script."""
    words: list[str] = []
    scripts: Counter[str] = Counter()
    for match in word().finditer(sentence):
        script, letters = match.lastgroup or "", match[0]
        if script != "Latin":
            scripts[script] += 1
        elif (len(letters) > 1 or not letters.isascii()) and letters.lower() not in symbols():
            words.append(letters)
    if scripts.total() > len(words):
        # Names and abbreviations stay in Latin letters in any language: `200 GB`, `Carla`.
        common = latin.speakers()
        words = [each for each in words if each[0].islower() or each.lower() in common]
    return words, scripts


def _add_scripts(found: Counter[str], scripts: Counter[str], sentence: str) -> None:
    """Adds the words of other scripts. Han is Japanese where Kana stands in the same sentence."""
    kana, han = scripts.pop("Kana", 0), scripts.pop("Han", 0)
    if kana or han:
        found["ja" if kana else "zh"] += kana + han
    for script, count in scripts.items():
        found[_language(script, sentence)] += count


def _language(script: str, sentence: str) -> str:
    """The language of the words of `script`: one whose own letters stand there, else the script's first."""
    codes = written_in(script) or ("und",)
    own = (code for code in codes[1:] if not set(known()[code].letters).isdisjoint(sentence))
    return next(own, codes[0])


def known_language(lang: str) -> str:
    """The two-letter code of `lang` (`zh-CN` is `zh`). Raises UsageError for one that is unknown."""
    if not is_language(lang):
        raise UsageError(f"no language {lang!r}: {remedy()}")
    return _short(lang)


def is_language(lang: str) -> bool:
    """Whether `lang` names a language that is known here."""
    return _short(lang) in known()


def _short(lang: str) -> str:
    return re.split("[-_]", lang.strip().lower())[0]


@lru_cache(maxsize=64)  # the completions of a problem follow one another
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
    script = known()[code].script
    if script == "Latin":
        inside = found[code] + found["latin"]
    else:  # the languages of another script are not told apart but by a letter here and there
        inside = sum(found[each] for each in written_in(script))
    if code == "ja" and not inside and found["zh"] < 4:
        inside = found["zh"]  # a word or two in Kanji alone
    return inside / total


def mixing(text: str, lang: str) -> float | None:
    """Share of the words of `text` that are not in `lang`; None where no word counts."""
    share = language_share(text, lang)
    return None if share is None else 1.0 - share


def target_language(record: dict[str, Any]) -> str | None:
    """The record's `lang`, else the language of its prompt's last message, or None.

    Raises BadInput for a `lang` that is unknown.
    """
    if record.get("lang"):
        lang: str = need(record, "lang", str, remedy())
        if not is_language(lang):
            raise bad_record(record, f"no language {lang!r}", remedy())
        return lang
    return language_of(messages_of(record)[-1]["content"]) if record.get("prompt") else None


def longest_paragraph(text: str) -> int:
    """Words (as `languages` counts them) of the longest paragraph of `text`; blank lines divide."""
    return max((len(word().findall(part)) for part in re.split(r"\n\s*\n", text)), default=0)
