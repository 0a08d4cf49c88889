"""What stands between marks is what the lazy patterns of the leaderboard's program find."""

from __future__ import annotations

import random
import re

from stages.grading.leaderboard.javascript import _pairs
from stages.grading.leaderboard.spans import between, end_of_rows, pairs

PIECES = ("[", "]", ",", ", ", ":", " ", "\n", "add(", ")", 'put("', '",', "a", "1", "new ", "{", "}", "\t")
ROWS = re.compile(r"\[\s*\[.*?\]\s*(,\s*\[.*?\]\s*)*\]")


def test_marks_are_found_as_lazy_patterns_find_them() -> None:
    rng = random.Random(7)
    for _ in range(10_000):
        text = "".join(rng.choices(PIECES, k=rng.randint(0, 14)))
        assert list(between(text, re.compile(r"add\("), ")", least=1)) == re.findall(r"add\((.+?)\)", text)
        assert list(between(text, re.compile(r"\["), "]")) == re.findall(r"\[(.*?)\]", text)
        put = pairs(text, re.compile(r"put\(\""), re.compile(r"\",\s*"), ")")
        assert list(put) == re.findall(r"put\(\"(.*?)\",\s*(.*?)\)", text)
        line = text.replace("\n", "\t")
        assert list(_pairs(line)) == re.findall(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)", line)
        rows, found = f"[[{text}]]", ROWS.match(f"[[{text}]]")
        assert end_of_rows(rows, 2, "]") == (found.end() if found else -1)
