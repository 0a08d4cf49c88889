"""How long `r1 --help` and each `r1 STAGE --help` take, beside `python -c pass`. Budget: a median of 150 ms.

    python tests/bench/startup.py [RUNS]

Bytecode is written before the clock starts, as an installation would; the commands take turns, so that a
busy moment of the machine falls on all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from r1cli.main import discover

BUDGET = 0.150  # seconds


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of one run, from fork to exit."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    program = [sys.executable, "-m", "r1cli"]
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "r1 --help": [*program, "--help"]}
    commands |= {f"r1 {name} --help": [*program, name, "--help"] for name in discover()}
    for command in commands.values():
        seconds(command, environment)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            times[name].append(seconds(command, environment))
    for name, taken in times.items():
        median, fastest = statistics.median(taken), min(taken)
        late = "  over the budget" if median > BUDGET else ""
        print(f"{name:24} median {median * 1e3:4.0f} ms   fastest {fastest * 1e3:4.0f} ms{late}")
    return int(any(statistics.median(taken) > BUDGET for taken in times.values()))


if __name__ == "__main__":
    sys.exit(main())
