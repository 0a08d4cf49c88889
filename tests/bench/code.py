"""How many tests `code` runs in a second: HumanEval, programs with 20 tests each, and C++ compiled once for
20.

    python tests/bench/code.py [RECORDS]

Prints tests per second with one worker and with one for each core, and the cost of one run in the box: the
time that passed, and processor time of all processes, where this machine lets a group be made that counts it.
Other load changes the first, and hardly the second. HumanEval is left out where R1_DATA, or shared/data
beside the repository, does not have it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sys
import time
from pathlib import Path

from stages.records.record import Record
from stages.runtime.threads import cores
from stages.sandbox.box import PYTHON, Box, Task, compiler
from stages.scoring.scorer import Scorer

ADD = "a, b = map(int, input().split())\nprint(a + b)"
ADD_CPP = "#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b; }"
TESTS = [{"input": f"{k} {k * k}", "output": str(k + k * k)} for k in range(20)]


def humaneval(count: int) -> list[Record]:
    """Canonical solutions; a problem is one test, a `check` with some seven asserts."""
    root = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get("R1_DATA") or root.parent / "shared" / "data")
    path = data / "code" / "HumanEval.jsonl.gz"
    if not path.is_file():
        return []
    with gzip.open(path) as stream:
        rows = [json.loads(line) for line in stream]
    return [Record(row, completion=row["canonical_solution"]) for row in rows[:count]]


class Meter:
    """Seconds that pass, and seconds of processor of this process and all that it starts."""

    def __init__(self) -> None:
        self.folder = Path(f"/sys/fs/cgroup/cpuacct/r1-bench-{os.getpid()}")
        self.counts = False
        with contextlib.suppress(OSError):
            self.folder.mkdir()
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))
            self.counts = True
        self.start()

    def start(self) -> None:
        """From now on."""
        self.passed, self.used = time.perf_counter(), self._used()

    def each(self, count: int) -> tuple[float, str]:
        """Seconds since the start, and what one of `count` took of the processors, in words."""
        passed = time.perf_counter() - self.passed
        used = (self._used() - self.used) / count
        return passed, f", {used * 1000:.1f} ms of processor each" if self.counts else ""

    def close(self) -> None:
        """Leaves the group, and removes it."""
        if self.counts:
            (self.folder.parent / "cgroup.procs").write_text(str(os.getpid()))
            for _ in range(100):
                with contextlib.suppress(OSError):  # the last one in it is ending
                    return self.folder.rmdir()
                time.sleep(0.1)

    def _used(self) -> float:
        return int((self.folder / "cpuacct.usage").read_text()) / 1e9 if self.counts else 0.0


def main() -> None:
    meter = Meter()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with Box() as box:
        box.probe()
        for name, argv in (
            ("true", ("/bin/true",)),
            ("python", (PYTHON, "-I", "-S", "-B", "-c", "")),
        ):
            meter.start()
            for _ in range(count):
                box.run(Task(argv))
            seconds, cost = meter.each(count)
            print(f"one run of {name}: {seconds / count * 1000:.1f} ms{cost}")
    sets = {
        "HumanEval": (humaneval(count), 1),
        "Python, 20 tests": ([Record(tests=TESTS, completion=f"```python\n{ADD}\n```")] * (count // 4), 20),
    }  # fmt: skip
    if compiler():
        block = f"```cpp\n{ADD_CPP}\n```"
        sets["C++, 20 tests"] = ([Record(tests=TESTS, completion=block)] * (count // 4), 20)
    for name, (records, each) in sets.items():
        for workers in sorted({1, cores()}):
            if not records:
                continue
            with Scorer(["code"], workers=workers) as scorer:
                list(scorer.score(records[:1] * workers))  # starts workers and boxes
                meter.start()
                right = sum(record["reward"] == 1 for record in scorer.score(records))
                tests = len(records) * each
                seconds, cost = meter.each(tests)
            rate = f"{tests / seconds:.1f} tests/s with {workers} workers{cost}"
            print(f"{name}: {rate}, {right} of {len(records)} right")
    meter.close()


if __name__ == "__main__":
    main()
