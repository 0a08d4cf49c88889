"""BFCL: calls of functions, 3,641 problems of one turn; `bfcl:CATEGORY` takes one kind of them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.formats.function_docs import CLASSES, INSTALL, PACKAGE, hinted, system_prompt, tools
from stages.formats.sources import FOLDER, parts_of
from stages.formats.tables import read_rows
from stages.records.record import Record, bad_record, need
from stages.runtime.errors import BadInput, Unavailable, UsageError

SPLITS = ("test",)
REWARDS = ("bfcl",)
SAMPLES = 1
GROUPS = {
    "non_live": (
        *("simple_python", "simple_java", "simple_javascript"),
        *("multiple", "parallel", "parallel_multiple", "irrelevance"),
    ),
    "live": (
        *("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"),
        *("live_irrelevance", "live_relevance"),
    ),
}
OF_ONE_TURN = tuple(name for group in GROUPS.values() for name in group)
MULTI_TURN = tuple(f"multi_turn_{each}" for each in ("base", "miss_func", "miss_param", "long_context"))
CATEGORIES = (*OF_ONE_TURN, *MULTI_TURN)
MORE = "I have updated some more functions you can choose from. What about now?"
WHOLE = "take the files of the package bfcl-eval as they are"
MODES = ("words", "tools")


def problems(
    *, task: str = "", split: str = "test", data: Path | None = None, mode: str = "words"
) -> Iterator[Record]:
    """Records of the category or group `task`, or of all of one turn. Source: gorilla.cs.berkeley.edu.

    Under Apache-2.0. A conversation has its later turns in `turns`: `messages`, and `tools` that are new.
    `mode=words` asks by the program's own system prompt for `[f(a=1)]`; `mode=tools` gives the functions as
    `tools` to the chat template. Raises UsageError for a category or mode that it does not have,
    Unavailable where the files are neither in the data folder nor in the installed package bfcl_eval.
    """
    if mode not in MODES:
        raise UsageError(f"mode={mode}: choose {' or '.join(MODES)}")
    groups = {**GROUPS, "multi_turn": MULTI_TURN, "": OF_ONE_TURN}
    asked = groups.get(task) or parts_of("bfcl", task, CATEGORIES)
    files = [(category, *_files(category, data)) for category in asked]
    return (record for each in files for record in _of(*each, mode, data))


def _files(category: str, data: Path | None) -> tuple[Path, Path | None]:
    """The questions of a category, and their answers where it has some."""
    name = f"BFCL_v4_{category}.json"
    questions = _found(name, data)
    return questions, None if "relevance" in category else _found(f"possible_answer/{name}", data)


def _found(file: str, data: Path | None) -> Path:
    """A published file: in the data folder, its folder `bfcl`, or the installed package."""
    folders = [str(data) if data is not None else os.environ.get(FOLDER, "")]
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        folders.append(str(Path(spec.origin).parent / "data"))
    places = [Path(folder) / inner / file for folder in folders if folder for inner in ("bfcl", "")]
    for place in places:
        if place.is_file():
            return place
    raise Unavailable(
        f"no file {file} of BFCL: let {FOLDER} name a folder that holds bfcl/{file}, as the package "
        "bfcl-eval has it in bfcl_eval/data, or have that package here",
        install=INSTALL,
    )


def _of(
    category: str, questions: Path, answers: Path | None, mode: str, data: Path | None
) -> Iterator[Record]:
    several, docs = category in MULTI_TURN, _docs(data) if category in MULTI_TURN else {}
    allowed = _allowed(answers) if answers else {}
    language = category.removeprefix("simple_")
    for row in read_rows(str(questions)):
        name = need(row, "id", str, WHOLE)
        given = {"ground_truth": allowed[name]} if name in allowed else {}
        if answers and not given:
            raise bad_record(row, f"{answers} has no answer of {name}", WHOLE)
        try:
            functions, later = _offered(row, docs) if several else (need(row, "function", list, WHOLE), {})
            shown = hinted(functions, language if language in ("java", "javascript") else "python")
            asked = _asked(row, shown, mode)
            if not several and len(row["question"]) > 1:
                raise bad_record(row, "its question has several turns", WHOLE)
            if several:
                asked |= {key: row[key] for key in ("involved_classes", "initial_config")}
                asked["turns"] = _turns(row, later, mode)
        except (KeyError, TypeError, AttributeError) as error:
            raise bad_record(row, f"its functions are in another form ({error!r})", WHOLE) from None
        yield Record(
            id=f"bfcl-{name}", **asked, function=functions, **given, category=category, place=row.place
        )


def _asked(row: Record, functions: list[dict[str, Any]], mode: str) -> dict[str, Any]:
    turns = need(row, "question", list, WHOLE)
    if not turns or not all(isinstance(each, list) for each in turns) or not turns[0]:
        raise bad_record(row, "its question is not turns of messages", WHOLE)
    messages = [dict(each) for each in turns[0]]
    if mode == "tools":
        return {"prompt": messages, "tools": tools(functions)}
    told = system_prompt(functions)
    if messages[0]["role"] == "system":
        messages[0]["content"] = f"{told}\n\n{messages[0]['content']}"
    else:
        messages.insert(0, {"role": "system", "content": told})
    return {"prompt": messages}


def _docs(data: Path | None) -> dict[str, list[Record]]:
    """What is published of the functions of each simulated class."""
    return {
        name: list(read_rows(str(_found(f"multi_turn_func_doc/{file}.json", data))))
        for name, file in CLASSES.items()
    }


def _offered(row: Record, docs: dict[str, list[Record]]) -> tuple[list[Record], dict[int, list[Record]]]:
    """The functions of a conversation, and those that come at a later turn alone."""
    functions = [each for name in row["involved_classes"] for each in docs[name]]
    later = {
        int(turn): [next(each for each in functions if each["name"] == name) for name in names]
        for turn, names in row.get("missed_function", {}).items()
    }
    held = [each for several in later.values() for each in several]
    return [each for each in functions if each not in held], later


def _turns(row: Record, later: dict[int, list[Record]], mode: str) -> list[dict[str, Any]]:
    """What the user says after the first turn; functions that come new are told as the program tells them."""
    made: list[dict[str, Any]] = []
    for number, messages in enumerate(row["question"][1:], 1):
        if number not in later:
            made.append({"messages": messages})
        elif mode == "tools":
            made.append({"messages": [{"role": "user", "content": MORE}], "tools": tools(later[number])})
        else:
            made.append({"messages": [{"role": "user", "content": f"{later[number]}\n{MORE}"}]})
    return made


def _allowed(path: Path) -> dict[str, Any]:
    """The allowed calls of each problem, by its id."""
    found: dict[str, Any] = {}
    for row in read_rows(str(path)):
        name = need(row, "id", str, WHOLE)
        if name in found:
            raise BadInput(f"the answer of {name} stands twice", place=row.place, remedy=WHOLE)
        found[name] = need(row, "ground_truth", list, WHOLE)
    return found
