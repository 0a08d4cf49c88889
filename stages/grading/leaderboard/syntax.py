"""The syntax tree of a call in Java or JavaScript, by the parsers that the leaderboard uses."""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any

from stages.runtime.errors import Unavailable

BOOLEANS = {"true": True, "false": False}
INSTALL = "pip install -c constraints.txt -e '.[bfcl]'"


def tree(language: str, source: str) -> Any:
    """The root. Raises ValueError for a source that is not `language`, Unavailable without the parsers."""
    root = _parser(language).parse(source.encode("utf-8")).root_node
    if "ERROR" in root.sexp():
        raise ValueError(f"it is no {language}")
    return root


def number(text: str) -> int | float | str:
    """As Python reads it; a text that is none stays one."""
    for read in (int, float):
        with contextlib.suppress(ValueError):
            return read(text)
    return text


def put(found: dict[str, Any], name: str, value: Any) -> None:
    """Raises ValueError for an argument that is there already."""
    if name in found:
        raise ValueError(f"{name or 'an argument without a name'} is given twice")
    found[name] = value


@functools.cache
def _parser(language: str) -> Any:
    try:
        core = importlib.import_module("tree_sitter")
        grammar = importlib.import_module(f"tree_sitter_{language}")
    except ImportError as error:
        raise Unavailable(f"calls in {language} need tree-sitter: {error}", install=INSTALL) from None
    parser = core.Parser()
    parser.set_language(core.Language(grammar.language(), language))
    return parser
