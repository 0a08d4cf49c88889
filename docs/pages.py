"""Write docs/stages/NAME.md, and the table of rewards, from the code: `just docs`, or `python docs/pages.py`.

tests/house/test_docs.py fails where a page is missing or differs, so the pages say what the program does.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from r1cli import helptext
from r1cli.command import common_options
from r1cli.main import BUILT_IN, discover, load
from stages.scoring import spec

DOCS = Path(__file__).resolve().parent
WIDTH = 88
# The page that explains a stage, where it is not called as the stage is.
ELSEWHERE = {"sft": "training", "grpo": "training", "distill": "training", "report": "training"}
ELSEWHERE |= {"score": "rewards", "export": "records", "ask": "generate", "convert": "after-training"}
ELSEWHERE |= {"stats": "show"}


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


def rewards() -> dict[Path, str]:
    """docs/rewards.md with its table as the code says it."""
    page = DOCS / "rewards.md"
    before, begin, rest = page.read_text("utf-8").partition("| rule | value |")
    _, end, after = rest.partition("\n\n")
    rows = [begin + " null | options |", "|---|---|---|---|", *map(_row, spec.names())]
    return {page: before + "\n".join(rows) + end + after}


def _row(name: str) -> str:
    module = importlib.import_module(f"stages.rewards.{name}")
    function = getattr(module, name)
    value = (module.__doc__ or "").partition("\n")[0]
    said = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    null = [each for each in re.split(r"(?<=[.;]) ", said) if re.search("[Nn]ull", each)]
    cells = (f"`{name}`", value, " ".join(null).replace(";", "."), ", ".join(_options(function)))
    return "| " + " | ".join(cells).replace("  ", " ") + " |"


def _options(function: Callable[..., Any]) -> Iterator[str]:
    """Each option with its default, or the values that it may have, the default first."""
    for name, option in spec.declared(function).items():
        default = inspect.signature(function).parameters[option.group or name].default
        if option.group:
            default = getattr(default, name)
        kind = get_args(option.type)[0] if get_origin(option.type) is Annotated else option.type
        values = list(get_args(kind)) if get_origin(kind) is Literal else []
        if values:
            values = [default, *(each for each in values if each != default)]
        elif default not in (inspect.Parameter.empty, None, ""):
            values = [str(default).lower() if isinstance(default, bool) else default]
        yield f"`{name}=" + "\\|".join(map(str, values)) + "`"


def main() -> None:
    for path, text in {**pages(), **rewards()}.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
