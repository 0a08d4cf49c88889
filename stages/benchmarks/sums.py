"""Sums of two numbers, made on the spot: problems, and a noisy corpus of worked ones.

A problem belongs to the test split by a digest of its numbers, so no training problem is ever tested.
With `worked=noisy` each problem comes with a completion as a base model's corpus might have it: right
or wrong, with or without thinking, in English, in Chinese or in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from stages.records.record import Record, digest, seed_of
from stages.runtime.errors import UsageError

SPLITS = ("train", "test")
REWARDS = ("accuracy",)
SAMPLES = 16
TEST_SHARE = 10  # one problem in ten is for testing

WORDS = {"en": (" plus ", " is ", ", "), "zh": ("加", "得", "，")}


def problems(
    *,
    split: str = "test",
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    digits: int = 2,
    worked: str = "none",
) -> Iterator[Record]:
    """Distinct problems in an order that `seed` names, `limit` of them or all there are.

    `worked` is none, clean (a right chain in English) or noisy (the corpus of a base model, in which
    a problem may come again with another text).
    """
    if worked == "noisy" and limit is None:
        raise UsageError("worked=noisy has no end: `r1 prompts --limit N sums` takes so many")
    if worked not in ("none", "clean", "noisy"):
        raise UsageError(f"worked={worked}: choose none, clean or noisy")
    if not 1 <= digits <= 6:
        raise UsageError(f"digits={digits}: choose 1 to 6")
    rng = random.Random(seed_of("sums", split, seed, digits))
    low, high = (10 ** (digits - 1) if digits > 1 else 0), 10**digits - 1
    seen: set[tuple[int, int]] = set()
    size = (high - low + 1) ** 2
    made = misses = 0
    while (limit is None or made < limit) and misses < 20 * size:
        pair = rng.randint(low, high), rng.randint(low, high)
        again = pair in seen and worked != "noisy"
        if again or (int(digest("sums", *pair), 16) % TEST_SHARE == 0) != (split == "test"):
            misses += 1
            continue
        misses = 0
        seen.add(pair)
        made += 1
        a, b = pair
        name = f"sums-{a}+{b}" + (f"-{made}" if worked == "noisy" else "")
        record = Record(id=name, prompt=f"{a}+{b}=?", answer=str(a + b), lang="en", kind="sums")
        if worked != "none":
            record["completion"] = example(a, b, rng) if worked == "noisy" else chain(a, b, ["en"])
        yield record


def chain(a: int, b: int, languages: list[str], slip: random.Random | None = None) -> str:
    """A worked sum, digit by digit from the right, each step in the next of `languages`.

    With `slip`, one step goes wrong.
    """
    x, y = str(a)[::-1], str(b)[::-1]
    steps = max(len(x), len(y))
    wrong = slip.randrange(steps) if slip else -1
    carry = 0
    said: list[str] = []
    result = ""
    for i in range(steps):
        plus, equals, comma = WORDS[languages[i % len(languages)]]
        parts = [*x[i : i + 1], *y[i : i + 1]] + (["1"] if carry else [])
        total = sum(map(int, parts))
        if slip and i == wrong:
            total = max(0, total + slip.choice((-2, -1, 1, 2)))
        said.append(plus.join(parts) + equals + str(total) + (comma if i < steps - 1 else ""))
        carry, digit = divmod(total, 10)
        result = str(digit) + result
    result = (str(carry) if carry else "") + result
    return f"<think>{''.join(said)}</think><answer>{result}</answer>"


def example(a: int, b: int, rng: random.Random) -> str:
    """One text of the noisy corpus."""
    kind = rng.random()
    if kind < 0.50:  # no thinking, and the answer is a guess as often as not
        guess = a + b + rng.choice((0, 0, 0, 1, -1, 10, -10, 2, -2, 9))
        return f"<answer>{max(guess, 0)}</answer>" if rng.random() < 0.7 else str(max(guess, 0))
    languages = rng.choice((["en"], ["en"], ["zh"], ["en", "zh"], ["zh", "en"]))
    text = chain(a, b, languages, rng if rng.random() < 0.45 else None)
    if rng.random() < 0.15:  # forgets to say that it is done thinking, or to mark the answer
        text = rng.choice((text.replace("</think>", " "), text.replace("<answer>", "")))
    return text
