"""What judges in the calling process, where no deadline holds, takes time in proportion to what it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from effort import grows
from worst import Attack

from stages.grading.instructions import checks, following
from stages.grading.votes import vote
from stages.language import behaviours, identification
from stages.programs import extract, outputs, suites
from stages.records.record import Record
from stages.rewards.bfcl import ROME
from stages.rewards.world import GAME, HELLO
from stages.scoring import preflight, spec
from stages.selection import faults
from stages.selection.decontamination import Overlap
from stages.selection.rules import select
from stages.settings.criteria import Selection

SIZE, LONG = 1000, 25_000  # characters: up to four times as many
STEP, CLOSER = 36, 12  # each rule is asked one attack in so many, another than its neighbour


PUMPS = (
    "\\frac{1}{2}\\cdot\\frac{2}{3}\\cdot", "\\frac{", "\\sqrt[", "\\boxed{", "\\boxed{7}", "\\text{a}",
    "\\text{",
    "\\(", "\\[", "\\(\\", "\\$", "\\", "\\\\", "$", "$$", "$ ", "$a ", "$1,", "${", "{", "}", "{}", "(", ")",
    "()", "[", "(A) ",
    "`", "`a", "```", "```\n", "``` ", "```a", "**", "*", "_", "#", "#### ", "####", "<think>", "</think>",
    "<answer>", "</answer>", "<think></think>", "<a", "<", "</a>", "A:\n", "B:\n", "A:\nB:\n", "A. a\n",
    "A) ", "A ", "A, ", "AB",
    "A is correct ", "A is ", "the answer is ", "answer: ", "答案", "选", "answer ", "正解", "so ", "is ",
    "not ", "step 1 ",
    "wait ", "7", "9,", "7,777", "1.", "1.2.", "1/", "7 ", "-", "10^{", "9^", "!", "9!", "(9!)", "1e9", "0x",
    "%", "7%", ",", "，", ";", " and ",
    " ", "\n", "\n ", "\t", "\r", "\n\n", "\u00a0", "\u3000", "\x00", "a", "Z", "ab ", "a.", "a\n", "'", '"',
    "'\"", "“", "don't ", "e\u0301\u0316",
    "\u0301\u0316", "\u05b0\u05b4", "\u0915\u094d", "\u200b", "é", "ß", "İ", "中", "か", "가", "ሀ", "ｱ", "Ａ",
    "𝐚", "ﷺ", "🙂", "https://a ", "http",
    "://", "def f():\n", "#include\n", "int main", "1 m ", "5 m^2 ", "May 1, ", "2021-", "1/1/", "2021年",
    "|", "&", "=", "==", "x=", "<=", "\\le ", "yes ", "no ",
)  # fmt: skip
OF_KIND: dict[str, dict[str, Any]] = {
    "sum": {"answer": "16"},
    "countdown": GAME,
    "knights": {"answer": "A knight, B knave"},
    "fact": {"answer": "Paris, Rome"},
    "chat": HELLO,
}
CUT = (
    Attack("The product is $", "\\frac{1}{2}\\cdot\\frac{2}{3}\\cdot", ""),
    Attack("A:\n", "A:\nB:\n", "the answer is C"),
    Attack("A:\n" * 300, "B:\n", "the answer is C"),
    Attack("```", "a", ""),
    Attack("the answer is", " ", "x"),
    Attack("# answer", " ", "x"),
    Attack("\\boxed{", "{", "7}"),
    Attack("\\boxed{", "(", ")"),
    Attack("The answer is (", " ", "A)"),
    Attack("<answer>", "7 or ", "</answer>"),
    Attack("<answer>", "\\boxed{", "</answer>"),
    Attack("答案", " ", "A"),
    Attack("A", " ", "x"),
    Attack("7", "0", "!"),
    Attack("#### ", "1,", ""),
)


VALUES: dict[str, Any] = {
    "keywords": ["a"], "keyword": "ab", "frequency": 2, "relation": "at least", "forbidden_words": ["7"],
    "letter": "z", "let_frequency": 9, "let_relation": "less than", "language": "de", "num_sentences": 5,
    "num_paragraphs": 3, "num_words": 9, "nth_paragraph": 1, "first_word": "so", "num_placeholders": 4,
    "postscript_marker": "P.P.S", "num_bullets": 3, "num_highlights": 2, "section_spliter": "A",
    "num_sections": 3, "prompt_to_repeat": "so", "end_phrase": "x", "capital_frequency": 5,
    "capital_relation": "at least",
}  # fmt: skip


def attacks() -> Iterator[Attack]:
    yield from CUT
    for pump in PUMPS:
        yield Attack("", pump, "")
        yield Attack("so ", pump, "\n7 x")


def judges() -> dict[str, Callable[[str], Any]]:
    """Each rule that is asked in the calling process, by its name, as a function of a text."""
    found: dict[str, Callable[[str], Any]] = {}
    for name in spec.names():
        part = spec.part("reward_model:model=x" if name == "reward_model" else name)
        if part.batch:
            continue  # their model takes the time
        ask = partial(asked, part)
        found[name] = lambda said, ask=ask: ask(completion=said)
        if name in ("format", "tag_count", "language", "behaviours"):
            found[f"{name}, opened"] = lambda said, ask=ask: ask(completion=said, prefill="<think>\n")
    accuracy = partial(asked, spec.part("accuracy"))
    for kind, answer in {
        "a number": "1,000", "a formula": "x^2+1", "a word": "Paris", "a side": "yes", "a letter": "B",
        "signs": ") ]",
        "a date": "May 1, 2021", "a quantity": "5 m", "a list": "red, green and blue",
    }.items():  # fmt: skip
        for form in ("{}", "\\boxed{{{}}}", "<answer>{}</answer>", "The answer is {}"):
            found[f"accuracy, {kind}, {form}"] = lambda said, a=answer, form=form: accuracy(
                completion=form.format(said), answer=a
            )
    for places in ("{}", "(A) {} (B) b"):
        found[f"accuracy, options in the prompt {places}"] = lambda said, p=places: accuracy(
            completion="It is B", answer="B", prompt=p.format(said)
        )
    found["accuracy, choices"] = lambda said: accuracy(
        completion=f"I say {said[:200]}", answer=1, choices=["Rome", said]
    )
    found["accuracy, said among choices"] = lambda said: accuracy(
        completion=said, answer="Rome", choices=["Paris", "Rome", "A b"]
    )
    for name, spans in {"drop_f1": "one", "drop_f1, list": "list"}.items():
        part = spec.part(f"drop_f1:spans={spans}")
        found[name] = lambda said, part=part: asked(part, completion=said, answers=[["7", "a b"], ["so"]])
    for name, fields in {
        "mmlu_pro": {"answer": "B", "choices": ["Rome", "Paris"]}, "xstest": {"label": "safe"},
        "bbq": {"answer": "B", "choices": ["Rome", "Paris", "None"], "context": "ambiguous"},
    }.items():  # fmt: skip
        part = spec.part(name)
        found[name] = lambda said, part=part, fields=fields: asked(part, completion=said, **fields)
    found["accuracy, reference"] = lambda said: accuracy(completion="\\boxed{Rome}", answer=said)
    found |= instructions()
    for name, given in {
        "function_calls": {"expected_calls": [{"name": "f", "arguments": {"a": 1}}]},
        "bfcl": ROME,
        "bfcl, tools": {**ROME, "tools": []},
        "json_schema": {"json_schema": {"items": {"pattern": "^(a+)+$"}, "uniqueItems": True}},
        **{f"world, {kind}": {"kind": kind, **rule} for kind, rule in OF_KIND.items()},
    }.items():
        part = spec.part(name.partition(",")[0])
        found[name] = lambda said, part=part, given=given: asked(part, completion=said, **given)
    found["language, prompt"] = lambda said: asked(spec.part("language"), completion="It is", prompt=said)
    for name, rule in {
        "mixing": Selection(max_mixing=0.5), "code": Selection(max_code=0.5),
        "paragraph": Selection(max_paragraph=9),
        "well formed": Selection(well_formed=True),
        "dedup": Selection(dedup="normalised"), "where": Selection(where="lower(completion) == 'a'"),
    }.items():  # fmt: skip
        found[f"filter, {name}"] = lambda said, rule=rule: list(
            select([Record(id="a", completion=said, lang="en")], rule, lambda *_: None)
        )
    known = Overlap([("one two three four five six seven", "a"), ("a " * 20, "b")])
    found["filter, well formed prompt"] = faults.fault_of_prompt
    found["filter, decontaminate"] = lambda said: known.find(said)
    found["votes"] = lambda said: vote({"completion": said})
    found["mixing"] = lambda said: identification.mixing(said, "zh")
    found["reflection"] = behaviours.reflects
    found["programs"] = lambda said: extract.find({"completion": said}, suites.Suite(entry="f"))
    found["outputs"] = lambda said: outputs.difference(said, said + "1", "lines", 1e-6)
    found["the kind of a fault"] = preflight.kind_of_fault
    return found


def instructions() -> dict[str, Callable[[str], Any]]:
    """Each kind of instruction, asked of the text in all its looser forms."""
    settings = {
        name: {key: VALUES[key] for key in inspect.signature(check).parameters if key != "text"}
        for name, check in checks.KINDS.items()
    }
    return {
        f"ifeval, {name}": partial(following.followed_loosely, checks=[partial(checks.KINDS[name], **given)])
        for name, given in settings.items()
    }


def asked(part: spec.Part, **record: Any) -> Any:
    call = part.quick if part.pooled else part.function
    assert call is not None
    given = (
        Record(
            id="a",
            prompt="What?",
            answer="7",
            rewards={"accuracy": 1.0},
            gym={},
            meta={"generate": {"max_tokens": 9, "tokens": 9}},
        )
        | record
    )
    subject = Record(given)
    return call([subject] if part.many else subject, **part.options)


@pytest.mark.full
@pytest.mark.parametrize(("size", "step"), [(SIZE, CLOSER), (LONG, STEP)])
def test_more_attacks_and_longer_texts_make_no_verdict_slow(size: int, step: int) -> None:
    assert not slow(size, step)


def slow(size: int, step: int) -> list[str]:
    """The rules that an attack slows down out of proportion, each with the first that does."""
    texts = list(attacks())
    found = []
    for k, (name, judge) in enumerate(judges().items()):
        for attack in (*CUT[k % 2 :: 2], *texts[k % step :: step]):
            if how := grows(judge, attack.text, size):
                found.append(f"{name}, {attack}: {how}")
                break
    return found
