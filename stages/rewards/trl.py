"""Reward functions as TRL's trainers take them: `--reward trl:module.function`, unchanged.

Such a function gets `prompts`, `completions`, `completion_ids` and each other field of the records as a
list, and returns one number or None for each. It is given all records of a problem at once, since it
may compare them. Chat prompts make chat completions, as there. Options rename fields to what the function
calls them: `trl:rewards.accuracy_reward:solution=answer`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from stages.data.errors import BadInput, UsageError
from stages.data.record import need, place_of
from stages.rewards.verdict import Verdict


def load(path: str, spec: str) -> tuple[Callable[..., Any], str]:
    """The function that `module.function` names, and the file it is from. Raises UsageError."""
    module, _, attribute = path.rpartition(".")
    if not module:
        raise UsageError(f"--reward {spec}: write trl:MODULE.FUNCTION")
    here = os.getcwd()
    # Last, so that a file of the user's folder never stands in for a library.
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise UsageError(
            f"--reward {spec}: importing {module} fails: {type(error).__name__}: {error}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise UsageError(f"--reward {spec}: {module} has no function {attribute!r}")
    return found, inspect.getsourcefile(inspect.unwrap(found)) or ""


def adapted(function: Callable[..., Any], renamed: Mapping[str, str]) -> Callable[..., Any]:
    """`function` as a group reward of this program."""
    return partial(_judge, function, dict(renamed))


def _judge(
    function: Callable[..., Any], renamed: dict[str, str], group: list[dict[str, Any]]
) -> list[Verdict]:
    """One verdict for each record. Raises BadInput where a field is missing that the function needs."""
    result = function(**_arguments(function, renamed, group))
    if inspect.isawaitable(result):
        with asyncio.Runner() as runner:
            result = runner.get_loop().run_until_complete(result)
    if not isinstance(result, Sequence):
        raise TypeError(f"it returned {type(result).__name__}, not a list of numbers")
    if len(result) != len(group):
        raise ValueError(f"it returned {len(result)} values for {len(group)} completions")
    return [
        Verdict(None, "the function gave None") if each is None else Verdict(float(each), "")
        for each in result
    ]


def _arguments(
    function: Callable[..., Any], renamed: dict[str, str], group: list[dict[str, Any]]
) -> dict[str, list[Any]]:
    """What TRL would pass: lists over the completions, by name."""
    texts = [
        need(each, "completion", str, "rewards judge completions: run r1 generate first")
        for each in group
    ]
    chat = [isinstance(each.get("prompt"), list) for each in group]
    given: dict[str, list[Any]] = {
        "prompts": [each.get("prompt") for each in group],
        "completions": [
            [{"role": "assistant", "content": text}] if talk else text
            for text, talk in zip(texts, chat, strict=True)
        ],
    }
    if all("completion_ids" in each for each in group):
        given["completion_ids"] = [each["completion_ids"] for each in group]
    fields = dict.fromkeys(
        name for each in group for name in each if name not in ("prompt", "completion")
    )
    given |= {name: [each.get(name) for each in group] for name in fields if name not in given}
    for name, field in renamed.items():
        given[name] = [each.get(field) for each in group]
    parameters = inspect.signature(function).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        given = {each.name: given[each.name] for each in parameters if each.name in given}
    for each in parameters:
        named = each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        if named and each.default is each.empty and each.name not in given:
            raise BadInput(
                f"the reward function needs a field {each.name!r}",
                place=place_of(group[0]),
                remedy=f"name it, such as trl:module.function:{each.name}=answer",
            )
    return given
