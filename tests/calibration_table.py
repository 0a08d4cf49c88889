"""A made-up table of AlpacaEval's form: its own is CC-BY-NC-4.0 and not here."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

COLUMNS = ("model", "preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline")


def write(path: Path, instructions: int = 805, seed: int = 3) -> Path:
    """A verbose and a concise rewrite of a baseline, judged on each instruction."""
    rng = random.Random(seed)
    hard = [rng.gauss(-0.3, 1.6) for _ in range(instructions)]
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for model, middle, own in (("verbose", -0.9, 0.2), ("concise", 0.9, -0.3)):
            for index, gamma in enumerate(hard):
                apart = rng.gauss(middle, 0.7)
                logit = 2 * (-1.6 * math.tanh(apart) + 0.8 * gamma + own + rng.gauss(0, 2))
                rows.writerow([model, 1 / (1 + math.exp(-logit)), index, apart, gamma, False])
    return path
