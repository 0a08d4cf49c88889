"""What a GPU must show before it is trusted: equality with the CPU, speed beside TRL, memory, kills, guards.

    python tests/gpu/kit.py [--size smallest|quick|full] [--only SECTION]... [--minutes N] [--again]

Each part of a section runs in a process of its own, so that a failure ends no other part; at the smallest
size most share one. What it finds goes to WORK/SIZE-DEVICE.jsonl, and the page is written from there. A part
that is done with the same code is not run again, so the kit can be run in several calls: `--minutes` begins
no part after so many. Exit code 1 where a part failed or missed its bound, 3 where parts are left for another
call.

Nothing need be installed but torch and transformers; docs/gpu.md says how to bring the rest as wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from page_of_gpu import TITLE, page
from sizes import SIZES, Size

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FAILED, LEFT = 1, 3  # exit codes


def groups(size: Size) -> Iterator[list[str]]:
    """The parts of the kit in their order, SECTION/NAME; those of a group share a process."""
    equality = ["equality/float32", "equality/bfloat16", "equality/architectures"]
    speed = [(model, dtype) for model in size.models for dtype in size.speeds]
    ours = [f"speed/{model}-{dtype}-r1" for model, dtype in speed]
    theirs = [f"speed/{model}-{dtype}-trl" for model, dtype in speed]
    first = ["machine/facts", *equality, "runs/guards"]
    rest = ["runs/resume", "zero/stages"]
    if size.together:
        yield [*first, *ours, "lengths/rows"]
        yield from [[part] for part in (*rest, *theirs)]
    else:
        paired = [part for pair in zip(ours, theirs, strict=True) for part in pair]
        yield from [[part] for part in (*first, *rest, *paired, "lengths/rows")]


def run(parts: list[str], given: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """The rows that parts found, in a process of their own; of a part that failed, a row says why."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")]),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        rows, said = Path(folder) / "rows.jsonl", Path(folder) / "said"
        line = [
            sys.executable, str(HERE / "part.py"), given.size, device, str(given.work), str(rows), *parts
        ]  # fmt: skip
        begun = time.monotonic()
        with open(said, "wb") as stream:
            try:
                code: int | str = subprocess.run(
                    line, stdout=stream, stderr=stream, env=environment, cwd=folder, check=False,
                    stdin=subprocess.DEVNULL, timeout=SIZES[given.size].limit,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired as late:
                code = f"not done after {late.timeout:.0f} s"
        found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
        last = said.read_text("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {code}"]
        error = code if isinstance(code, str) else last[0]
        done = {row["part"] for row in found if "seconds" in row}
        spent = round(time.monotonic() - begun, 1)
        for part in parts:
            if part not in done:
                failed = {"name": "the part itself", "figure": "", "ok": False, "note": error[:300]}
                found += [{"part": part, **failed}, {"part": part, "seconds": spent}]
                spent = 0.0
        return found


def code() -> str:
    """A digest of the program and the kit: what was measured with another is measured again."""
    made = hashlib.sha256()
    for folder in (ROOT / "stages", ROOT / "r1cli", HERE):
        for path in sorted(folder.rglob("*.py")):
            made.update(path.read_bytes())
    return made.hexdigest()[:12]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), help="full on a GPU, smallest on a CPU")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="the GPU where there is one")
    parser.add_argument("--only", action="append", metavar="SECTION", help="or SECTION/NAME; repeatable")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "gpu", help="models and results")
    parser.add_argument("--page", type=Path, help="docs/gpu.md, on a CPU WORK/SIZE-DEVICE.md")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin no part after so many")
    parser.add_argument("--again", action="store_true", help="also what is done already")
    return parser.parse_args()


def has_gpu() -> bool:
    """Asked of another process, so that this one never holds the device."""
    asked = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def tell(rows: list[dict[str, Any]]) -> None:
    """A line for each row."""
    for row in rows:
        told = "ok" if row.get("ok") else "FAILED"
        end = f"{row['seconds']} s" if "seconds" in row else f"{row['figure']} {row['note']}  {told}"
        print(f"{row['part']}  {row.get('name', 'done')}  {end}", flush=True)


def main() -> int:
    given = arguments()
    device = given.device or ("cuda" if has_gpu() else "cpu")
    given.size = given.size or ("full" if device == "cuda" else "smallest")
    given.work = given.work.resolve()
    given.work.mkdir(parents=True, exist_ok=True)
    name = f"{given.size}-{device}"
    results, version = given.work / f"{name}.jsonl", code()
    held = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    held = [row for row in held if row["code"] == version]
    bad = {row["part"] for row in held if not row.get("ok", True)}
    done = {row["part"] for row in held if "seconds" in row} - bad
    begun, left = time.monotonic(), []
    order: list[str] = []
    for group in groups(SIZES[given.size]):
        order += group
        asked = [part for part in group if given.again or part not in done]
        if given.only:
            wanted = (*given.only, "machine")
            asked = [part for part in asked if part in wanted or part.partition("/")[0] in wanted]
        if asked and time.monotonic() - begun > 60 * given.minutes:
            left += asked
        elif asked:
            made = [{**row, "code": version} for row in run(asked, given, device)]
            held = [row for row in held if row["part"] not in asked] + made
            results.write_text("".join(json.dumps(row) + "\n" for row in held))
            tell(made)
    held.sort(key=lambda row: order.index(row["part"]))
    usual = ROOT / "docs" / "gpu.md" if device == "cuda" else given.work / f"{name}.md"
    target = given.page or usual
    head = target.read_text("utf-8").partition(TITLE)[0] if target.exists() else ""
    target.write_text(head + page(held, given.size), "utf-8")
    failed = [row for row in held if not row.get("ok", True)]
    for part in left:
        print(f"{part}  left for another call")
    print(f"{sum('ok' in row for row in held)} rows, {len(failed)} failed -> {target}")
    return FAILED if failed else LEFT if left else 0


if __name__ == "__main__":
    sys.exit(main())
