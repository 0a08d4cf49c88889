"""A record as a person reads it: what was asked, thought and answered, what it got, and where it is from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from stages.language.identification import languages
from stages.language.thinking import split_thinking
from stages.overview.values import clipped, is_number, mean, number, short
from stages.records.lengths import tokens_of
from stages.records.record import Record, group_of, object_of, place_of
from stages.records.turns import in_words, turns_of, words_of
from stages.runtime import shown
from stages.runtime.errors import BadInput
from stages.runtime.results import Look, Styled

# Shown in places of their own, or of no use to a person.
PLACED = frozenset(
    ["id", "prompt", "completion", "prefill", "answer", "rewards", "reasons", "reward", "finish", "lang",
     "meta", "group", "sample", "dropped", "prompt_ids", "completion_ids", "logprobs", "policy_logprobs"]
)  # fmt: skip
UNTOLD = ("version", "tokens", "prompt_tokens")  # of `meta`
LANGUAGES = 3  # named of a text
CORRECT = 0.5  # the reward for accuracy from which a completion is correct


def of_record(record: Record, fold: int) -> Iterator[Styled]:
    """All of it; of the thinking at most `fold` characters, its beginning and its end, 0 for all."""
    yield title(record)
    yield from problem(record)
    yield from said(record, fold)
    yield from judged(record)
    yield from _about(record)
    yield Styled("\n")


def title(record: Record) -> Styled:
    """The record's name, and its place where that says more."""
    name, place = short(record.get("id", "no id")), shown.line(place_of(record))
    return Styled(f"== {name}{f' ({place})' if record.place else ''} ==\n", "title")


def problem(record: Record) -> Iterator[Styled]:
    """The prompt, turn by turn where it has several, and the reference."""
    if "prompt" in record:
        yield from _section("Prompt", asked(record))
    if record.get("answer") not in (None, ""):
        answer = record["answer"]
        yield from _section("Reference", answer if isinstance(answer, str) else _json(answer))


class Said(NamedTuple):
    """A completion's parts. `first` stands before the thinking, which is None where there is none;
    `ended` says whether the thinking was closed.
    """

    first: str
    thinking: str | None
    answer: str
    ended: bool


def parts(record: Record) -> Said:
    """What the completion of a record consists of, its template's beginning included."""
    text, prefill = words(record), record.get("prefill")
    prefill = prefill if isinstance(prefill, str) else ""
    thinking, answer = split_thinking(text, prefill)
    first, opened, _ = (prefill + text).partition("<think>")
    return Said(first.strip() if opened else "", thinking, answer, "</think>" in text)


def said(record: Record, fold: int) -> Iterator[Styled]:
    """What stands before the thinking, the thinking, and the answer."""
    if "completion" not in record:
        return
    first, thinking, answer, ended = parts(record)
    if first:
        yield from _section("First", first)
    if thinking is not None:
        yield from _section("Thinking", folded(thinking.strip(), fold), "dim")
    if answer.strip():
        yield from _section("Answer", answer)
    else:
        yield Styled("Answer\n", "name")
        open_end = thinking is not None and not ended
        yield Styled("(none: the thinking does not end)\n" if open_end else "(none)\n", "bad")


