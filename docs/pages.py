"""Write docs/stages/NAME.md from the help of each stage: `just docs`, or `python docs/pages.py`.

tests/test_docs.py fails where a page is missing or differs, so the pages say what the program does.
"""

from __future__ import annotations

from pathlib import Path

from r1cli import helptext
from r1cli.command import common_options
from r1cli.main import BUILT_IN, discover, load

DOCS = Path(__file__).resolve().parent
WIDTH = 88
# The page that explains a stage, where it is not called as the stage is.
ELSEWHERE = {"sft": "training", "grpo": "training", "distill": "training", "report": "training"}
ELSEWHERE |= {"score": "rewards", "export": "records"}


def pages() -> dict[Path, str]:
    """The text of each page by its path, for every stage of the tree."""
    found = {}
    for name, path in discover().items():
        if path.parent == BUILT_IN:
            stage = load(name, path)
            options = (*stage.options, *common_options(stage))
            text = helptext.of_stage(stage, options, width=WIDTH)
            page = ELSEWHERE.get(name, name)
            more = f"More: [{page}](../{page}.md).\n\n" if (DOCS / f"{page}.md").is_file() else ""
            found[DOCS / "stages" / f"{name}.md"] = f"# r1 {name}\n\n{more}```text\n{text}```\n"
    return found


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
