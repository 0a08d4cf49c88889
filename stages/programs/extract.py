"""The program in a completion: its last block of code, or all of it where it is nothing but code.

Where a benchmark's own program looks for no block, it is the `whole` completion.
"""

from __future__ import annotations

import ast
import re
from typing import Any, NamedTuple

from stages.language.thinking import split_thinking
from stages.programs.suites import LANGUAGES, Suite

BLOCK = re.compile(r"^[ \t]*```[ \t]*+([\w+#-]*+)[^\n]*+\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
CPP = re.compile(r"^[^\S\n]*#\s*include\b|\bint\s+main\s*\(", re.MULTILINE)


class Program(NamedTuple):
    """Source code and its language, python or cpp."""

    source: str
    language: str


def find(record: dict[str, Any], suite: Suite, language: str = "auto") -> Program | str:
    """The program that the completion gives after its thinking, or why there is none.

    The language is the option's, else the problem's, else the one the block names, else Python. Of several
    blocks the last counts; where a function is asked for, the last that defines it.
    """
    parts = split_thinking(record["completion"], str(record.get("prefill") or ""))
    if parts.thinking is not None and not parts.answer.strip():
        return "no program: nothing follows the thinking"
    given = None if language == "auto" else language
    wanted = given or suite.language
    blocks = [
        (LANGUAGES.get(tag.lower()), body)
        for tag, body in BLOCK.findall(parts.answer)
        if not tag or tag.lower() in LANGUAGES
    ]
    blocks = [each for each in blocks if wanted is None or each[0] in (None, wanted)]
    if blocks:
        defining = [each for each in blocks if suite.entry and defines(each[1], suite.entry)]
        tag, source = (defining or blocks)[-1]
    elif "```" in parts.answer:
        return "no program: no block of code in a language that can be run"
    else:
        tag, source = None, parts.answer
        if not _bare(source, suite):
            return "no program: no block of code"
    chosen = wanted or tag or ("cpp" if CPP.search(source) else "python")
    if chosen == "python" and suite.prefix:
        source = _continued(source, suite)
    return Program(source, chosen)


def whole(record: dict[str, Any], suite: Suite, language: str = "auto") -> Program:
    """The completion as it stands, after the prompt where it continues that: what programs of benchmarks run
    that look for no block. The language is the option's, else the problem's, else Python.
    """
    given = suite.language or "python" if language == "auto" else language
    return Program(suite.prefix + str(record.get("prefill") or "") + record["completion"], given)


def defines(source: str, name: str) -> bool:
    """Whether `source` has a function or class `name` at its top level."""
    return bool(re.search(rf"^(?:async\s+def|def|class)\s+{re.escape(name)}\b", source, re.MULTILINE))


def _bare(text: str, suite: Suite) -> bool:
    """Whether a text without any block may be code as it stands."""
    if suite.prefix or CPP.search(text):
        return True
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last for a tower of signs
        # A program with a slip in it, not prose.
        return bool(re.search(r"^(?:def|class|import|from)\s+\w+", text, re.MULTILINE))
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body)


def _continued(source: str, suite: Suite) -> str:
    """HumanEval: what the completion leaves out of its prompt, before it."""
    assert suite.entry is not None
    if defines(source, suite.entry):
        return f"{suite.before}\n\n{source}"
    return suite.prefix + source
