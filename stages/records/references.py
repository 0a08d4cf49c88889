r"""The reference answer of a problem, in the fields and the forms in which data sets keep it.

| field | is the reference where it holds |
|---|---|
| `answer` | anything |
| NAMED, as `ground_truth`; `reward_model.ground_truth` | a value of one line, `#### N`, `\boxed{}` |
| `solution` | `#### N`, `\boxed{}`, `<answer>`, or nothing but a number or a formula |

A worked solution whose form does not say where its answer stands is no reference.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

NAMED = ("ground_truth", "target", "final_answer", "expected_answer", "reference_answer", "gold_answer")
WORKED = "solution"
HOLDERS = frozenset((*NAMED, WORKED, "reward_model"))
LONGEST = 200  # characters of a field that is a reference as a whole
# Fields of a completion and of what judges it, which its problem does not have.
ANSWERED = frozenset((
    "group", "sample", "completion", "finish", "prefill", "prompt_ids", "completion_ids", "logprobs",
    "policy_logprobs", "loglikelihoods", "rewards", "reasons", "reward", "advantage", "dropped", "draft",
    "unasked", "ended_early",
))  # fmt: skip
MADE = ANSWERED | {"meta"}  # all that stages add to a problem
NUMBER = re.compile(r"[-+]?\$?\d[\d,]*+(?:\.\d++)?(?:/\d++)?%?")
FORMULA = re.compile(r"\$?([^$\n]++)\$?")
COMMAND = re.compile(r"\\[A-Za-z]+")
WORD = re.compile(r"[^\W\d_]{2,}")
MARKED = re.compile(r"[ \t]*+####[ \t]*+(\S.*+)")


class Reference(NamedTuple):
    """A reference answer, and where it was found, in words."""

    answer: Any
    where: str


def reference_in(fields: dict[str, Any]) -> Reference | None:
    """The reference of a problem without `answer`; None where no field holds one in a known form."""
    for name, value in _candidates(fields):
        found = _ending(value, name) if isinstance(value, str) else None
        if found is None and name == WORKED:
            found = _alone(value, name)
        elif found is None and _short(value):
            found = Reference(value, f"{name!r}")
        if found is not None:
            return found
    return None


def unread(fields: dict[str, Any]) -> str:
    """The first field that may hold a reference, in a form that says not which part of it; "" for none."""
    return next((name for name, value in _candidates(fields) if value not in (None, "", [])), "")


def advice(record: dict[str, Any]) -> str:
    """What would give a problem without a reference one: the option that names the field it is in."""
    fields = {key: value for key, value in record.items() if key not in MADE}
    worked = [key for key, value in fields.items() if isinstance(value, str) and _ending(value, key)]
    likely = [key for key in fields if key.lower() in ("answer", "label", "gold")]
    name = unread(fields) or next(iter(likely), "FIELD")
    pair = f"solution={worked[0]}" if worked else f"answer={name}"
    return f"its fields are {', '.join(fields)}; `r1 prompts FILE --map {pair}` says which holds it"


def last_boxed(text: str) -> str | None:
    """What the last `\\boxed{…}` of a solution holds, braces matched; None where there is none."""
    start = text.rfind("\\boxed{")
    depth = 0
    for at in range(start + len("\\boxed"), len(text) if start >= 0 else 0):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + len("\\boxed{") : at].strip()
    return None


def _candidates(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    rule = fields.get("reward_model")
    truth = [("reward_model.ground_truth", rule.get("ground_truth"))] if isinstance(rule, dict) else []
    return [*truth, *((name, fields[name]) for name in (*NAMED, WORKED) if name in fields)]


def _ending(text: str, name: str) -> Reference | None:
    """What a text marks as its answer."""
    text = text.rstrip()
    marked = MARKED.fullmatch(text.rpartition("\n")[2])
    if marked:
        return Reference(marked[1], f"what follows #### in {name!r}")
    boxed = last_boxed(text)
    if boxed:
        return Reference(boxed, f"what \\boxed{{}} holds in {name!r}")
    _, tag, tagged = text.removesuffix("</answer>").rpartition("<answer>")
    if tag and text.endswith("</answer>") and tagged.strip():
        return Reference(tagged.strip(), f"what <answer> holds in {name!r}")
    return None


def _alone(value: Any, name: str) -> Reference | None:
    """A number or a formula, where the field is nothing else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Reference(value, f"{name!r}, a number")
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return Reference(value.strip(), f"{name!r}, a number")
    formula = FORMULA.fullmatch(value.strip()) if isinstance(value, str) and _short(value) else None
    if formula is None or not re.search(r"\w", value) or WORD.search(COMMAND.sub("", formula[1])):
        return None
    return Reference(formula[1].strip(), f"{name!r}, a formula")


def _short(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value.strip()) <= LONGEST and "\n" not in value.strip()
    return isinstance(value, (int, float))
