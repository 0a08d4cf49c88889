"""What counts as a word, and as a word of a language."""

from __future__ import annotations

import itertools
import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.language import identification, letters, prose, tables
from stages.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("words", "lang", "share"),
    [
        ("we add three and four", "en", 1.0),
        ("we add 三加四", "en", 2 / 5),
        ("we add 三加四", "zh-CN", 3 / 5),
        ("3+4=7", "en", None),
        ("x = 3, y = 4", "en", None),
        ("`for x in y` and $\\frac{three}{four}$", "en", 1.0),
        ("まず三と四を足します", "ja", 1.0),
        ("まず三と四を足します", "zh", 0.0),
        ("先算三加四", "ja", 0.0),
        ("Сначала сложим числа", "ru", 1.0),
        ("blorp", "en", 1.0),
        ("First we add the numbers. Dann teilen wir das durch zwei.", "en", 5 / 11),
        ("First we add the numbers. Dann teilen wir das durch zwei.", "de", 6 / 11),
    ],
)
def test_share_of_the_words_in_a_language(words: str, lang: str, share: float | None) -> None:
    expected = None if share is None else pytest.approx(share)
    assert identification.language_share(words, lang) == expected


FULL_WIDTH = {k: k + 0xFEE0 for k in range(33, 127)}
BRACKETS = (
    "<>", "‹›", "«»", "“”", "‘’", "()", "[]", "{}", "（）", "「」", "『』", "【】", "《》", "〈〉", "⟨⟩",
    "``", "$$", "**", "__",
    "||", ("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("\\text{", "}"), ("$\\text{", "}$"), ("```\n",
    "\n```"), ("</", ">"),
    ("<a>", "</a>"), ("<!--", "-->"), ("https://a/", ""), ("\\", ""), ("```python\n# ", ""), ("\u200b",
    "\u200b"), ("\u202e", "\u202c"),
)  # fmt: skip


@pytest.mark.parametrize("pair", BRACKETS, ids=range(len(BRACKETS)))
def test_no_brackets_hide_words_of_another_script(pair: Sequence[str]) -> None:
    begins, ends = pair
    for words in (
        "我们先算三加四",
        "сначала",
        "まず",
        "먼저",
        "أولا",
        "ሰላም",
        "පළමුව",
    ):
        said = f"We add all the numbers {begins}{words}{ends} and get seven"
        assert (identification.language_share(said, "en") or 0) < 1, said


def test_every_letter_of_unicode_is_of_some_language() -> None:
    """But for the Latin alphabet's own signs and the letters that formulas are written in."""
    unseen = set()
    for point in range(0x370, 0x110000):
        letter = chr(point)
        said = letters.plain(letter * 8)
        if unicodedata.category(letter)[0] == "L" and said and tables.word().search(said) is None:
            unseen.add(letter)
    assert unseen <= set("ℲℵℶℷℸⅎↃↄͺ\u0374𝟊𝟋"), unseen


def test_letters_in_another_dress_are_of_their_language() -> None:
    said = "wir addieren die Zahlen und teilen das durch zwei"
    bold = {ord(c): 0x1D400 + k for k, c in enumerate(string.ascii_uppercase)}
    bold |= {ord(c): 0x1D41A + k for k, c in enumerate(string.ascii_lowercase)}
    ringed = {ord(c): 0x24D0 + k for k, c in enumerate(string.ascii_lowercase)}
    for dressed in (
        said.translate(FULL_WIDTH), said.translate(bold), said.translate(ringed),
        "\u00ad".join(said), "\u200b".join(said), "".join(c + "\u0332" for c in said),
    ):  # fmt: skip
        assert identification.languages(dressed, "en")["de"] >= 8, dressed
    assert identification.languages(unicodedata.normalize("NFD", "Сколько это стоит"), "ru") == {"ru": 3}


def test_formulas_have_no_words_but_those_of_other_scripts() -> None:
    assert (
        identification.language_share("so $\\alpha+\\beta$, $α$ and `x = velocity` with 5 µm, ℝ, 1º", "en")
        == 1
    )
    assert identification.language_share("the <b>sum</b> of <br> two <numbers>", "en") == 1
    assert identification.languages("<zuerst> <addieren> <wir> <alle> <zahlen>", "en").total() == 5


def test_a_cut_formula_is_prose_in_no_time() -> None:
    """A formula that --max-tokens cuts off, and one that never closes."""
    cut = "The product is $" + "\\frac{1}{2}\\cdot\\frac{2}{3}\\cdot" * 4000
    for said in (cut, "$\\$" * 50_000, "\\(" * 50_000, "$$" * 50_000, "`" * 100_001):
        assert (identification.language_share(said, "en") or 0) >= 0


def test_mixing_is_the_rest_of_the_share() -> None:
    assert identification.mixing("we add 三加四", "en") == pytest.approx(3 / 5)
    assert identification.mixing("3+4", "en") is None


def test_a_language_there_is_not_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no language 'xx'"):
        identification.language_share("hello there", "xx")


@given(st.text(max_size=300), st.sampled_from(["en", "de", "zh", "ja", "th", "fi"]))
def test_a_share_is_between_0_and_1(words: str, lang: str) -> None:
    share = identification.language_share(words, lang)
    assert share is None or 0 <= share <= 1


def test_code_and_paragraphs_are_measured() -> None:
    assert prose.code_share("ab```cd```") == pytest.approx(8 / 10)
    assert prose.code_share("plain") == 0
    assert identification.longest_paragraph("one two\n\none two three\n \nfour") == 3


@pytest.mark.parametrize("lang", ["bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"])
def test_word_problems_are_in_their_own_language(data: Path, lang: str) -> None:
    lines = (data / "language" / f"mgsm_{lang}.tsv").read_text("utf-8").splitlines()
    questions = [line.split("\t")[0] for line in lines]
    right = sum(identification.language_of(question) == lang for question in questions)
    shares = [identification.language_share(question, lang) or 0.0 for question in questions]
    assert right / len(questions) >= 0.99
    assert sum(shares) / len(shares) >= 0.99


MONOLINGUAL = {
    "en": "She had three apples and gave one to her brother. How many are left?",
    "zh": "小明有三个苹果，给了弟弟一个。还剩几个？",
    "ja": "花子さんはりんごを三つ持っていて、弟に一つあげました。残りはいくつですか。",
    "ko": "영희는 사과 세 개를 가지고 있었는데 동생에게 한 개를 주었습니다. 몇 개가 남았나요?",
    "fr": "Elle avait trois pommes et en a donné une à son frère. Combien lui en reste-t-il ?",
    "de": "Sie hatte drei Äpfel und gab ihrem Bruder einen. Wie viele bleiben ihr?",
    "es": "Tenía tres manzanas y le dio una a su hermano. ¿Cuántas le quedan?",
    "ru": "У неё было три яблока, одно она отдала брату. Сколько осталось?",
    "ar": "كان لديها ثلاث تفاحات وأعطت واحدة لأخيها. كم بقي معها؟",
    "hi": "उसके पास तीन सेब थे और उसने एक अपने भाई को दे दिया। कितने बचे?",
    "vi": "Cô ấy có ba quả táo và cho em trai một quả. Hỏi còn lại bao nhiêu quả?",
    "th": "เธอมีแอปเปิลสามลูกและให้น้องชายหนึ่งลูก เหลือกี่ลูก",
    "it": "Aveva tre mele e ne ha data una a suo fratello. Quante gliene restano?",
    "pt": "Ela tinha três maçãs e deu uma ao irmão. Com quantas ficou?",
    "sw": "Alikuwa na matufaa matatu na akampa kaka yake moja. Amebaki na mangapi?",
}


@pytest.mark.parametrize("lang", MONOLINGUAL)
def test_a_text_is_wholly_in_its_language_and_in_no_other(lang: str) -> None:
    assert identification.language_of(MONOLINGUAL[lang]) == lang
    for other in MONOLINGUAL:
        assert (identification.language_share(MONOLINGUAL[lang], other) or 0) == (lang == other), other


@given(st.data())
def test_the_share_of_a_mixture_is_what_went_into_it(draw: st.DataObject) -> None:
    first, second = draw.draw(
        st.lists(st.sampled_from(sorted(MONOLINGUAL)), min_size=2, max_size=2, unique=True)
    )
    counts = [draw.draw(st.integers(1, 4)) for _ in range(2)]
    words = [identification.languages(MONOLINGUAL[lang], lang).total() for lang in (first, second)]
    mixture = " ".join([MONOLINGUAL[first]] * counts[0] + [MONOLINGUAL[second]] * counts[1])
    share = counts[0] * words[0] / (counts[0] * words[0] + counts[1] * words[1])
    assert identification.language_share(mixture, first) == pytest.approx(share, abs=0.05)


def test_a_language_that_changes_within_a_sentence_is_seen() -> None:
    words = "First we add the numbers of all the apples und dann teilen wir das alles durch die zwei Kinder"
    assert identification.language_share(words, "en") == pytest.approx(9 / 19, abs=0.06)


def test_names_and_prices_are_no_words_of_another_language() -> None:
    assert identification.language_share("Carla 正在下载 200 GB 的文件，Janet 付了 $5 和 $6。", "zh") == 1
    assert identification.language_share(
        "Она купила iPhone и DVD за $80,000, потом ещё за $50.", "ru"
    ) == pytest.approx(1, abs=0.13)


@pytest.mark.parametrize(
    "pair",
    ["en-zh", "zh-en", "en-de", "fr-es", "de-fr", "es-en", "ru-en", "ja-zh", "th-en", "sw-en"],
)
def test_the_mixing_share_of_word_problems_is_within_five_points(data: Path, pair: str) -> None:
    first, second = pair.split("-")
    # The other rows are what the costs of a change were chosen on.
    problems = {
        lang: [
            line.split("\t")[0]
            for line in (data / "language" / f"mgsm_{lang}.tsv").read_text("utf-8").splitlines()
        ][::2]
        for lang in (first, second)
    }
    for k in range(0, 120, 6):
        mine, theirs = problems[first][k : k + 3], problems[second][k + 3 : k + 6]
        for share in ((mine, theirs[:1]), (mine[:1], theirs), (mine, theirs)):
            counts = [sum(identification.languages(each).total() for each in part) for part in share]
            mixed = [each for pair in itertools.zip_longest(*share) for each in pair if each]
            found = identification.language_share(" ".join(mixed), first)
            assert found == pytest.approx(counts[0] / sum(counts), abs=0.05), mixed
