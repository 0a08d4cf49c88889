"""What a run looks like: `just pictures` records a terminal and takes a picture of the report page.

    python docs/site/recording.py

A small model is made and trained in a folder that is deleted afterwards, in two or three minutes. Writes
docs/images/terminal.svg, the commands of SHOWN with what they print, and docs/images/report.png,
the page of the run in a headless Chromium where there is one.
"""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from fcntl import ioctl
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
COLUMNS, ROWS = 100, 40
LONGEST = "300"  # seconds of one command: one that waits for keys is an error
BEFORE = """
r1 init -q -o fresh --hidden 96 --layers 2 > made
r1 prompts -q sums --split train --set worked=clean -n 6500 \
  | r1 sft -q -m fresh -o base -t none --epochs 1 --lr 4e-3 --batch 16 > made
r1 prompts -q sums --split train -n 100 -o problems.jsonl
"""
SHOWN = (
    "r1 generate -m base -t none -n 4 --max-tokens 64 problems.jsonl | r1 score > scored.jsonl",
    "r1 show --where 'rewards.accuracy == 0' -n 1 scored.jsonl",
    "r1 stats --field rewards --field tokens --field pass_rate scored.jsonl > figures.jsonl",
    "r1 grpo -q -m base -o zero -t none --steps 30 -n 8 --problems 16 --lr 1e-4 --max-tokens 64 \\\n"
    "    --eval sums --eval-limit 50 --eval-every 10 problems.jsonl && r1 report zero > figures.jsonl",
)
PAGE = "r1 report zero scored.jsonl --html page.html > figures.jsonl"
FONT = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
WAITING = re.compile(r"\x1b\[\?25[lh]")
PLACES = re.compile(r"(\r\n|\r|\n|\x1b\[\d*A|\x1b\[[012]?K)")


def main() -> None:
    """Makes the run and both pictures."""
    sys.path.insert(0, str(ROOT / "tests"))
    from browser import CHROMIUM, Browser  # Chromium by its own protocol, as the tests of the page have it

    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        _run(BEFORE, here)
        shown = "".join(
            f"\x1b[1;32m$\x1b[0m \x1b[1m{code}\x1b[0m\n{terminal(code, here)}\n" for code in SHOWN
        )
        (IMAGES / "terminal.svg").write_text(drawing(shown.rstrip("\n")), "utf-8")
        if not CHROMIUM:
            print("no Chromium here: report.png stays as it is", file=sys.stderr)
            return
        _run(PAGE, here)
        with Browser(width=1200, height=900) as browser:
            browser.open(here / "page.html")
            browser.until("traces.texts.length === traces.count")
            browser.picture(IMAGES / "report.png")


def terminal(code: str, folder: Path) -> str:
    """What a command leaves on a terminal of 100 columns, with its colours. Raises where it fails."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**_environment(), "PAGER": "", "TERM": "xterm-256color"}
    words = ["timeout", "--foreground", LONGEST, "bash", "-euo", "pipefail", "-c", code]
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # all writers have left the terminal
            break
    os.close(ours)
    if process.wait():
        raise RuntimeError(f"{code}\n{said.decode()}")
    return left(said.decode())


def left(said: str) -> str:
    """The lines that are left when a terminal has followed the cursor: up, to the start, lines wiped."""
    lines, row = [""], 0
    fresh = False  # at the start of a line, which the next text replaces
    for part in PLACES.split(WAITING.sub("", said)):
        if part in ("\n", "\r\n"):
            row, fresh = row + 1, True
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            fresh = True
        elif part.startswith("\x1b[") and part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part.startswith("\x1b[") and part.endswith("K"):
            lines[row] = ""
        elif part:
            lines[row] = part if fresh else lines[row] + part
            fresh = False
    return "\n".join(lines).rstrip("\n") + "\n"


def drawing(said: str) -> str:
    """Text with its colours as SVG, in a font that the reader's machine has."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="256")
    console.print(Text.from_ansi(said))
    form = FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "ui-monospace, DejaVu Sans Mono")
    return console.export_svg(title="r1", unique_id="r1", code_format=form)


def _run(code: str, folder: Path) -> None:
    words = ["bash", "-euo", "pipefail", "-c", code]
    subprocess.run(words, cwd=folder, env=_environment(), check=True, stdin=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path}


if __name__ == "__main__":
    main()
