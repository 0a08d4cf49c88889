"""Parts of the kit, as kit.py starts them: part.py SIZE DEVICE WORK ROWS SECTION/NAME..."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from finding import Bench, Row
from sizes import SIZES

MODULES = {
    "machine": "machine", "equality": "equality", "speed": "speed", "lengths": "lengths", "zero": "runs",
    "runs": "runs",
}  # fmt: skip


def main() -> None:
    size, device, work, rows, *parts = sys.argv[1:]
    with open(rows, "w", encoding="utf-8") as stream:

        def write(**row: Any) -> None:
            stream.write(json.dumps(row) + "\n")
            stream.flush()

        for part in parts:
            section, _, name = part.partition("/")
            folder = Path.cwd() / part.replace("/", "-")
            folder.mkdir()
            begun = time.monotonic()
            found: Row
            for found in importlib.import_module(MODULES[section]).rows(
                name, Bench(SIZES[size], device, Path(work), folder)
            ):
                write(part=part, **found._asdict())
            shutil.rmtree(folder)
            write(part=part, seconds=round(time.monotonic() - begun, 1))


if __name__ == "__main__":
    main()
