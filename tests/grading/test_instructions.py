"""IFEval's instructions are judged as the published program judges them: cases whose verdicts are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.evaluation.benchmark import load, open_problems
from stages.grading.instructions.checks import KINDS
from stages.grading.instructions.following import checks_of, followed, followed_loosely
from stages.grading.instructions.sentences import capital_words, sentences
from stages.rewards.ifeval import ifeval

AT_LEAST, LESS = "at least", "less than"
# (kind, settings, texts that follow it, texts that do not)
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["mom", "cat"]}, ["MOMENTS of a Cat"], ["mom"]),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": AT_LEAST},
     ["War and wards"], ["war"]),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": LESS}, ["war"], ["war war"]),
    ("keywords:forbidden_words", {"forbidden_words": ["can", "a.c"]}, ["candle abc"], ["Yes, I CAN."]),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": AT_LEAST},
     ["qQ"], ["q"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST},
     ["##"], ["#"]),
    ("language:response_language", {"language": "de"},
     ["Das Wasser kommt und geht zweimal am Tag.", "17"],
     ["The tide turns twice a day.", "```\nThe tide turns twice a day.\n```"]),
    ("language:response_language", {"language": "kn"}, ["ಇದು ಒಂದು ವಾಕ್ಯ."], ["यह एक वाक्य है।"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": AT_LEAST},
     ["One. Two", "(One!) Two"], ["Mr. One", "1.5 m"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["a\n***\nb", "***a***b***"], ["a\n\nb", "a *** *** b", "a***b***c", "a******b"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": LESS}, ["a_b c"], ["it's so", "3.5 m"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Sea"},
     ["a\n\nSea's b", 'a\n\n"sea, b'], ["a\n\nseas", "a\n\n\n\nsea", "sea\n\nb", "a\nsea", "a\n\nsea\n\nc"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] []", "[[a] [b]"],
     ["[a", "[a\n] [b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["a\np. s. b", "up.s."], ["PS: b"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P. P.S b"], ["P.S. b"]),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, ["a n.b. b"], ["nobody"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n* b", "- a\n\n  - b", "*a* b\n---"], ["* a", "** a\n* b", "1. a\n2. b", "*\n* a"]),
    ("detectable_format:constrained_response", {}, ["So: My answer is no. Yes."], ["my answer is no."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* *b*", "**a** b **c**"], ["*a*", "**a**b**", "* * *a*", "*a\nb* *c*"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Day", "num_sections": 2},
     ["Day 1 a Day2"], ["day 1 day 2", "Day  1 Day 2", "Day one Day 2"]),
    ("detectable_format:json_format", {},
     ['```json\n{"a": 1}\n```', "[1]", "NaN"], ["{'a': 1}", "a", "json\n[1]", "[" * 100_000]),
    ("detectable_format:title", {}, ["so <<a b>>", "<<<a>>>"], ["<<>>", "<< >>", "<<a\nb>>", ">>a<<"]),
    ("combination:two_responses", {},
     ["a******b", "******a******b******"], ["a******a", "a", "a******b******c", "a************b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it. "}, [" SAY IT. It"], ["So: say it."]),
    ("startend:end_checker", {"end_phrase": "The end. "}, ['It is THE END."\n'], ["The end. Really"]),
    ("startend:quotation", {}, [' "a"\n'], ["“a”", '"', '"a']),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": AT_LEAST},
     ["I'M here", "A-B, U.S."], ["It's I"]),
    ("change_case:english_capital", {}, ["THE TIDE TURNS TWICE A DAY."],
     ["The TIDE", "DAS WASSER KOMMT UND GEHT ZWEIMAL AM TAG."]),
    ("change_case:english_lowercase", {}, ["the tide turns twice a day."],
     ["the Tide", "das wasser kommt und geht zweimal am tag."]),
    ("punctuation:no_comma", {}, ["a; b，c"], ["a, b"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings", "right", "wrong"), CASES)
def test_a_text_follows_an_instruction_or_breaks_it(
    kind: str, settings: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    checks = checks_of({"instruction_id_list": [kind], "kwargs": [settings]})
    assert {text: followed(text, checks) for text in right} == {text: [True] for text in right}
    assert {text: followed(text, checks) for text in [*wrong, "", " \n"]} == {
        text: [False] for text in [*wrong, "", " \n"]
    }


def test_each_kind_has_a_case() -> None:
    assert {kind for kind, *_ in CASES} == set(KINDS)
    assert len(KINDS) == 25


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n", []),
        ("no end", ["no end"]),
        ("Mr. Smith of the U.S. Navy rose by 3.5 feet. He left.",
         ["Mr. Smith of the U.S. Navy rose by 3.5 feet.", "He left."]),
        ("It rose... and fell... But why?! Who knows", ["It rose... and fell...", "But why?!", "Who knows"]),
        ('"Wait!" he said. (It was late.) So', ['"Wait!"', "he said.", "(It was late.)", "So"]),
        ("The answer is I. Therefore I go. J. Smith", ["The answer is I.", "Therefore I go.", "J. Smith"]),
        ("1. first 2. Second", ["1. first 2.", "Second"]),
        ("J. Walter and 5. Abreast", ["J. Walter and 5. Abreast"]),
        ("a.b.c", ["a.b.c"]),
    ],
)  # fmt: skip
def test_sentences_are_those_of_punkt(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_capital_words_are_those_of_the_treebank() -> None:
    text = "IT'S A U.S. \"NASA\" thing: WELL-KNOWN, CANNOT; don'T ‘YES’ EU's. I'M 1ST 7"
    # IT 'S A U.S. NASA WELL-KNOWN CAN NOT YES EU I 'M 1ST
    assert capital_words(text) == 13


def test_a_looser_form_may_follow_what_the_text_does_not() -> None:
    checks = checks_of(
        {"instruction_id_list": ["startend:quotation", "punctuation:no_comma"], "kwargs": [{}, {}]}
    )
    for text, expected in (
        ('"a"', [True, True]),
        ('Sure, here:\n"a"', [True, True]),
        ('"a"\nThere, done.', [True, True]),
        ('So, it is:\n"a"\nThere, done.', [True, True]),
        ('**"a"**', [True, True]),
        ('Sure: "a, b"', [False, False]),
    ):
        assert followed_loosely(text, checks) == expected, text


@pytest.mark.parametrize(
    ("names", "settings", "says"),
    [
        (None, None, "no instruction_id_list"),
        ([], [], "no instruction_id_list"),
        (["punctuation:no_comma"], None, "kwargs must be a list"),
        (["punctuation:no_comma"], [{}, {}], "kwargs must be a list"),
        (["punctuation:no_comma"], [[]], "no object"),
        ([7], [{}], "no instruction '7'"),
        (["punctuation:none"], [{}], "no instruction 'punctuation:none'"),
        (["punctuation:no_comma"], [{"keyword": "a"}], "no setting 'keyword'"),
        (["keywords:existence"], [{"keywords": None}], "needs keywords"),
        (["keywords:existence"], [{"keywords": "cat"}], "keywords cannot be 'cat'"),
        (["keywords:existence"], [{"keywords": []}], "keywords cannot be"),
        (["detectable_format:number_bullet_lists"], [{"num_bullets": 1.5}], "cannot be '1.5'"),
        (["detectable_format:number_bullet_lists"], [{"num_bullets": True}], "cannot be 'True'"),
        (["length_constraints:number_words"], [{"num_words": 9, "relation": ["at least"]}], "cannot be"),
        (["language:response_language"], [{"language": "xx"}], "no language 'xx'"),
    ],
)  # fmt: skip
def test_instructions_that_cannot_be_read_are_null_and_say_why(names: Any, settings: Any, says: str) -> None:
    verdict = ifeval({"completion": "a", "instruction_id_list": names, "kwargs": settings})
    assert verdict.value is None
    assert says in verdict.reason


def test_settings_may_be_as_the_hub_has_them() -> None:
    record = {
        "instruction_id_list": ["detectable_format:number_bullet_lists"],
        "kwargs": [{"num_bullets": 1.0, "keyword": None, "relation": None}],
    }
    assert ifeval({**record, "completion": "* a"}).value == 1


def test_what_is_around_the_answer_is_left_out_unless_all_is_asked_for() -> None:
    record = {"instruction_id_list": ["startend:quotation"], "kwargs": [{}]}
    for completion in ('<think>so</think>\n\n"a"', '<think>so</think><answer>"a"</answer>', '"a"'):
        assert ifeval({**record, "completion": completion}).value == 1
    assert ifeval({**record, "completion": 'so</think>"a"', "prefill": "<think>"}).value == 1
    assert ifeval({**record, "completion": '<think>so</think>"a"'}, part="whole").value == 0


def test_the_published_instructions_can_all_be_read(data: Path) -> None:
    problems = list(open_problems(load("ifeval"), data=data))
    assert sum(len(checks_of(each)) for each in problems) == 834
    assert {name for each in problems for name in each["instruction_id_list"]} == set(KINDS)
