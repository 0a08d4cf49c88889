"""Edits of files that an answer gives, in the two forms that Aider asks for: whole files, or blocks to search
and replace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Form = Literal["whole", "diff"]
NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}")
QUOTED = re.compile(r"`([^`]+)`")
SEARCH = re.compile(r"<{5,9} SEARCH>?\s*")
DIVIDER = re.compile(r"={5,9}\s*")
REPLACE = re.compile(r">{5,9} REPLACE\s*")
FENCE = "```"
ABOVE = 3  # lines above a block among which the name of its file is looked for


class NoEdit(Exception):
    """An answer has no edit, or one that cannot be made: says which and why."""


def edited(answer: str, files: Mapping[str, str], form: Form) -> dict[str, str]:
    """The files with what an answer makes of them; files that it gives besides are among them.

    Raises NoEdit.
    """
    return _listed(answer, files) if form == "whole" else _replaced(answer, files)


def _listed(answer: str, files: Mapping[str, str]) -> dict[str, str]:
    """Of each file the last listing counts: its name in a line, and below it a block of code.

    Where no line is its name, the first block counts below words that quote it, or of the only file: what
    comes after shows how to call it.
    """
    named: dict[str, str] = {}
    guessed: dict[str, str] = {}
    block: list[str] | None = None
    before = above = ""  # the last line with words, and what it was where the block began

    def end(text: str) -> None:
        if (name := _named(above, files)) is not None:
            named[name] = text
        elif (name := _quoted(above, files) or _only(files)) is not None:
            guessed.setdefault(name, text)

    for line in answer.split("\n"):
        if line.startswith(FENCE):
            if block is None:
                above, block = before, []
            else:
                end("\n".join([*block, ""]))
                block = None
        elif block is not None:
            block.append(line)
        if line.strip():
            before = line
    if block is not None:  # cut off, or left open at the end
        end("\n".join(block).rstrip("\n") + "\n")
    if not named and not guessed:
        raise NoEdit(
            f"no listing of a file: its name, such as {next(iter(files))}, and a block of code below"
        )
    return {**files, **guessed, **named}


def _replaced(answer: str, files: Mapping[str, str]) -> dict[str, str]:
    """The files after all blocks, in their order."""
    made, lines = dict(files), answer.split("\n")
    name: str | None = _only(files)
    blocks, at = 0, 0
    while at < len(lines):
        if not SEARCH.fullmatch(lines[at]):
            at += 1
            continue
        above = [line for line in lines[max(0, at - ABOVE) : at] if not line.startswith(FENCE)]
        names = [one for line in above if (one := _named(line, files)) is not None]
        name = names[-1] if names else name
        if name is None:
            raise NoEdit("a SEARCH block without the name of a file in the line above it")
        divider = _next(lines, at, DIVIDER, "=======")
        end = _next(lines, divider, REPLACE, ">>>>>>> REPLACE")
        made[name] = _put(made.get(name, ""), lines[at + 1 : divider], lines[divider + 1 : end], name)
        blocks, at = blocks + 1, end + 1
    if not blocks:
        raise NoEdit("no SEARCH/REPLACE block")
    return made


def _next(lines: list[str], start: int, mark: re.Pattern[str], shown: str) -> int:
    for at in range(start + 1, len(lines)):
        if mark.fullmatch(lines[at]):
            return at
    raise NoEdit(f"a SEARCH block without its line {shown}")


def _put(content: str, wanted: list[str], given: list[str], name: str) -> str:
    """The content with the lines `given` in place of the first that are `wanted`, however far indented."""
    while wanted and not wanted[0].strip():
        wanted = wanted[1:]
    have = content.split("\n")
    if not wanted:
        return "\n".join([*(have[:-1] if have[-1] == "" else have), *given, ""])
    for form in (str, str.lstrip):
        at = _where([form(line) for line in have], [form(line) for line in wanted])
        if at is not None:
            put = given if form is str else _shifted(given, have[at], wanted[0])
            return "\n".join([*have[:at], *put, *have[at + len(wanted) :]])
    raise NoEdit(f"a SEARCH block that matches no lines of {name}: {wanted[0].strip()[:80]!r}")


def _where(have: list[str], wanted: list[str]) -> int | None:
    text, part = ("\n".join(["", *lines, ""]) for lines in (have, wanted))
    start = text.find(part)
    return None if start < 0 else text.count("\n", 0, start)


def _shifted(given: list[str], there: str, asked: str) -> list[str]:
    """The lines with the indentation of the line `there` where `asked` has its own."""
    own, right = (line[: len(line) - len(line.lstrip())] for line in (asked, there))
    return [right + line.removeprefix(own) if line.strip() else line for line in given]


def _named(line: str, files: Mapping[str, str]) -> str | None:
    """The file that a line names: one that is there, or a new one in the same folder."""
    said = line.strip().strip("*").rstrip(":").strip("`").lstrip("#").strip()
    if said in files:
        return said
    last = said.rpartition("/")[2]
    near = next((file for file in files if file.rpartition("/")[2] == last), None)
    if near is not None:
        return near
    return said if NAME.fullmatch(said) and "." in said.strip(".") else None


def _quoted(line: str, files: Mapping[str, str]) -> str | None:
    """The file that words quote, where it is one."""
    found = {said for said in QUOTED.findall(line) if said in files}
    return found.pop() if len(found) == 1 else None


def _only(files: Mapping[str, str]) -> str | None:
    return next(iter(files)) if len(files) == 1 else None
