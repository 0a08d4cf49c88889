"""What counts as thinking."""

from __future__ import annotations

from stages.language.thinking import split_thinking


def test_thinking_is_cut_from_the_answer() -> None:
    assert split_thinking("<think>a</think> b") == ("a", " b")


def test_a_prefilled_tag_counts_as_written() -> None:
    assert split_thinking("a</think> b", "<think>\n") == ("\na", " b")


def test_without_tags_all_is_answer() -> None:
    assert split_thinking("it is 7") == (None, "it is 7")


def test_thinking_that_never_closes_leaves_no_answer() -> None:
    assert split_thinking("it is 7", "<think>\n") == ("\nit is 7", "")


def test_the_last_closing_tag_ends_the_thinking() -> None:
    assert split_thinking("<think>a</think>b</think>c") == ("a</think>b", "c")
