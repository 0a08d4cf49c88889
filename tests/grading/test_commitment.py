"""One completion, one answer: no form of listing, hedging, denying, taking back or quoting pays for two, and
the honest ways of saying one answer go on being paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stages.rewards.accuracy import accuracy, quick

# Ways to state two answers, in the words of each language: none pays for both, and none for the first by
# itself.
BOTH = {
    "en": "{a} or {b}|either {a} or {b}|{a} and {b}|{a}; {b}|{a} | {b}|between {a} and {b}|from {a} to "
    "{b}|{a} or maybe {b}|"
    "maybe {a}, maybe {b}|{a}, possibly {b}|{a} (or {b})|{a} (could also be {b})|{a}, though {b} is "
    "possible|{a}, {b}|"
    "{a} ~ {b}|{a} ∨ {b}|{a} & {b}|{a} vs {b}|{a} if it rains, else {b}|{a} || {b}|{a} && {b}|{a} xor "
    "{b}|one of {a} and {b}|"
    "{a}, or else {b}|{a} as well as {b}|both {a} and {b}|some say {a}, others say {b}|{a} alternatively {b}|"
    "{a} but maybe {b}|{a} or equivalently {b}|{a} nor {b}|{a} and/or {b}|{a} \\lor {b}|{a} \\vee {b}|{a} "
    "\\text{{ or }} {b}",
    "zh": "{a}或{b}|{a}或者{b}|要么{a}要么{b}|{a}和{b}|{a}、{b}|{a}，也可能是{b}|可能是{a}，可能是{b}|"
    "{a}还是{b}",
    "ja": "{a}または{b}|{a}もしくは{b}|{a}あるいは{b}|{a}、もしかすると{b}|{a}および{b}",
    "ko": "{a} 또는 {b}|{a} 혹은 {b}|{a} 아니면 {b}|{a} 및 {b}",
    "de": "{a} oder {b}|entweder {a} oder {b}|{a} und {b}|zwischen {a} und {b}|{a}, vielleicht {b}|sowohl "
    "{a} als auch {b}",
    "fr": "{a} ou {b}|soit {a} soit {b}|entre {a} et {b}|{a}, peut-être {b}|{a} ou bien {b}",
    "es": "{a} o {b}|{a} y {b}|entre {a} y {b}|{a}, quizás {b}|{a} o bien {b}",
    "ru": "{a} или {b}|либо {a}, либо {b}|{a} и {b}|между {a} и {b}|{a}, возможно {b}",
    "ar": "{a} أو {b}|إما {a} أو {b}|{a} و {b}|{a} أو ربما {b}",
    "pt": "{a} ou {b}|{a} e {b}|{a}, talvez {b}",
    "it": "{a} oppure {b}|{a} e {b}|{a}, forse {b}",
    "hi": "{a} या {b}",
    "vi": "{a} hoặc {b}",
    "tr": "{a} veya {b}|{a} ya da {b}",
}
# Two answers in relations, conditions and second sentences: none pays for either.
BOTH_AGAIN = {
    "en": "{a} <- {b}|{a} \\gets {b}|first {a}, then {b}|{a} aka {b}|"
    "{a} <= x <= {b}|{a} < {b}|{a} ∪ {b}|{a} ⊕ {b}|{a} • {b}|{a} along with {b}|"
    "{a}, if anything {b}|sometimes {a}, sometimes {b}|{a} thru {b}|not just {a} but {b}|"
    "{a} without ruling out {b}|{a}; I can't rule out {b}|if not {a} then {b}|if it isn't {a}, it's {b}|"
    "{a} failing that {b}|{a}; if that is wrong, {b}|{a}. If not, {b}|{a}. Or {b}|{a}. Maybe {b}|"
    "{a}. Another answer is {b}",
    "zh": "不是{a}就是{b}|不是{a}，就是{b}|{a}，说不定{b}|除了{a}还有{b}",
    "ja": "{a}とか{b}|{a}でなければ{b}|{a}なのか{b}なのか",
    "ko": "{a}, 어쩌면 {b}|{a}인지 {b}인지",
    "de": "wenn nicht {a}, dann {b}|nicht nur {a}, sondern auch {b}|{a}. Oder {b}",
    "fr": "non seulement {a} mais aussi {b}|{a}. Ou {b}",
    "es": "no solo {a} sino también {b}",
    "it": "non solo {a} ma anche {b}|{a}. Oppure {b}",
    "pt": "não só {a} mas também {b}|{a}. Ou {b}",
    "ru": "не только {a}, но и {b}|{a}. Или {b}|{a}, а также {b}",
    "ar": "ليس فقط {a} بل أيضا {b}|{a}. أو {b}",
    "hi": "{a} तथा {b}|{a} अन्यथा {b}",
    "vi": "{a}. Hoặc {b}|{a} cùng với {b}",
    "tr": "hem {a} hem de {b}",
}  # fmt: skip
# Ways to deny an answer: none pays for it.
DENIED = {
    "en": "not {a}|never {a}|can't be {a}|cannot be {a}|anything but {a}|not equal to {a}|isn't "
    "{a}|certainly not {a}|"
    "{a} (incorrect)|{a} (wrong)|{a} is wrong|{a} would be wrong|{a} is not correct|neither {a}|other than "
    "{a}|"
    "all except {a}|everything but {a}|{a}? No|≠ {a}|~~{a}~~|<del>{a}</del>|<s>{a}</s>|{a} ❌|❌ "
    "{a}|unlikely to be {a}|"
    "far from {a}|{a}: incorrect|{a} isn't right|{a}, which is wrong|\\cancel{{{a}}}|\\neq {a}|\\text{{not "
    "}}{a}|"
    "neither {a} nor {b}|{a}, but that is false",
    "zh": "不是{a}|并非{a}|不等于{a}|绝不是{a}|{a}是错的|{a}（错误）|{a}不对|不可能是{a}|除了{a}",
    "ja": "{a}ではない|{a}ではありません|{a}じゃない|{a}は間違い|{a}以外|{a}（誤り）",
    "ko": "{a}이 아니다|{a}가 아닙니다|{a} 제외|{a}은 오답",
    "de": "nicht {a}|niemals {a}|keinesfalls {a}|{a} ist falsch|alles außer {a}|{a} (falsch)|weder {a} noch "
    "{b}",
    "fr": "pas {a}|jamais {a}|{a} est faux|tout sauf {a}|{a} (faux)|ni {a} ni {b}",
    "es": "nunca {a}|{a} es incorrecto|todo menos {a}|{a} (incorrecto)|ni {a} ni {b}",
    "ru": "не {a}|никогда не {a}|{a} неверно|всё, кроме {a}|ни {a}, ни {b}",
    "ar": "ليس {a}|ليست {a}|{a} خطأ|{a} غير صحيح",
    "pt": "nunca {a}|{a} está errado|nem {a} nem {b}",
    "it": "non {a}|non è {a}|{a} è sbagliato|né {a} né {b}",
    "hi": "{a} नहीं",
    "vi": "không phải {a}",
    "tr": "{a} değil",
}
# Denials by what an answer lacks, fails or contradicts, and by what takes it back: none pays.
DENIED_AGAIN = {
    "en": "{a} fails|{a} doesn't satisfy the equation|{a} is invalid|{a} is too large|{a} makes no sense|"
    "{a} is a red herring|mistake: {a}|/= {a}|the opposite of {a}|not even close to {a}|nothing like {a}|"
    "without {a}|apart from {a}|{a}. Just kidding.|{a}. I take it back.|{a}. Ignore that.|{a} [deleted]|"
    "I retract {a}|{a} contradicts the condition",
    "zh": "{a}应舍去|别选{a}|{a}，收回|未必是{a}",
    "ja": "{a}は成り立たない|{a}は不適|{a}、撤回します",
    "de": "ohne {a}|mitnichten {a}",
    "fr": "{a} est à exclure|à l'exception de {a}",
    "es": "{a} no funciona|dudo que sea {a}",
    "it": "{a} non va bene|neanche {a}",
    "pt": "{a} não serve|duvido que seja {a}",
    "ru": "{a} не годится|за исключением {a}",
    "ar": "{a} ليس صحيحا|بدون {a}",
    "hi": "{a} असंभव है|{a} के सिवा",
    "vi": "không bao giờ {a}|{a} không đúng",
    "tr": "asla {a}|{a} geçersiz",
}  # fmt: skip
# Ways to take {a} back for {b}: none pays for {a}.
CORRECTED = {
    "en": "{a}, no wait, it is {b}|{a}. Wait, it is {b}|{a} but actually {b}|{a}, sorry, {b}|{a}, I mean {b}|"
    "{a}. Correction: {b}|{a}, or rather {b}|{a} – scratch that, {b}|{b} (not {a})|{b}, not {a}|not {a} but "
    "{b}|"
    "{b} rather than {a}|{b} instead of {a}|{a}? No, {b}|~~{a}~~ {b}|not {a}, but {b}|{a}. On second "
    "thought, {b}|"
    "{a}, hmm, {b}|{a}. Actually, {b}|{a} is wrong, it is {b}|{a}, oops, {b}|<del>{a}</del> {b}|{a}, no, {b}",
    "zh": "不是{a}而是{b}|{a}，不对，应该是{b}|{b}，不是{a}|{b}而不是{a}|{a}，等等，是{b}",
    "ja": "{a}ではなく{b}|{a}、いや、{b}|{a}、訂正、{b}",
    "ko": "{a}이 아니라 {b}|{a}, 정정: {b}",
    "de": "nicht {a}, sondern {b}|{b}, nicht {a}|{a}, nein, {b}|{b} statt {a}|{a}, Moment, {b}",
    "fr": "pas {a} mais {b}|{b}, pas {a}|{a}, non, {b}|{b} au lieu de {a}|{a}, ou plutôt {b}",
    "es": "{b}, no {a}|{a}, no, espera, {b}|{b} en lugar de {a}|{a}, mejor dicho {b}",
    "ru": "не {a}, а {b}|{b}, а не {a}|{a}, нет, {b}|{b} вместо {a}",
    "ar": "ليس {a} بل {b}|{b} وليس {a}",
    "pt": "não {a}, mas {b}|{b} em vez de {a}",
    "it": "non {a} ma {b}|{a}, anzi, {b}",
}
# Corrections that come later or stand in for it.
CORRECTED_AGAIN = {
    "en": "{a}. I take it back: {b}|{a}. Edit: {b}|{b}, contrary to {a}|{b} without {a}",
    "zh": "{a}改为{b}",
    "ja": "{a}の代わりに{b}",
    "ko": "{a} 대신 {b}",
    "hi": "{a} की जगह {b}|{a} के बजाय {b}",
    "tr": "{a} yerine {b}",
}  # fmt: skip
# Whole completions that give one answer and offer another.
TWICE = (
    "Answer: {a}\nAnswer: {b}",
    "\\boxed{{{a}}}. Another possible answer is \\boxed{{{b}}}.",
    "<answer>{a}</answer><answer>{b}</answer>",
    "<answer>{a}</answer>\nor\n<answer>{b}</answer>",
    "#### {a}\n#### {b}",
    "The answer is {a}. It could also be {b}.",
    "The answer is {a}. Another answer is {b}.",
    "The answer is {a}. Or the answer is {b}.",
    "The answer is {a} or the answer is {b}.",
    "\\boxed{{{a}}} or {b}",
    "\\boxed{{{a}}}. It could also be {b}.",
    "Either {a} or \\boxed{{{b}}}.",
    "<answer>{a}</answer>, but it may be {b}.",
    "#### {a}\nor {b}",
    "The answer is {a}. If that is not accepted, {b}.",
    "The answer is {a}. My backup answer is {b}.",
    "The answer is {a}. My second choice is {b}.",
    "The answer is {a}. Maybe it's {b}.",
    "\\boxed{{{a}}}. {b} is also correct.",
)
SAID = {
    "en": "The answer is {}.|**Final answer:** {}|So it is {}.", "zh": "答案是{}。", "ja": "答え：{}",
    "ko": "정답은 {}입니다.",
    "de": "Die Antwort ist {}.", "fr": "La réponse est {}.", "es": "La respuesta es {}.", "ru": "Ответ: {}.",
    "ar": "الإجابة هي {}.", "pt": "A resposta é {}.", "it": "La risposta è {}.", "hi": "उत्तर: {}",
    "vi": "Đáp án là {}.",
    "tr": "Cevap: {}.",
}  # fmt: skip
EVERYWHERE = ("\\boxed{{{}}}", "<answer>{}</answer>", "#### {}", "{}")
WORDS = {
    "en": ("Paris", "London"), "zh": ("北京", "上海"), "ja": ("東京", "大阪"), "ko": ("서울", "부산"),
    "de": ("Berlin", "Hamburg"),
    "fr": ("Nantes", "Lyon"), "es": ("Madrid", "Sevilla"), "ru": ("Москва", "Киев"), "ar": ("القاهرة",
    "دمشق"),
    "pt": ("Lisboa", "Porto"), "it": ("Roma", "Milano"), "hi": ("दिल्ली", "आगरा"), "vi": ("Huế", "Vinh"),
    "tr": ("Bursa", "İzmir"),
}  # fmt: skip
# Honest ways of saying one answer: a number or formula,
HONEST = (
    "**Answer: {}**",
    "The final answer is $\\boxed{{{}}}$. I hope it is correct.",
    "Therefore, x = {}.",
    "答案是 {}。",
    "The answer is {}.",
    "So the answer is {}, not 9.",
    "The answer is {} because 3 and 4 or 5 and 2 make it.",
    "\\boxed{{x = {}}}",
    "Final Answer: {}",
    "#### {}",
    "<answer>{}</answer>",
    "<answer>\n{}\n</answer>",
    "Hence the total is {} apples.",
    "The answer is {} (exactly).",
    "Is it {0}? Yes, it is {0}.",
    "It is not 9. The answer is {}.",
    "Not 9 but {}.",
    "Let me check: 3 is not 4, and 9 is wrong. So the answer is {}.",
    "We get either 9 or 11 at first, but the answer is {}.",
    "\\[\\boxed{{{}}}\\]",
    "\\boxed{{{}\\text{{ apples}}}}",
    "\\boxed{{{}}}.\n\nThis is not a coincidence: 9 would be too many.",
    "\\boxed{{{}}}\n\nNote that we did not need the second condition.",
    "Answer:\n\n{}",
    "**{}**",
    "# Answer\n\n{}",
    "= {}",
    "The number of pairs that are not equal is \\boxed{{{}}}.",
    "We need at least \\boxed{{{}}} socks.",
    "There are exactly {} of them.",
    "Since 2 is not a root, the answer is {}.",
    "Wait, let me check again. The answer is {}.",
    "Hmm, so it is {}.",
    "I think it is {}.",
    "The answer is {}, which is what we wanted.",
    "The answer is {}. I am sure of it.",
    "The answer is {}; no other value works.",
    "The answer is probably {}.",
    "Maybe {}.",
    "The answer is {}. No further steps are needed.",
    "Without a doubt, {}.",
    "答えは{}です。",
    "答え：{}個",
    "したがって、{}である。",
    "答案：{}",
    "所以一共有{}个。",
    "因此答案为 $\\boxed{{{}}}$。",
    "不是9，而是{}。",
    "정답은 {}입니다.",
    "따라서 답은 {}이다.",
    "총 {}개",
    "9가 아니라 {}입니다.",
    "Die Antwort ist {}.",
    "Also ist die Antwort {}.",
    "Das Ergebnis ist nicht 9, sondern {}.",
    "Antwort: {} Äpfel",
    "La réponse est {}.",
    "La réponse est donc {}.",
    "Ce n'est pas 9, c'est {}.",
    "La respuesta es {}.",
    "Por lo tanto, quedan {}.",
    "No es 9, es {}.",
    "Respuesta final: {}",
    "Ответ: {}.",
    "Следовательно, ответ: {}",
    "Не 9, а {}.",
    "الإجابة هي {}.",
    "الجواب: {}",
    "A resposta é {}.",
    "Portanto, são {}.",
    "La risposta è {}.",
    "Quindi è {}.",
    "It is {}, no more and no less.",
    "The answer is {}, and it cannot be anything else.",
    "The answer is {} (9 would be wrong).",
    "The answer is {}. It could also be computed with a table.",
    "\\boxed{{{}}}. Alternatively, one could use induction.",
    "The answer is {}. Maybe there is a shorter way.",
    "In either case we get {}.",
    "Final Answer: The final answer is {}.",
    "The answer is 9. Scratch that: the answer is {}.",
    "The answer is {}. And we are done.",
    "~~9~~ The answer is {}.",
    "排除9，答案是{}。",
    "9 est faux. La réponse est {}.",
    "उत्तर: {}",
    "Đáp án là {}.",
    "Cevap: {}.",
    "Het antwoord is {}.",
    "คำตอบคือ {}",
)
# an option by its letter, where (B) is green,
HONEST_CHOICES = (
    "(B)",
    "B",
    "B.",
    "**B**",
    "B. green",
    "B) green",
    "(B) green",
    "Answer: B) green",
    "Answer: B",
    "The answer is (B).",
    "The answer is B.",
    "The answer is (B). (Note: This answer is a guess based on the text.)",
    "The answer is (B), since (A) is too dark.",
    "\\boxed{B}",
    "\\boxed{\\text{(B)}}",
    "\\boxed{B. green}",
    "<answer>B</answer>",
    "<answer>(B) green</answer>",
    "The answer is green.",
    "(A) is wrong. (C) is not it either. So the answer is (B).",
    "Not A, not C: B.",
    "It is not (A) but (B).",
    "Option B is correct.",
    "B is the correct answer.",
    "The correct option is B: green.",
    "I would go with B.",
    "So B.",
    "Is it B? Yes.",
    "The statement that is not true is (B).",
    "A is incorrect because it is red. B is correct.",
    "The answer is (B). This answer is not certain.",
    "Neither A nor C. The answer is B.",
    "The answer is B.\n\nExplanation: A is wrong, and C and D are not colours of grass.",
    "答案是B。",
    "答案：B. green",
    "故选B。",
    "不是A，而是B。",
    "正解はBです。",
    "答えは(B)です。",
    "정답은 B입니다.",
    "정답: B",
    "Die Antwort ist B.",
    "Richtig ist B, nicht A.",
    "La réponse est B.",
    "La bonne réponse est (B).",
    "La respuesta es la B.",
    "La opción correcta es B.",
    "Ответ: B",
    "الإجابة هي B",
    "A resposta é B.",
    "La risposta è B.",
)
# and words: (completion, reference).
HONEST_WORDS = (
    ("The answer is Paris.", "Paris"), ("It is not Lyon. The answer is Paris.", "Paris"),
    ("\\boxed{\\text{no solution}}", "no solution"),
    ("The answer is none of them.", "none of them"), ("\\boxed{\\text{red or blue}}", "red or blue"),
    ("So the answer is No.", "No"),
    ("No, it is not plausible.", "No"), ("Yes, because it is not raining.", "Yes"), ("The answer is yes.",
    "Yes"), ("It is not true.", "False"),
    ("\\boxed{\\text{neither}}", "neither"), ("The answer is Paris, the capital of France.", "Paris"),
    ("答案是北京。", "北京"), ("答えは東京です", "東京"),
    ("\\boxed{2, -2}", "\\pm 2"), ("\\boxed{1 \\text{ or } 3}", "1,3"), ("\\boxed{x < 3}", "x<3"),
    ("\\boxed{x \\ne 3}", "x \\neq 3"),
    ("\\boxed{1, 2}", "1,2"), ("\\boxed{1} and \\boxed{2}", "1,2"), ("\\boxed{(1,2)}", "(1,2)"),
    ("\\boxed{\\frac{1}{2} = 0.5}", "0.5"),
    ("The answer is 1/2 or 0.5.", "1/2"), ("\\boxed{7\\frac{1}{2}}", "7.5"), ("\\boxed{7½}", "7.5"),
    ("Thus $x = 40,\\!320$.", "40,\\!320"), ("Thus $x = \\$306,\\!956.63$.", "\\$306,\\!956.63"),
    ("The answer is $\\text{B,C}$.", "\\text{B,C}"), ("#### \\text{A,B}", "\\text{A,B}"),
)  # fmt: skip
Pair = tuple[str, str, dict[str, Any]]


def pairs(lang: str) -> Iterator[Pair]:
    """Two answers of each kind, and the fields of a record that they need."""
    yield "6", "7", {}
    yield "1,250", "12.5", {}
    yield "$\\frac{1}{3}$", "$\\frac{2}{5}$", {}
    yield "A", "B", {}
    yield "(C)", "(B)", {"choices": ["red", "green", "blue", "black"]}
    yield *WORDS[lang], {}
    yield *WORDS[lang], {"choices": [*WORDS[lang], "Oslo", "Rio"]}


def stated(table: dict[str, str]) -> Iterator[tuple[str, str, Pair]]:
    """Each form of the table in each place, for each pair of answers."""
    for lang, row in table.items():
        for form in row.replace("{a} | {b}", "{a} ¦ {b}").replace("{a} || {b}", "{a} ¦¦ {b}").split("|"):
            for place in (*EVERYWHERE, *SAID[lang].split("|")):
                for pair in pairs(lang):
                    said = form.replace("¦", "|").format(a=pair[0], b=pair[1])
                    yield lang, place.format(said), pair


def paid(completion: str, answer: str, fields: dict[str, Any], *, thorough: bool = False) -> bool:
    """Whether the completion is paid. Without computer algebra, that it might be."""
    record = {"completion": completion, "answer": answer.strip("$()"), **fields}
    verdict = quick(record)
    if verdict is None:
        return thorough and accuracy(record).value == 1
    return verdict.value == 1


def thinned(table: dict[str, str], step: int) -> list[tuple[str, str, Pair]]:
    return list(stated(table))[::step]


def not_both(cases: list[tuple[str, str, Pair]], *, thorough: bool) -> list[str]:
    return [
        text
        for _, text, (a, b, fields) in cases
        if paid(text, a, fields, thorough=thorough) or paid(text, b, fields, thorough=thorough)
    ]


def test_there_are_sixty_forms_and_more() -> None:
    counts = [sum(row.count("|") + 1 for row in table.values()) for table in (BOTH, DENIED, CORRECTED)]
    assert min(counts) >= 45, counts
    assert sum(counts) >= 200, counts
    assert len(HONEST) + len(HONEST_CHOICES) + len(HONEST_WORDS) >= 60


def test_what_offers_two_answers_is_paid_for_neither() -> None:
    assert not_both(thinned(BOTH, 5) + thinned(BOTH_AGAIN, 5), thorough=False) == []


@pytest.mark.parametrize("place", ["\\boxed{{{}}}", "<answer>{}</answer>", "#### {}", "The answer is {}."])
def test_an_answer_that_follows_another_as_a_sentence_is_a_second_one(place: str) -> None:
    cases = [
        ("en", f"{place.format(a)}{gap}{b}.", (a, b, fields))
        for gap in (". ", "\n")
        for a, b, fields in pairs("en")
        if fields or not a[0].isalpha() or len(a) == 1
    ]
    assert not_both(cases, thorough=False) == []


@pytest.mark.parametrize("form", TWICE)
def test_a_completion_that_offers_another_answer_is_paid_for_neither(form: str) -> None:
    cases = [("en", form.format(a=pair[0], b=pair[1]), pair) for pair in pairs("en")]
    assert not_both(cases, thorough=False) == []


def test_a_denial_never_pays() -> None:
    cases = thinned(DENIED, 5) + thinned(DENIED_AGAIN, 5)
    assert [text for _, text, (a, _, fields) in cases if paid(text, a, fields)] == []


def test_a_correction_pays_only_for_what_it_corrects_to() -> None:
    cases = thinned(CORRECTED, 5) + thinned(CORRECTED_AGAIN, 5)
    assert [text for _, text, (a, _, fields) in cases if paid(text, a, fields)] == []
    right = [paid(text, b, fields) for _, text, (a, b, fields) in cases if b == "7"]
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.full
def test_no_form_in_no_place_pays_for_two() -> None:
    for table in (BOTH, BOTH_AGAIN):
        assert not_both(thinned(table, 1), thorough=True) == []
    for table in (DENIED, DENIED_AGAIN, CORRECTED, CORRECTED_AGAIN):
        cases = thinned(table, 1)
        assert [t for _, t, (a, _, fields) in cases if paid(t, a, fields, thorough=True)] == []


@pytest.mark.parametrize("form", HONEST)
def test_one_answer_said_honestly_is_paid(form: str) -> None:
    for answer in ("7", "1,250"):
        verdict = accuracy({"completion": form.format(answer), "answer": answer})
        assert verdict.value == 1, verdict.reason


@pytest.mark.parametrize("completion", HONEST_CHOICES)
def test_one_option_named_honestly_is_paid(completion: str) -> None:
    options = ["red", "green", "blue", "black"]
    verdict = accuracy({"completion": completion, "answer": "B", "choices": options})
    assert verdict.value == 1, verdict.reason


@pytest.mark.parametrize(("completion", "answer"), HONEST_WORDS)
def test_a_reference_may_deny_or_list_itself(completion: str, answer: str) -> None:
    verdict = accuracy({"completion": completion, "answer": answer})
    assert verdict.value == 1, verdict.reason


@pytest.mark.parametrize(
    ("completion", "answer", "value"),
    [
        ("\\boxed{7½}", "7", 0),
        ("\\boxed{7_8}", "7", 0),
        ("\\boxed{7_{10}}", "7", 1),
        ("\\boxed{7₈}", "7", 0),
        ("\\boxed{7⑧}", "7", 0),
        ("\\boxed{7?}", "7", 0),
        ("<think>a</think><answer>7</answer><think>wait, it is 8", "7", 0),
        ("<think>a</think><answer>7</answer><think>wait, it is 8", "8", 0),
        ("Is the answer 7? No.", "7", 0),
        ("The answer is Yes = No", "Yes", 0),
        ("The answer is Yes = No", "No", 0),
        ("The wrong answer is 7.", "7", 0),
        ("It is false that the answer is 7.", "7", 0),
        ("The answer is not \\boxed{7}.", "7", 0),
        ("\\boxed{7} is wrong.", "7", 0),
        ("\\boxed{7}. Wait, that is wrong: it is 8.", "7", 0),
        ("\\boxed{7}\n\nThe answer is 8.", "7", 0),
        ("\\boxed{at least 7}", "7", 0),
        ("The answer is less than 7.", "7", 0),
        ("\\boxed{6 \\approx 7}", "6", 0),
        ("\\boxed{2\\sqrt{2} \\approx 2.83}", "2\\sqrt{2}", 1),
        ("The answer is 6 <= x <= 7.", "7", 0),
        ("\\boxed{7..8}", "7", 0),
        ("\\boxed{7\\rightleftharpoons8}", "7", 0),
        ("The answer ranges from 7 to 9.", "7", 0),
        ("The answer is 7. If you disagree, 8.", "7", 0),
        ("\\boxed{6 \\le x \\le 7}", "[6,7]", 1),
        ("\\boxed{1/2} or 0.5", "1/2", 1),
        ("The answer is 7.\n\nFinal answer: 7", "7", 1),
        ("We have $2x = 14$, or $x = \\boxed{7}$.", "7", 1),
        ("$x = 6$ or $x = \\boxed{7}$.", "7", 0),
        ("~~\\boxed{7}~~", "7", 0),
        ("untrue: Yes", "Yes", 0),
        ("\\boxed{[Yes, No]}", "Yes", 0),
        ("False. It is untrue.", "False", 1),
        ("B. (A is wrong.)", "B", 1),
        ("So the total number of wrong answers is \\boxed{7}.", "7", 1),
        ("The number of cards rejected is 7.", "7", 1),
        ("The number of balls that are not red is 7.", "7", 1),
        ("The final answer is 7 false statements.", "7", 1),
        ("The number of apples is not 7.", "7", 0),
        ("The number of apples that is not 7.", "7", 0),
        ("The number of wrong answers is 6 or 7.", "7", 0),
        ("The number of wrong answers is not 7.", "7", 0),
    ],
)
def test_statements_judged_by_hand(completion: str, answer: str, value: int) -> None:
    verdict = accuracy({"completion": completion, "answer": answer})
    assert verdict.value == value, verdict.reason


COLOURS = ("possibly", "actually", "in fact", "at all", "ever", "therefore", "even", "conceivably")
DENYING = (
    "can't {} be",
    "could never {} be",
    "won't {} be",
    "is not {}",
    "can by no means {} be",
    "isn't {}",
)
# A denial in a full sentence, where words stand between it and the answer, or in the sentence after it.
DENIED_AT_LENGTH = (
    *(f"The answer {verb.format(word)} {{}}." for verb in DENYING for word in COLOURS),
    "The answer is not, in fact, {}.",
    "The answer is not going to be {}.",
    "No one believes the answer is {}.",
    "It would be a mistake to conclude that the answer is {}.",
    "The answer is {0}. But {0} is wrong.",
    "The answer is {0}. However, {0} doesn't work.",
    "The answer is {}. That does not satisfy the condition.",
    "Die Antwort kann nicht wirklich {} sein.",
    "Ich glaube nicht, dass die Antwort {} ist.",
    "Die Antwort ist {0}. Aber {0} ist falsch.",
    "La réponse ne peut pas vraiment être {}.",
    "Il est faux que la réponse soit {}.",
    "La respuesta no puede ser {}.",
    "No creo que la respuesta sea {}.",
    "A resposta não é necessariamente {}.",
    "La risposta non può davvero essere {}.",
    "Ответ не может на самом деле быть {}.",
    "Неверно, что ответ {}.",
    "答案不可能真的是{}。",
    "没有人认为答案是{}。",
    "答案是{0}。但是{0}是错的。",
    "答えは{0}。しかし{0}は間違い。",
    "الجواب لا يمكن أن يكون {}",
    "Đáp án không thể nào là {}.",
)
# What denies something else beside the answer.
HONEST_BESIDE = (
    "The number of pairs that are not equally likely is 7.",
    "The number of people who do not actually vote is 7.",
    "It is not immediately obvious, but the answer is 7.",
    "The answer is 7. Not surprisingly, 7 is prime.",
    "The answer is 7. But 7 is not even.",
    "The answer is 7. Note that 8 does not satisfy the equation.",
    "The answer is 7. 8 is wrong.",
    "Not all of them, in fact only 7.",
    "They are not the same, therefore 7.",
    "It is not 8. In fact, it is 7.",
    "It is not 8, actually 7.",
    "The smallest integer exceeding 6 is 7.",
    "The area under the curve is 7.",
    "So the answer is the least integer greater than 6.5, which is $\\boxed{7}$.",
    "The minimum is greater than 6, so the answer is $\\boxed{7}$.",
    "The answer cannot be 8, and therefore it is 7.",
    "The answer (not counting zero) is 7.",
    "No one doubts that the answer is 7.",
    "It is not hard to see that the answer is 7.",
    "It can't be denied that the answer is 7.",
    "Ich denke nicht, dass es 8 ist. Die Antwort ist 7.",
    "Soit x le nombre. La réponse est 7.",
    "La respuesta no es 8, sino 7.",
    "他们不会来，所以答案是7。",
    "정답은 7입니다. 8은 틀렸다.",
)


@pytest.mark.parametrize("form", DENIED_AT_LENGTH)
def test_a_denial_at_length_never_pays(form: str) -> None:
    assert accuracy({"completion": form.format("7"), "answer": "7"}).value == 0
    assert accuracy({"completion": form.format("(B)"), "answer": "B", "choices": ["red", "green"]}).value != 1


@pytest.mark.parametrize("completion", HONEST_BESIDE)
def test_what_denies_something_else_denies_no_answer(completion: str) -> None:
    verdict = accuracy({"completion": completion, "answer": "7"})
    assert verdict.value == 1, verdict.reason


@pytest.mark.parametrize("bound", ["over 7", "below $7$", "less than \\boxed{7}", "above \\boxed{7}"])
def test_a_bound_is_no_answer(bound: str) -> None:
    assert accuracy({"completion": f"So the answer is {bound}.", "answer": "7"}).value == 0
    assert accuracy({"completion": "So the answer exceeds 7.", "answer": "7"}).value == 0


def test_no_sign_between_two_numbers_pays_for_both() -> None:
    signs = [*"#@`´§¶†«»“”’°()[]{}|~_;:!?$%&\\\"'", ")(", ".)", ")]", "*)", ".:", ".*", "\\}", "\\quad"]
    forms = [f"6{sign}{space}7" for sign in signs for space in (" ", "")]
    said = [place.format(form) for place in (*EVERYWHERE, "The answer is {}.") for form in forms]
    assert [text for text in said if all(paid(text, one, {}, thorough=True) for one in "67")] == []


def test_signs_between_the_numbers_of_one_answer_pay() -> None:
    for text in ("90° - 45° = 45°", "5(9) = 45", "x = (2 + 7)(5) = 45", "$45$ (9 times 5)"):
        said = accuracy({"completion": f"The answer is {text}.", "answer": "45"})
        assert said.value == 1, said.reason


def test_the_number_of_a_list_s_item_is_no_answer() -> None:
    for place in ("\\boxed{6}", "#### 6", "The answer is 6."):
        text = f"1. {place}\n2. Therefore we are done."
        assert accuracy({"completion": text, "answer": "6"}).value == 1


def test_a_letter_in_brackets_is_a_label_before_it_is_an_option() -> None:
    elements = {"choices": ["Al", "Tl", "C", "B"]}
    assert accuracy({"completion": "The answer is (B).", "answer": "B", **elements}).value == 1
    assert accuracy({"completion": "The answer is (B).", "answer": "D", **elements}).value == 0


def test_a_text_that_breaks_off_names_no_option() -> None:
    text = (
        "The dose depends on the weight of the patient, on age and on whether the liver works, and so red or"
    )
    assert accuracy({"completion": text, "answer": "A", "choices": ["red", "green"]}).value == 0


def test_an_option_that_begins_with_no_takes_nothing_back() -> None:
    law = {"choices": ["Yes, because he saw it.", "No, because he did not.", "No, wait for the jury."]}
    said = "The answer is B. No, because he did not."
    assert accuracy({"completion": said, "answer": "B", **law}).value == 1
    assert accuracy({"completion": said, "answer": "B"}).value == 1
    assert (
        accuracy({"completion": "The answer is C. No, wait for the jury.", "answer": "C", **law}).value == 1
    )
    assert accuracy({"completion": "The answer is C. No, it is B.", "answer": "C", **law}).value == 0
    assert accuracy({"completion": "The answer is C. No, it is B.", "answer": "B", **law}).value == 1
