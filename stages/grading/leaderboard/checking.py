"""Whether calls are among those that a problem allows, by the AST checker of the leaderboard.

A problem allows for each call a name, and for each argument a list of values, in which "" says that it may be
left out. Texts are compared without case, spaces and `,./-_*^`; the types are those of the signature. All
oddities are the program's: a value is compared with Python's ==, so 1 is True; objects within objects are not
made plain; an allowed "" lets an empty list pass; calls are matched in order, each with the first that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from stages.grading.leaderboard import java, javascript
from stages.grading.leaderboard.decoding import Call

Language = Literal["python", "java", "javascript"]
Signature = dict[str, Any]
Allowed = dict[str, dict[str, list[Any]]]

PYTHON: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list,
    "dict": dict, "any": str,
}  # fmt: skip
TYPES: dict[Language, dict[str, type]] = {
    "python": PYTHON,
    "java": java.TYPES,
    "javascript": javascript.TYPES,
}
OF_ITEMS = {"python": ("array", "tuple"), "java": ("Array", "ArrayList"), "javascript": ("array",)}
IGNORED = re.compile(r"[ ,./\-_*^]")


class Wrong(Exception):
    """What is wrong with the calls."""


def unknown_form(functions: Sequence[Any], allowed: Any, language: Language) -> str:
    """What keeps a problem from being one whose calls can be checked; "" where nothing does."""
    try:
        names = {_checked(each, language)["name"] for each in functions}
        if not isinstance(allowed, list) or not allowed:
            return "its ground_truth is no list of calls"
        for ((name, arguments),) in (each.items() for each in allowed):
            if name not in names or not all(isinstance(values, list) for values in arguments.values()):
                return "its ground_truth is not in the published form"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"its function or ground_truth is not in the published form ({error!r})"
    return ""


def _checked(function: Signature, language: Language) -> Signature:
    """Raises KeyError for a type that is not known, or a part that lacks."""
    for described in function["parameters"]["properties"].values():
        kind = described["type"]
        _ = TYPES[language][kind], kind in OF_ITEMS[language] and TYPES[language][described["items"]["type"]]
    _ = function["parameters"]["required"]
    return function


def check_calls(
    functions: Sequence[Signature],
    calls: Sequence[Call],
    allowed: Sequence[Allowed],
    *,
    category: str,
    language: Language = "python",
    underscores: bool = False,
) -> None:
    """Raises Wrong, with what is wrong, where the calls are not those that `allowed` describes.

    `underscores` says that names were given to the model with `_` for each dot. What the program itself would
    fail on (an argument of another form than the problem's own, in the depth of a list) is wrong, too.
    """
    if len(calls) != len(allowed):
        raise Wrong(f"{len(calls)} calls, not {len(allowed)}")
    by_name = {each["name"]: each for each in reversed(functions)}
    several = "parallel" in category or "multiple" in category
    left = list(calls)
    for wanted in allowed:
        (name,) = wanted
        signature = by_name[name] if several else functions[0]
        faults: list[str] = []
        for k, call in enumerate(left):
            try:
                _check_call(signature, call, wanted[name], language, underscores)
            except Wrong as error:
                faults.append(str(error))
            except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
                faults.append(f"an argument is of another form ({error})")
            else:
                del left[k]
                break
        else:
            raise Wrong(faults[0] if len(faults) == 1 else f"no call is {name} as wanted: {faults[0]}")


def _check_call(
    signature: Signature, call: Call, allowed: dict[str, list[Any]], language: Language, underscores: bool
) -> None:
    name, parameters = signature["name"], signature["parameters"]
    name = name.replace(".", "_") if underscores else name
    if name not in call:
        raise Wrong(f"{next(iter(call))[:60]!r} is called, not {name!r}")
    said = call[name]
    for required in parameters["required"]:
        if required not in said:
            raise Wrong(f"{required!r} is missing")
    for argument, value in said.items():
        if argument not in parameters["properties"] or argument not in allowed:
            raise Wrong(f"{argument[:60]!r} is not expected")
        _check_value(argument, value, allowed[argument], parameters["properties"][argument], language)
    for argument, values in allowed.items():
        if argument not in said and "" not in values:
            raise Wrong(f"{argument!r} is missing, and not optional")


def _check_value(
    argument: str, value: Any, allowed: list[Any], described: dict[str, Any], language: Language
) -> None:
    kind = described["type"]
    items = described["items"]["type"] if kind in OF_ITEMS[language] else None
    wanted, of_items = TYPES[language][kind], None if items is None else TYPES[language][items]
    if language == "python":
        if kind == "tuple" and type(value) is tuple:
            value = list(value)
        if kind == "float" and type(value) is int:
            value = float(value)
    elif not isinstance(value, str):
        raise Wrong(f"{argument!r} is {type(value).__name__}, not the text of a value")
    else:
        value = (java if language == "java" else javascript).converted(value, kind, items)
    if not _is_name(argument, value, allowed, wanted, of_items):
        if wanted is dict:
            return _check_dict(argument, value, allowed)
        if wanted is list and of_items is dict:
            return _check_dicts(argument, value, allowed)
        if wanted is str:
            return _among(argument, plain(value), [plain(each) for each in allowed if type(each) is str])
        if wanted is list:
            lists = [[plain(each) for each in several] for several in allowed]
            return _among(argument, [plain(each) for each in value], lists)
    _among(argument, value, allowed)


def _is_name(argument: str, value: Any, allowed: list[Any], wanted: type, of_items: type | None) -> bool:
    """Whether a variable's name stands for the value, as the type of those allowed says.

    Raises Wrong for a value of neither type.
    """
    of_allowed = next((type(each) for each in allowed if each != ""), None)
    named = of_allowed is not None and of_allowed is not wanted
    kind: type = type(value)
    if kind is wanted:
        if of_items is None or any(
            type(several) is not list or all(_item_fits(argument, each, several, of_items) for each in value)
            for several in allowed
        ):
            return named
        raise Wrong(f"{argument!r} has an item that is not {of_items.__name__}")
    if of_allowed is not None and kind is of_allowed:
        return True
    raise Wrong(f"{argument!r} is {kind.__name__}, not {wanted.__name__}")


def _item_fits(argument: str, value: Any, allowed: list[Any], wanted: type) -> bool:
    try:
        _is_name(argument, value, allowed, wanted, None)
    except Wrong:
        return False
    return True


def plain(value: Any) -> Any:
    """A text without what does not count; anything else as it is."""
    return IGNORED.sub("", value).lower().replace("'", '"') if type(value) is str else value


def _among(argument: str, value: Any, allowed: list[Any]) -> None:
    if value not in allowed:
        raise Wrong(f"{argument!r} is {_short(value)}, not {' or '.join(map(_short, allowed[:3]))}")


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:60]}…"


def _check_dict(argument: str, value: dict[str, Any], allowed: list[Any]) -> None:
    fault = f"{argument!r} is no object that is allowed"
    for each in allowed:
        if each == "":
            continue
        found = _dict_fault(value, each)
        if not found:
            return
        fault = found
    raise Wrong(fault)


def _dict_fault(value: dict[str, Any], allowed: dict[str, list[Any]]) -> str:
    for key, member in value.items():
        if key not in allowed:
            return f"the key {_short(key)} is not expected"
        if plain(member) not in [plain(each) for each in allowed[key]]:
            return f"{key!r} is {_short(member)}"
    return next(
        (f"the key {key!r} is missing" for key, m in allowed.items() if key not in value and "" not in m), ""
    )


def _check_dicts(argument: str, value: list[Any], allowed: list[Any]) -> None:
    fault = f"{argument!r} is no list that is allowed"
    for several in allowed:
        if len(value) != len(several):
            fault = f"{argument!r} has {len(value)} items"
            continue
        try:
            for member, wanted in zip(value, several, strict=True):
                _check_dict(argument, member, [wanted])
        except Wrong as error:
            fault = str(error)
        else:
            return
    raise Wrong(fault)
