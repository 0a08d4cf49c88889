"""Suites: names of several benchmarks that are measured together, as `r1 eval -b NAME` takes them."""

from __future__ import annotations

from collections.abc import Iterable

SUITES: dict[str, tuple[str, ...]] = {
    # The table of arXiv 2501.12948, in its order, as far as there are prompts here (docs/benchmarks.md).
    "paper": (
        *("mmlu", "mmlu_redux", "mmlu_pro", "drop", "ifeval", "gpqa", "simpleqa", "frames"),
        *("alpaca_eval", "arena_hard", "livecodebench", "codeforces", "swe_bench", "aider"),
        *("aime24", "math500", "cnmo", "cluewsc", "ceval", "c_simpleqa"),
    ),
    "maths": ("aime24", "aime25", "amc", "cnmo", "math500", "gsm8k", "mgsm"),
    "code": (
        *("humaneval", "mbpp", "humaneval_plus", "mbpp_plus", "livecodebench", "codeforces", "swe_bench"),
        "aider",
    ),
    "knowledge": (
        *("mmlu", "mmlu_redux", "mmlu_pro", "gpqa", "arc", "ceval", "cluewsc"),
        *("simpleqa", "c_simpleqa", "frames"),
    ),
    "safety": ("xstest", "harmbench", "bbq", "do_not_answer"),
}


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """The names with each suite's in its place, once each."""
    return tuple(dict.fromkeys(each for name in names for each in SUITES.get(name, (name,))))
