"""The 25 kinds of instruction of IFEval: one function each, of a text and what the instruction says.

From "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911, table 1), judged as the
published program judges, which is more lenient than the words of some instructions: a highlight may be a
bullet, and a keyword may be part of a word. The names of the parameters are those of the data set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal

from stages.grading.instructions.sentences import capital_words, sentences
from stages.language.identification import language_share

Relation = Literal["at least", "less than"]

WORD = re.compile(r"\w++")
# A group is empty where nothing was found: what was passed over in vain is not tried again from its middle.
PLACEHOLDER = re.compile(r"\[[^\]\n]*+(\]?)")
STAR = re.compile(r"^\s*+(\*[^*].*|)", re.MULTILINE)
DASH = re.compile(r"^\s*+(-|)", re.MULTILINE)
HIGHLIGHT = re.compile(r"\*([^\n*]*+)\*")
DOUBLE = re.compile(r"\*\*([^\n*]*+)\*\*")
POSTSCRIPT = {"P.S.": re.compile(r"p\.\s?s\."), "P.P.S": re.compile(r"p\.\s?p\.\s?s")}
FENCES = ("```json", "```Json", "```JSON", "```")
ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
AFTER_WORD = re.compile(r"[.,?!'\"]")


def _holds(count: int, relation: Relation, number: int) -> bool:
    return count < number if relation == "less than" else count >= number


def _said(words: str, text: str) -> int:
    """How often the words stand in the text, in any case, inside of longer words too."""
    return len(re.findall(re.escape(words), text, re.IGNORECASE))


def existence(text: str, *, keywords: list[str]) -> bool:
    return all(_said(each, text) for each in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: Relation) -> bool:
    return _holds(_said(keyword.strip(), text), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: list[str]) -> bool:
    return not any(
        re.search(rf"\b{re.escape(each)}\b", text, flags=re.IGNORECASE) for each in forbidden_words
    )


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: Relation) -> bool:
    return _holds(text.lower().count(letter.lower()), let_relation, let_frequency)


def response_language(text: str, *, language: str) -> bool:
    """Most words are in it, code included. Two languages of one script other than the Latin are alike."""
    share = language_share(text.replace("`", " "), language)
    return not any(map(str.isalpha, text)) if share is None else share >= 0.5


def number_sentences(text: str, *, num_sentences: int, relation: Relation) -> bool:
    return _holds(len(sentences(text)), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Paragraphs are parted by `***`; only the first and the last may be empty, and do not count then."""
    first, *rest = [bool(each.strip()) for each in text.split("***")]
    return all(rest[:-1]) and first + sum(rest) == num_paragraphs


def number_words(text: str, *, num_words: int, relation: Relation) -> bool:
    return _holds(len(WORD.findall(text)), relation, num_words)


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Paragraphs are parted by two line breaks. The place counts empty ones, the number does not."""
    paragraphs = [each.strip() for each in text.split("\n\n")]
    count = len([each for each in paragraphs if each])
    if not 1 <= nth_paragraph <= count or not paragraphs[nth_paragraph - 1]:
        return False
    word = paragraphs[nth_paragraph - 1].split(maxsplit=1)[0].lstrip("'").lstrip('"')
    return count == num_paragraphs and AFTER_WORD.split(word.lower(), maxsplit=1)[0] == first_word.lower()


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    return len([each for each in PLACEHOLDER.findall(text) if each]) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    marker, lower = postscript_marker.strip(), text.lower()
    known = POSTSCRIPT.get(marker)
    return known.search(lower) is not None if known else marker.lower() in lower


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    return len([each for bullet in (STAR, DASH) for each in bullet.findall(text) if each]) == num_bullets


def constrained_response(text: str) -> bool:
    return any(each in text for each in ANSWERS)


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    found = [*HIGHLIGHT.findall(text), *DOUBLE.findall(text)]
    return len([each for each in found if each.strip()]) >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d++", text)) >= num_sections


def json_format(text: str) -> bool:
    """A value in JSON, in a fence of code or without. Nested too deep to be read, it is none."""
    inner = text.strip()
    for fence in FENCES:
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """Something between `<<` and `>>` on one line."""
    for line in text.split("\n"):
        start, stop = line.find("<<"), line.rfind(">>")
        if 0 <= start < stop - 2 and line[start:stop].lstrip("<").rstrip(">").strip():
            return True
    return False


def two_responses(text: str) -> bool:
    """Two different ones, parted by `******`."""
    first, *rest = [each.strip() for each in text.split("******")]
    given = [each for each in (first, *rest) if each]
    return all(rest[:-1]) and len(given) == 2 and given[0] != given[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, *, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: Relation) -> bool:
    return _holds(capital_words(text), capital_relation, capital_frequency)


def english_capital(text: str) -> bool:
    return text.isupper() and response_language(text.lower(), language="en")


def english_lowercase(text: str) -> bool:
    return text.islower() and response_language(text, language="en")


def no_comma(text: str) -> bool:
    return "," not in text


def quotation(text: str) -> bool:
    inner = text.strip()
    return len(inner) > 1 and inner[0] == inner[-1] == '"'


KINDS: Mapping[str, Callable[..., bool]] = {
    "keywords:existence": existence,
    "keywords:frequency": frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
