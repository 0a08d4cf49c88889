"""The pictures of the house and of a record's way through it, from the code: `just docs` writes them.

The house is drawn from docs/architecture.md, which a test compares with the source, and from what the
`__init__` of each room says. The record is a real one: it goes through the commands that stand in the
picture, with the backend that repeats its prompt, so that every machine draws the same.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH, MARGIN, GAP = 960, 20, 10
STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px; }
.paper { fill: #ffffff; } .floor { fill: #f0f2f7; } .room { fill: #ffffff; stroke: #8791ab; }
.text { fill: #1f2430; } .dim { fill: #565e73; } .new { fill: #0b6b3a; }
.name { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-weight: 600; }
.code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 11.5px; }
.head { font-weight: 600; font-size: 13px; } .line { stroke: #565e73; fill: none; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #1b1e28; } .floor { fill: #262a38; } .room { fill: #1b1e28; stroke: #7f8aa8; }
  .text { fill: #eceef5; } .dim { fill: #b3bacd; } .new { fill: #7fd9a6; } .line { stroke: #b3bacd; }
}
"""
PROBLEM = {"id": "q1", "prompt": "What is 3+4? It is 7.", "answer": "7"}
WAY = (
    ("prompts", "r1 prompts mine.jsonl"),
    ("generate", "r1 generate -m echo --backend echo -n 2"),
    ("score", "r1 score -r accuracy -r format"),
    ("filter", "r1 filter --keep correct"),
)
THEN = (
    ("sft, grpo, distill", "learn from it: a checkpoint"),
    ("eval, stats, show, report", "count it: figures, text, pages"),
)


def pictures() -> dict[Path, str]:
    """The text of each picture by its path."""
    return {IMAGES / "house.svg": house(), IMAGES / "record.svg": record()}


def house() -> str:
    """The rooms, floor by floor, each with what lives there; imports point down."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawing = page.partition("```\n")[2].partition("```")[0]
    purposes = dict(re.findall(r"^\| `([\w/]+)` \| ([^|]+) \|", page, re.MULTILINE))
    commands = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
    purposes["stages/*.py"] = "A file is a command: " + " ".join(commands).replace("_", "-")
    purposes["r1cli"] = "The program: options, streams, exit codes, progress"
    parts, top = [], MARGIN + 22
    for floor in drawing.strip().split("\n\n"):
        rows = [_rooms(line, purposes) for line in floor.splitlines()]
        start = top
        top += GAP
        boxes: list[str] = []
        for rooms, said in rows:
            if said:
                boxes.append(_text(MARGIN + GAP, top + 11, said[0].upper() + said[1:], "dim"))
                top += 18
            width = (WIDTH - 2 * MARGIN - GAP) / len(rooms) - GAP
            told = [textwrap.wrap(purposes[name].replace("`", ""), int((width - 16) / 6.5)) for name in rooms]
            height = 26 + 15 * max(map(len, told))
            for place, (name, lines) in enumerate(zip(rooms, told, strict=True)):
                left = MARGIN + GAP + place * (width + GAP)
                boxes.append(_box(left, top, width, height, "room"))
                parent, _, own = name.rpartition("/")
                shown = f"…/{own}" if parent in rooms[:place] else name
                boxes.append(_text(left + 8, top + 17, shown, "text name"))
                for number, line in enumerate(lines):
                    boxes.append(_text(left + 8, top + 33 + 15 * number, line, "dim"))
            top += height + GAP
        parts += [_box(MARGIN, start, WIDTH - 2 * MARGIN, top - start, "floor"), *boxes]
        top += GAP
    title = "The house: a room imports itself and rooms that stand below it"
    return _svg(title, top + MARGIN - GAP, parts)


def _rooms(line: str, purposes: dict[str, str]) -> tuple[list[str], str]:
    """The rooms of a line of the drawing, and what it says of them."""
    cells = re.split(r"\s{2,}", line.strip())
    rooms = [cell for cell in cells if cell in purposes]
    said = " ".join(cell for cell in cells if cell not in purposes)
    return rooms, "" if rooms[0] in ("r1cli", "stages/*.py") else said


def record() -> str:
    """A record's way: the commands, what each adds to the record, and the rooms that it works in."""
    parts: list[str] = []
    width = (WIDTH - 2 * MARGIN + 26) / len(WAY) - 26
    columns = list(_columns())
    height = 96 + 33 * max(len(fields) for _, _, fields, _ in columns)
    height += 16 * max(len(rooms) for _, _, _, rooms in columns) + 40
    top = MARGIN + 26
    for place, (name, command, fields, rooms) in enumerate(columns):
        left, at = MARGIN + place * (width + 26), top + 22
        parts.append(_box(left, top, width, height, "floor"))
        parts.append(_text(left + 10, at, name, "text name"))
        for line in textwrap.wrap(command, int((width - 16) / 7.1)):
            at += 17
            parts.append(_text(left + 10, at, line, "dim code"))
        at = top + 86
        parts.append(_text(left + 10, at, "adds" if place else "a record begins", "text head"))
        for field, value in fields:
            at += 18
            parts.append(_text(left + 10, at, field, "new name"))
            at += 15
            parts.append(_text(left + 18, at, value, "text code"))
        at = top + height - 16 * len(rooms) - 12
        parts.append(_text(left + 10, at, "works in the rooms", "text head"))
        for room in rooms:
            at += 16
            parts.append(_text(left + 10, at, room, "dim code"))
        if place:
            parts.append(_arrow(left - 24, top + 60, left - 4, top + 60))
    at = top + height + 30
    half = (WIDTH - 2 * MARGIN - GAP) / 2
    for place, (name, said) in enumerate(THEN):
        left = MARGIN + place * (half + GAP)
        parts.append(_arrow(left + half / 2, at - 28, left + half / 2, at - 4))
        parts.append(_box(left, at, half, 50, "floor"))
        parts.append(_text(left + 10, at + 21, name, "text name"))
        parts.append(_text(left + 10, at + 39, said, "dim"))
    return _svg("A record's way: each command adds fields and passes on the rest", at + 50 + MARGIN, parts)


