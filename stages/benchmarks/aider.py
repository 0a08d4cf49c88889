"""Aider polyglot: 225 exercises in six languages, 34 in Python, solved by edits of files in two tries."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stages.formats.sources import FOLDER, parts_of
from stages.records.notes import Notes
from stages.records.record import Record
from stages.runtime import text_file
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.runtime.text_file import INSIDE

SPLITS = ("test",)
REWARDS = ("aider",)
SAMPLES = 1
LANGUAGES = {"cpp": "C++", "go": "Go", "java": "Java", "javascript": "JavaScript", "python": "Python",
             "rust": "Rust"}  # fmt: skip
HERE = "python"  # the language whose tests can be run here
FORMS = ("whole", "diff")
MOST = 10  # tries
FOLDERS = ("code/polyglot-benchmark", "polyglot-benchmark", "")
CLONE = "git clone https://github.com/Aider-AI/polyglot-benchmark"
LEFT = "left out, as the tests of other languages than Python cannot be run here; aider:rust gives Rust's"
WHOLE = f"take the authors' repository as it is: {CLONE}"
BUILD = ("CMakeLists.txt", "Cargo.toml")  # among an exercise's files, and not the model's to write
ASKED = (
    "Solve this exercise in {language} by an edit of {names}.\n\n{task}\n\n{files}\n\n"
    "Do not rename functions or classes: tests refer to them. Use the standard library alone.\n{form}"
)
ANSWERED = {
    "whole": (
        "Give the whole content of each file that you change: its name in a line of its own, and below it a "
        "block of code, so:\n\n{name}\n```\nall lines of the file\n```"
    ),
    "diff": (
        "Give each change as a block in this form, below a line with the name of its file. What stands "
        "between SEARCH and ======= must be lines of the file as they are:\n\n{name}\n```\n"
        "<<<<<<< SEARCH\nlines of the file\n=======\nlines in their place\n>>>>>>> REPLACE\n```"
    ),
}


def problems(
    *,
    task: str = "",
    split: str = "test",
    data: Path | None = None,
    tries: int = 2,
    edit_format: str = "whole",
) -> Iterator[Record]:
    """Records of one language, as in `aider:rust`; of Python without one. The exercises are Exercism's, MIT.

    A failed completion is shown what its tests said, up to `tries` of them. `edit_format` is whole or diff.
    Raises UsageError for what is no language, format or number of tries, Unavailable without the exercises.
    """
    return _problems(Notes(), task, data=data, tries=tries, edit_format=edit_format)


def declared(task: str) -> dict[str, Any]:
    """The same problems, with a note on those left out."""
    notes = Notes()
    return {"notes": notes, "problems": partial(_problems, notes, task)}


def _problems(
    notes: Notes,
    task: str,
    *,
    split: str = "test",
    data: Path | None,
    tries: int = 2,
    edit_format: str = "whole",
) -> Iterator[Record]:
    if edit_format not in FORMS:
        raise UsageError(f"edit_format={edit_format}: choose {' or '.join(FORMS)}")
    if not 1 <= tries <= MOST:
        raise UsageError(f"tries={tries}: choose 1 to {MOST}")
    (language,) = parts_of("aider", task or HERE, LANGUAGES)
    return _posed(_root(data), language, tries, edit_format, () if task else LANGUAGES, notes)


def _root(data: Path | None) -> Path:
    """Where the authors' repository is."""
    folder = str(data) if data is not None else os.environ.get(FOLDER, "")
    places = [Path(folder) / inner for inner in FOLDERS] if folder else []
    for place in places:
        if any((place / language / "exercises" / "practice").is_dir() for language in LANGUAGES):
            return place
    raise Unavailable(
        f"no exercises of Aider polyglot, which need no licence: let {FOLDER} name a folder that holds "
        "polyglot-benchmark",
        install=CLONE,
    )


def _posed(
    root: Path, language: str, tries: int, edit_format: str, beside: Collection[str], notes: Notes
) -> Iterator[Record]:
    """The exercises of a language; those of the others `beside` it are noted."""
    for other in beside:
        for folder in _folders(root, other) if other != language else ():
            notes.add(LEFT, Record(place=str(folder)))
    found = _folders(root, language)
    if not found:
        raise BadInput(f"no exercises in {language}", place=str(root), remedy=WHOLE)
    for folder in found:
        yield _exercise(folder, language, tries, edit_format)


def _folders(root: Path, language: str) -> list[Path]:
    return sorted((root / language / "exercises" / "practice").glob("*/"))


def _exercise(folder: Path, language: str, tries: int, edit_format: str) -> Record:
    config = folder / ".meta" / "config.json"
    try:
        named: Any = json.loads(_text(config))["files"]
        solution, test, editor = ([*named.get(key, [])] for key in ("solution", "test", "editor"))
        good = all(isinstance(each, str) and INSIDE.fullmatch(each) for each in (*solution, *test, *editor))
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    names = [each for each in solution if each not in BUILD] if good else []
    if not names:
        raise BadInput("does not name the exercise's files", place=str(config), remedy=WHOLE)
    files = {name: _text(folder / name) for name in names}
    docs = [
        folder / ".docs" / f"{each}.md" for each in ("introduction", "instructions", "instructions.append")
    ]
    shown = "\n\n".join(f"{name}\n```\n{text.rstrip()}\n```" for name, text in files.items())
    prompt = ASKED.format(
        language=LANGUAGES[language],
        names=", ".join(names),
        task="\n\n".join(_text(each).strip() for each in docs if each.is_file() or each == docs[1]),
        files=shown,
        form=ANSWERED[edit_format].format(name=names[0]),
    )
    run = language == HERE
    return Record(
        id=f"aider-{language}-{folder.name}",
        prompt=prompt,
        exercise=folder.name,
        language=language,
        files=files,
        **({"test_files": {name: _text(folder / name) for name in (*test, *editor)}} if run else {}),
        edit_format=edit_format,
        tries=tries,
        lang="en",
        place=str(folder),
    )


def _text(path: Path) -> str:
    if not path.is_file():
        raise BadInput("no such file", place=str(path), remedy=WHOLE)
    return text_file.read(path)
