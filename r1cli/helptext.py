"""Help as plain text, made from a stage's declaration. rich's panels would cost 60 ms on each `--help`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from stages.settings.options import FINITE, NATURAL

if TYPE_CHECKING:
    from r1cli.signature import Option, Stage

WIDEST_FLAGS = 30  # longer flags put their help on the next line
WIDEST_TEXT = 100


def width() -> int:
    """Columns that help may take."""
    return min(shutil.get_terminal_size().columns, WIDEST_TEXT)


def of_stage(stage: Stage, options: Sequence[Option], *, width: int) -> str:
    """Usage, what the stage does, its options by panel, and its examples."""
    arguments = [_argument_name(option) for option in stage.arguments]
    if stage.reads != "no":
        arguments.append("[FILE]...")
    first, _, rest = stage.text.partition("\n")
    usage = " ".join(["Usage: r1", stage.name, "[OPTIONS]", *arguments])
    parts = [usage, textwrap.fill(first, width)]
    parts += [_paragraph(text, width) for text in rest.strip().split("\n\n") if text.strip()]
    rows = [(_argument_name(option), option.help) for option in stage.arguments]
    if stage.reads != "no":
        rows.append(("[FILE]...", "Records: JSON Lines, also .gz or .zst. None, or -, is stdin."))
    left = _left_width([row[0] for row in rows] + [_flags(option) for option in options])
    if rows:
        parts.append(_section("Arguments", rows, left, width))
    for panel in dict.fromkeys(["Options", *(option.panel for option in options)]):
        lines = [(_flags(option), _meaning(option)) for option in options if option.panel == panel]
        if lines:
            about = stage.panels.get(panel, "")
            parts.append(_section(f"{panel}: {about}" if about else panel, lines, left, width))
    if stage.examples:
        parts.append("\n".join(["Examples", *(f"  {line}" for line in stage.examples)]))
    return "\n\n".join(parts) + "\n"


def of_program(text: str, sections: Iterable[tuple[str, Sequence[tuple[str, str]]]], *, width: int) -> str:
    """Usage, what the program is, and its commands with a line each."""
    parts = ["Usage: r1 COMMAND [OPTIONS] [FILE]...", *(text.split("\n\n"))]
    sections = [(title, rows) for title, rows in sections if rows]
    left = _left_width([row[0] for _, rows in sections for row in rows])
    parts += [_section(title, rows, left, width) for title, rows in sections]
    return "\n\n".join(parts) + "\n"


def _argument_name(option: Option) -> str:
    name = option.name.upper().replace("_", "-")
    name = name if option.required else f"[{name}]"
    return f"{name}..." if option.repeatable else name


def _flags(option: Option) -> str:
    short = [flag for flag in option.flags if not flag.startswith("--")]
    long = [flag for flag in option.flags if flag.startswith("--")]
    if option.base is bool and option.default is not False and "/" not in long[0]:
        long = [f"--[no-]{long[0].removeprefix('--')}", *long[1:]]
    text = ", ".join([*short, *long])
    indent = "" if short else "    "
    metavar = option.metavar if len(option.metavar) <= 20 else "NAME"
    return f"{indent}{text} {metavar}".rstrip()


def _meaning(option: Option) -> str:
    notes = []
    if option.choices and len(option.metavar) > 20:
        notes.append("one of " + ", ".join(option.choices))
    if option.aliases:
        notes.append("also " + ", ".join(option.aliases))
    if option.bounds not in (FINITE, NATURAL):  # that a size is not negative goes without saying
        notes.append(str(option.bounds))
    if option.required:
        notes.append("required")
    elif (default := _shown(option.default)) and option.base is not bool:
        notes.append(f"default: {default}")
    return " ".join([option.help, *(f"[{note}]" for note in notes)])


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return "" if default is None else str(default)


def _paragraph(text: str, width: int) -> str:
    indented = any(line.startswith((" ", "-", "*")) for line in text.splitlines())
    return text if indented else textwrap.fill(" ".join(text.split()), width)


def _left_width(cells: Sequence[str]) -> int:
    return max((len(cell) for cell in cells if len(cell) <= WIDEST_FLAGS), default=0)


def _section(title: str, rows: Sequence[tuple[str, str]], left: int, width: int) -> str:
    lines = [title]
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(width - left - 4, 24), break_on_hyphens=False) or [""]
        if len(name) > left:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{left}}  {wrapped.pop(0)}".rstrip())
        lines += [" " * (left + 4) + line for line in wrapped]
    return "\n".join(lines)
