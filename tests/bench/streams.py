"""Records per second through the program, by a stage that does nothing, between two real pipes.

    python tests/bench/streams.py [RECORDS]

The stage costs what reading, one generator and writing cost: what `score` and `filter` cannot go below.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

LINE = (
    b'{"id":"gsm8k/17#3","group":"gsm8k/17","sample":3,"prompt":"What is 17 + 25?","answer":"42",'
    b'"completion":"<think> 17 + 25 = 42 </think> <answer>42</answer>","finish":"stop"}\n'
)


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    probes = Path(__file__).resolve().parent.parent / "probes"
    environment = {**os.environ, "R1_STAGES": str(probes)}
    for reader in (["cat"], ["head", "-n", str(count)]):
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "r1cli", "relay", "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        ) as stage:
            drain = subprocess.Popen(reader, stdin=stage.stdout, stdout=subprocess.DEVNULL)
            assert stage.stdin
            for _ in range(count // 1000):
                stage.stdin.write(LINE * 1000)
            stage.stdin.close()
            drain.wait()
        taken = time.perf_counter() - began
        print(f"into {reader[0]:5} {count / taken:9,.0f} records/s, start-up included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
