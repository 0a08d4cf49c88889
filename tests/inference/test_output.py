"""A stop text ends a completion whatever tokens it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from dialects import backend, tokenizer

from stages.inference.encoding import decode
from stages.inference.interface import Completion, Request
from stages.inference.output import OutputProcessor
from stages.records import templates
from stages.records.record import Record
from stages.settings.groups import Sampling


def drawn(found: Any, ids: list[int], *, limit: int = 99, **sampling: Any) -> Completion:
    """The completion that ends somewhere in `ids`, which are drawn one by one."""
    processor = OutputProcessor(found, backend(found).ends, 999, Sampling(max_tokens=limit, **sampling))
    rendered = templates.load("none").render(Record(prompt="Hello"))
    sequence = processor.start(Request(0, rendered, (0,), (0,)), 0, found("Hello")["input_ids"], "")
    for token in ids:
        processor.take(sequence, token, -1.0)
        if sequence.finish:
            break
    return processor.completion(sequence)


@pytest.mark.parametrize("family", ["chatml", "gemma", "mistral"])
@pytest.mark.parametrize("stop", ["🤔", "é", " ", "\n\n", "好", "b ", " a", "</think>", "x = 1"])
def test_a_stop_text_of_any_tokens_ends_the_completion_with_its_last(family: str, stop: str) -> None:
    found = tokenizer(family)
    text = "\n12," + ("b" if stop != "\n\n" else "") + stop + "more"
    ids = found.encode(text, add_special_tokens=False)
    made = drawn(found, ids, stop=(stop,))
    text = found.decode([0, *ids]).removeprefix("<unk>")  # some begin with a space
    assert (made.text, made.finish) == (text[: text.find(stop)], "stop")
    needed = next(n for n in range(len(ids) + 1) if stop in found.decode([0, *ids[:n]]))
    assert len(made.completion_ids) == needed, "not a token more is drawn"


@pytest.mark.parametrize("family", ["chatml", "gemma", "mistral"])
def test_a_stop_text_that_the_limit_completes_is_cut_off(family: str) -> None:
    found = tokenizer(family)
    ids = found.encode("a🤔", add_special_tokens=False)
    made = drawn(found, ids, limit=len(ids), stop=("🤔",))
    assert (made.text.strip(), made.finish) == ("a", "stop")
    made = drawn(found, ids[:-1], limit=len(ids) - 1, stop=("🤔",))
    assert made.finish == "length"


def test_a_stop_text_at_the_very_beginning_is_seen() -> None:
    found = tokenizer("mistral")
    ids = found.encode("Hello there", add_special_tokens=False)
    assert drawn(found, ids, stop=(" Hello",)).text == ""
    assert len(drawn(found, ids, stop=(" ",)).completion_ids) == 1


def test_a_closer_stays_and_a_stop_text_goes() -> None:
    found = tokenizer("mistral")
    rendered = replace(templates.load("none").render(Record(prompt="a")), stop=("👨‍👩‍👧",))
    processor = OutputProcessor(found, frozenset(), 999, Sampling(max_tokens=99))
    sequence = processor.start(Request(0, rendered, (0,), (0,)), 0, [3], "")
    for token in found.encode("x 👨‍👩‍👧 y", add_special_tokens=False):
        processor.take(sequence, token, None)
        if sequence.finish:
            break
    assert processor.completion(sequence).text == " x 👨‍👩‍👧"


@pytest.mark.parametrize("family", ["chatml", "gemma", "mistral"])
@pytest.mark.parametrize("before", ["ሰላም" * 9, "é" * 30, "𠮷" * 9, "é" + "ሰ𠮷" * 7])
def test_a_stop_text_in_a_long_row_of_bytes_is_seen(family: str, before: str) -> None:
    """Wherever in the row the text is looked for, which is the beginning of a sign only by chance."""
    found = tokenizer(family)
    for more in ("", "é", "éé", "ሰ", "𠮷"):
        ids = found.encode("a" + before + more + "ጀ" + before, add_special_tokens=False)
        made = drawn(found, ids, limit=999, stop=("ጀ",))
        assert (made.text.strip(), made.finish) == ("a" + before + more, "stop")
        assert found.decode(made.completion_ids).endswith("ጀ"), "not a token more is drawn"


@pytest.mark.parametrize("family", ["chatml", "gemma", "mistral"])
@pytest.mark.parametrize("asked", ["naïve 𠮷", "𠮷𠮷", "ሰላም", "b", " "])
def test_an_answer_of_bytes_after_a_prompt_of_bytes_is_read(family: str, asked: str) -> None:
    """They are one row of bytes to the tokenizer, and a row that begins within a sign shows none."""
    found = tokenizer(family)
    prompt = found.encode(asked, add_special_tokens=False)
    for text in ("𠮷 bread", "é", "ሰላም", "b"):
        both = found.encode("b" + text, add_special_tokens=False)
        ids = both[len(found.encode("b", add_special_tokens=False)) :]
        assert found.decode(prompt + ids).endswith(asked.strip() + text)
        assert decode(found, prompt, ids) == text