def folded(text: str, most: int) -> str:
    """`text` without its middle where it has more than `most` characters; 0 leaves it whole."""
    if not most or len(text) <= most:
        return text
    head, tail = text[: (most + 1) // 2].rstrip(), text[len(text) - most // 2 :].lstrip()
    left = len(text) - len(head) - len(tail)
    return f"{head}\n[… {left} characters more; --fold 0 shows them …]\n{tail}"


def judged(record: Record) -> Iterator[Styled]:
    """The reward, and each of its parts with the reason for it."""
    rewards, reasons = object_of(record.get("rewards")), object_of(record.get("reasons"))
    if "reward" in record:
        yield Styled(f"Reward: {number(record['reward'])}\n", look_of(record["reward"]))
    for name, value in rewards.items():
        why = f"  {short(reasons[name])}" if reasons.get(name) not in (None, "") else ""
        yield Styled(f"  {short(name)}: {number(value)}{why}\n", look_of(value))
    for name in reasons.keys() - rewards.keys() if rewards else reasons:
        yield Styled(f"  {short(name)}: {short(reasons[name])}\n")
    if record.get("dropped") is not None:
        yield Styled(f"Dropped: {short(record['dropped'])}\n", "bad")


def verdict(record: Record) -> str:
    """The rewards with their reasons in one line, the least first."""
    rewards, reasons = object_of(record.get("rewards")), object_of(record.get("reasons"))

    def order(name: str) -> tuple[float, bool]:
        return rewards[name] if is_number(rewards[name]) else math.inf, not reasons.get(name)

    names = sorted(rewards, key=order)
    told = [
        f"{short(name)} {number(rewards[name])}  {short(reasons.get(name) or '')}".rstrip() for name in names
    ]
    if not told and "reward" in record:
        told = [f"reward {number(record['reward'])}"]
    return "; ".join(told)


def together(batch: list[Record], kept: list[Record], fold: int) -> Iterator[Styled]:
    """The problem of a `batch` once, and the completions `kept` of it below."""
    said_of = "completion" if len(batch) == 1 else "completions"
    average = mean(batch)
    reward = "" if average is None else f", mean reward {number(average)}"
    yield Styled(f"== {short(group_of(batch[0]))}: {len(batch)} {said_of}{reward} ==\n", "title")
    yield from problem(batch[0])
    for record in kept:
        yield Styled("\n")
        yield title(record)
        yield from said(record, fold)
        yield from judged(record)
    yield Styled("\n")


def is_wrong(record: Record) -> bool:
    """Whether the completion is wrong: by `accuracy` where it was judged so, else by its least reward."""
    rewards = {name: value for name, value in object_of(record.get("rewards")).items() if is_number(value)}
    if "accuracy" in rewards:
        return bool(rewards["accuracy"] < CORRECT)
    if not rewards and is_number(record.get("reward")):
        return bool(record["reward"] <= 0)
    return bool(rewards) and min(rewards.values()) <= 0


def look_of(value: Any) -> Look:
    """Above 0 is good, null is neither."""
    if not is_number(value):
        return "dim"
    return "good" if value > 0 else "bad"


def _section(name: str, text: str, look: Look = "plain") -> Iterator[Styled]:
    yield Styled(f"{name}\n", "name")
    yield Styled(shown.block(text.strip("\n")).rstrip() + "\n", look)


def asked(record: Record) -> str:
    """The prompt's words; roles, reasoning and calls where it is more than a text."""
    if isinstance(record["prompt"], str):
        return record["prompt"]
    try:
        turns = turns_of(record)
    except BadInput:  # shown as it is
        return _json(record["prompt"])
    told = []
    for turn in turns:
        told.append(f"[{turn['role']}] {words_of(turn)}".rstrip())
        more = [key for key in ("reasoning_content", "tool_calls") if turn.get(key)]
        told += [f"[{key}] {_text(turn[key])}" for key in more]
    return "\n".join(told)


def words(record: Record) -> str:
    """The completion in words, or as JSON where it has none."""
    try:
        completion = in_words(record)["completion"]
    except BadInput:
        completion = record["completion"]
    return _text(completion)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _about(record: Record) -> Iterator[Styled]:
    """Its length, its language, what no other line says, and where it comes from."""
    if "completion" in record:
        text = words(record)
        tokens, finish = tokens_of(record), record.get("finish")
        cut = " (cut off)" if finish == "length" else ""
        length = [] if tokens is None else [f"{tokens} tokens{cut}"]
        yield Styled(f"Length: {', '.join([*length, f'{len(text)} characters'])}\n")
        if finish is not None:
            yield Styled(f"Finish: {short(finish)}\n")
        found = languages(text, "")
        shares = [f"{code} {count / found.total():.0%}" for code, count in found.most_common(LANGUAGES)]
        asked = f"; asked for {short(record['lang'])}" if record.get("lang") else ""
        yield Styled(f"Language: {', '.join(shares).replace('%', ' %') or 'no words'}{asked}\n")
    other = [f"{short(name)} {short(value)}" for name, value in record.items() if name not in PLACED]
    if other:
        yield Styled(f"Fields: {', '.join(other)}\n", "dim")
    for stage, entry in object_of(record.get("meta")).items():
        yield Styled(f"From {short(stage)}: {clipped(_origin(entry), 400)}\n", "dim")


def _origin(entry: Any) -> str:
    """What one stage wrote into `meta`, without what is nothing."""
    if not isinstance(entry, dict):
        return short(entry)
    told = [name for name, value in entry.items() if name not in UNTOLD and value not in (None, [], "")]
    return ", ".join(f"{short(name)} {short(entry[name])}" for name in told)
