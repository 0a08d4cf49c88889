"""Decontamination on labelled problems: what each rule finds of a benchmark's near-copies, and what it drops
besides.

    python tests/bench/decontamination.py [FOLDER OF DATA]

MATH's training problems against MATH-500. A near-copy is at least 0.9 like a problem of the benchmark
(difflib's ratio of characters); a problem that is less than 0.6 like each of them, but shares 8 successive
words with one, has boilerplate in common. What lies between is counted apart. The rules of open-r1 and
datatrove are those of their scripts, as published.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stages.selection.decontamination import TOKEN, Overlap

COPY, OTHER = 0.9, 0.6
WRAPPED = "Solve the problem and put the answer into a box.\n\n{}\n\nThink step by step, then answer."


def grams(words: list[str], n: int) -> set[str]:
    return {" ".join(words[k : k + n]) for k in range(len(words) - n + 1)}


def open_r1(text: str) -> set[str]:
    """scripts/decontaminate.py: words between spaces, in lower case; eight in a row."""
    return grams(text.lower().split(), 8)


def datatrove(text: str) -> set[str]:
    """NGramsDecontConfig(find_query_ngrams=True): no punctuation, all numbers 0; twelve words in a row."""
    text = re.sub(r"[^\w\s]|_", "", text.lower())
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return grams(re.sub(r"\d+", "0", text).split(), 12)


def by_grams(cut: Callable[[str], set[str]], benchmark: Iterable[str]) -> Callable[[str], bool]:
    known = set[str]().union(*map(cut, benchmark))
    return lambda text: not known.isdisjoint(cut(text))


def likeness(benchmark: list[str], problems: list[str]) -> Iterator[float]:
    """How like each problem is to the likest of the benchmark, where that is `OTHER` or more; else 0."""
    cut = [grams(TOKEN.findall(text.lower()), 4) for text in benchmark]
    having: dict[str, list[int]] = {}
    for number, each in enumerate(cut):
        for gram in each:
            having.setdefault(gram, []).append(number)
    for text in problems:
        best = 0.0
        near = {n for gram in grams(TOKEN.findall(text.lower()), 4) for n in having.get(gram, ())}
        for number in near:
            match = difflib.SequenceMatcher(None, benchmark[number], text, autojunk=False)
            least = max(best, OTHER)
            if match.real_quick_ratio() > least and match.quick_ratio() > least:
                best = max(best, match.ratio())
        yield best if best >= OTHER else 0.0


def main() -> int:
    folder = (
        Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[3] / "shared" / "data") / "math"
    )
    benchmark = [json.loads(line)["problem"] for line in (folder / "math500.jsonl").open()]
    problems = [row["problem"] for row in json.loads((folder / "math_train.json").read_text())]
    like = list(likeness(benchmark, problems))
    copies = {k for k, ratio in enumerate(like) if ratio >= COPY}
    named = [(text, str(number)) for number, text in enumerate(benchmark)]
    print(f"{len(problems)} problems, {len(copies)} of them near-copies of one of {len(benchmark)}")
    print(
        f"{'rule':22} dropped  copies found  like 0.6-0.9  boilerplate  precision  recall  in a prompt      s"
    )
    for name, make in (
        ("open-r1, 8 words", lambda: by_grams(open_r1, benchmark)),
        ("datatrove, 12 words", lambda: by_grams(datatrove, benchmark)),
        ("r1 --ngram 13", lambda: Overlap(named, 13).find),
        ("r1 --overlap 0.65", lambda: Overlap(named).find),
    ):
        began = time.perf_counter()
        rule = make()
        found = {k for k, text in enumerate(problems) if rule(text)}
        taken = time.perf_counter() - began
        right, wrong = len(found & copies), sum(like[k] < OTHER for k in found)
        wrapped = sum(bool(rule(WRAPPED.format(text))) for text in benchmark)
        precision, recall = right / (right + wrong), right / len(copies)
        print(
            f"{name:20} {len(found):7} {right:7} {len(found) - right - wrong:8} {wrong:12} {precision:10.2f}"
            f" {recall:7.2f} {wrapped:7}/{len(benchmark)} {taken:6.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
