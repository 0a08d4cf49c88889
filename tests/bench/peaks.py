"""Peak memory of each rank while it loads, trains and saves, beside what `--dry-run` says.

    python tests/bench/peaks.py [MODEL [RANKS]]

Two updates of sft on a CPU under each stage of ZeRO; MODEL is a checkpoint, by default SmolLM2-135M, RANKS 2.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from models import smollm2
from peaks import GIB, learned, line, measured, planned

WAYS: dict[str, tuple[str, ...]] = {
    "neither option": (),
    "`--zero 1`": ("--zero", "1"),
    "`--zero 2`": ("--zero", "2"),
    "`--zero 3`": ("--zero", "3"),
    "`--zero 3 --offload all`": ("--zero", "3", "--offload", "all"),
}


def main() -> None:
    """Prints a row of a table for each way, as soon as it is measured."""
    model = Path(sys.argv[1]) if sys.argv[1:] else smollm2()
    ranks = int(sys.argv[2]) if sys.argv[2:] else 2
    print("| | plan | loading | training | saving | seconds |\n|---|---|---|---|---|---|")
    for name, flags in WAYS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            given = line(model, learned(folder), "--nproc", ranks, *flags)
            plan = planned([*given, "-o", folder / "planned"])
            found = measured([*given, "-o", folder / "out"], folder / "peaks", ranks)
        phases = (max(rank[phase] for rank in found.ranks) for phase in ("load", "train", "save"))
        figures = [f"{size / GIB:.2f}" for size in (plan, *phases)]
        print(f"| {name} | {' | '.join(figures)} | {found.seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
