"""Pictures of the page of `r1 report --html` for docs/, made from the demo's runs in headless Chromium.

    python tests/bench/pictures.py [FOLDER [IMAGES]]

Run it where `just demo` was run: FOLDER is what that wrote, runs/demo by default, and IMAGES docs/images.
Each part is taken light and dark, as `report-PART.png` and `report-PART-dark.png`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import CHROMIUM, Browser

from stages import report

RUNS = ("zero", "dev2")
EVALUATIONS = ("base", "student", "zero")
LARGEST = 200_000  # bytes of a picture
TOP = "document.getElementById('%s').scrollIntoView();"
SET = (
    "(() => { const s = document.getElementById('%s');"
    " s.value = %s; s.dispatchEvent(new Event('input'%s)); })();"
)
BUBBLES = ", {bubbles: true}"
# What is shown of the page, and how high.
PARTS = {
    "curves": (SET % ("smoothing", "0.6", "") + TOP % "curves", 760),
    "evaluations": (TOP % "evaluations", 850),
    "completions": (
        "heat.by = 'logprob'; openWrong(); document.activeElement.blur();"
        + SET % ("by-language", "traces.words.indexOf('en')", BUBBLES),
        760,
    ),
    "data": (TOP % "data", 620),
}


def main() -> None:
    """Writes the pictures, and says how large they are."""
    given = [Path(each) for each in sys.argv[1:]]
    folder, images = [*given, *(Path("runs/demo"), Path("docs/images"))[len(given) :]]
    runs = [folder / name for name in RUNS]
    files = [folder / "eval" / f"{name}.jsonl" for name in EVALUATIONS]
    missing = [path for path in (*runs, *files) if not path.exists()]
    if missing or not CHROMIUM:
        print(f"no {missing[0]}: `just demo` makes it" if missing else "no Chromium here: no pictures")
        return
    with tempfile.TemporaryDirectory() as name:
        page = Path(name) / "page.html"
        report.run((*runs, *files), html=page)
        for part, (script, height) in PARTS.items():
            for dark in (False, True):
                path = images / f"report-{part}{'-dark' * dark}.png"
                _take(page, script, height, dark, path)
                size = path.stat().st_size
                print(f"{path.name}: {size / 1000:.0f} kB{', too large' * (size > LARGEST)}")


def _take(page: Path, script: str, height: int, dark: bool, path: Path) -> None:
    with Browser(width=1120, height=height, dark=dark) as browser:
        browser.open(page)
        browser.until("traces.texts.length === traces.count", 60)
        browser.run(script)
        time.sleep(1)  # charts are drawn when they come into view
        browser.picture(path)


if __name__ == "__main__":
    main()