def _columns() -> Iterator[tuple[str, str, list[tuple[str, str]], list[str]]]:
    """Each command of the way, the fields of one record that are new after it, and its rooms."""
    before: dict[str, Any] = {}
    line = json.dumps(PROBLEM)
    for name, command in WAY:
        words = [*command.replace("mine.jsonl", "-").split()[1:], "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "r1cli", *words], input=line, capture_output=True, text=True, check=True
        )
        line = done.stdout
        after = json.loads(line.splitlines()[0])
        fields = []
        for key, value in after.items():
            if key == "meta":
                fields.append((f"meta.{name}", _cut(", ".join(value[name]))))
            elif before.get(key) != value:
                inner = value.items() if isinstance(value, dict) else ()
                fields += [(f"{key}.{part}", _short(each)) for part, each in inner] or [(key, _short(value))]
        before = after
        yield name, command, fields, _used(name)


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(said: str, most: int = 27) -> str:
    return said if len(said) <= most else said[: most - 1] + "…"


def _used(stage: str) -> list[str]:
    """The rooms that a stage's file imports, but for those that every stage stands on."""
    tree = ast.parse((ROOT / "stages" / f"{stage}.py").read_text("utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stages."):
            path = ROOT.joinpath(*str(node.module).split("."))
            folder = path if path.is_dir() else path.parent
            found.add(folder.relative_to(ROOT / "stages").as_posix())
    return sorted(found - {"settings", "runtime", "."})


def _svg(title: str, height: float, parts: list[str]) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
            '<path d="M0,0 L6,3 L0,6" class="line"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height:g}" rx="8" class="paper"/>',
            _text(MARGIN, MARGIN + 8, title, "text head"),
            *parts,
            "</svg>\n",
        )
    )


def _box(left: float, top: float, width: float, height: float, kind: str) -> str:
    size = f'width="{width:g}" height="{height:g}"'
    return f'<rect x="{left:g}" y="{top:g}" {size} rx="5" class="{kind}"/>'


def _text(left: float, base: float, said: str, kind: str) -> str:
    return f'<text x="{left:g}" y="{base:g}" class="{kind}">{escape(said, quote=False)}</text>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:g},{y:g} L{to_x:g},{to_y:g}" class="line" marker-end="url(#tip)"/>'


def main() -> None:
    """Writes the pictures."""
    for path, text in pictures().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
