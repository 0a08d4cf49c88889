"""A completion cut into its thinking and its answer."""

from __future__ import annotations

from typing import NamedTuple


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
    # Thinking that begins again takes the answer back, since it never ends.
    _, opened, more = answer.partition("<think>")
    return Parts(f"{thinking}\n{more}", "") if opened else Parts(thinking, answer)
