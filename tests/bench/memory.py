"""Memory of `r1 score` over the length of its input: it streams, so a hundred times the records must take no
more.

    python tests/bench/memory.py [SMALL LARGE]

GSM8K-like completions of score.py, one in ten of them for the computer algebra. Prints the most memory that
one process of the run had in each case (the program itself, or a worker), and the difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import orjson
from score import completions

DISTINCT = 2000


def most(count: int) -> tuple[float, float]:
    """MiB of the largest process, and seconds, of a run over `count` records."""
    made = completions(DISTINCT)
    for k in range(0, DISTINCT, 10):
        made[k] |= {"completion": f"so \\boxed{{{k}x + {k + 1}}}", "answer": f"{k + 1}+{k}x"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "r1cli", "score", "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    for k in range(count):
        process.stdin.write(orjson.dumps({**made[k % DISTINCT], "id": f"{k}#0"}) + b"\n")
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"r1 score failed: {status}")
    return usage.ru_maxrss / 1024, time.monotonic() - start


def main() -> None:
    """Prints both cases and what lies between them."""
    small, large = (int(each) for each in sys.argv[1:3]) if sys.argv[1:] else (10_000, 1_000_000)
    sizes = []
    for count in (small, large):
        size, seconds = most(count)
        sizes.append(size)
        print(
            f"{count:,} records: {size:.1f} MiB at most, {count / seconds:,.0f} a second",
            flush=True,
        )
    print(f"difference: {sizes[1] - sizes[0]:+.1f} MiB")


if __name__ == "__main__":
    main()
