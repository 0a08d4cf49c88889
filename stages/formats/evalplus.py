"""EvalPlus' tests (arXiv 2305.01210) as Python source that a box without numpy can run.

They come in two forms. The data sets on the hub have a program in `test`, which wants two functions of numpy;
what it takes of them is put before it. The files of the package have inputs, and a solution that says what is
right for them: out of these a test is made that judges as the package does, tolerance and exceptions
included.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from stages.records.record import Record, bad_record, need

WHOLE = "take the published file"
FAR = re.compile(r"\b(?:inf|nan)\b")
SECONDS = 30.0  # for all tests of a problem

NUMPY = """
class np:
    class ndarray:
        pass

    def allclose(got, want, rtol=1e-05, atol=1e-08):
        if isinstance(got, (list, tuple)) or isinstance(want, (list, tuple)):
            got = list(got) if isinstance(got, (list, tuple)) else [got]
            want = list(want) if isinstance(want, (list, tuple)) else [want]
            if len(got) != len(want) and 1 not in (len(got), len(want)):
                raise ValueError("shapes differ")
            size = max(len(got), len(want)) if got and want else 0
            got, want = (each * size if len(each) == 1 else each for each in (got, want))
            return all([np.allclose(a, b, rtol, atol) for a, b in zip(got, want)])
        return got == want or bool(abs(got - want) <= atol + rtol * abs(want) < float("inf"))

    class testing:
        def assert_allclose(got, want, rtol=1e-07, atol=0):
            assert np.allclose(got, want, rtol, atol)
"""

# As evalplus 0.3.1 judges: `atol` stays what a float has made of it. No function to be tested is called so.
JUDGED = """
import copy
import math

def plus_is_floats(x):
    if isinstance(x, float):
        return True
    return bool(isinstance(x, (list, tuple)) and x and all(isinstance(each, float) for each in x))

def plus_polynomial(coefficients, x):
    return sum([each * math.pow(x, power) for power, each in enumerate(coefficients)])

def plus_surface(edge, height):
    slant = math.sqrt((edge / 2) ** 2 + height**2)
    return round(edge**2 + 4 * (edge * slant) / 2)

def plus_distance(one, other):
    one, other = str(one), str(other)
    size = max(len(one), len(other))
    return sum([abs(int(a) - int(b)) for a, b in zip(one.zfill(size), other.zfill(size))])

def plus_solution():
    space = {{}}
    exec(compile({solution!r}, "solution", "exec"), space)
    return space[{entry!r}]

def check(candidate):
    inputs, atol, right = {inputs}, {atol!r}, plus_solution()
    for args in inputs:
        want = right(*copy.deepcopy(args))
        if {kind!r} == "filled":
            want = want is not None
        out = candidate(*args)
        if {kind!r} == "root":
            assert abs(plus_polynomial(*args, out)) <= atol
            continue
        same = out == want
        if {kind!r} == "any":
            same = True
        elif {kind!r} == "zero":
            same = same or out == 0
        elif {kind!r} == "surface":
            same = same or abs(out - plus_surface(*args)) <= atol
        elif {kind!r} == "distance":
            same = same or out == plus_distance(*args)
        elif {kind!r} == "set":
            same = set(out) == set(want)
        elif {kind!r} == "filled":
            same = out == want if isinstance(out, bool) else want == (out is not None)
        if atol == 0 and plus_is_floats(want):
            atol = 1e-6
        if not same and atol != 0:
            assert type(out) == type(want)
            if isinstance(want, (list, tuple)):
                assert len(out) == len(want)
            assert np.allclose(out, want, rtol=1e-07, atol=atol)
        else:
            assert same
"""

# Functions that several results are right for, and how these are told.
KINDS = {
    "humaneval": {"find_zero": "root"},
    "mbpp": {
        "are_equivalent": "any", "sum_div": "zero", "surface_Area": "surface",
        "digit_distance_nums": "distance",
        **dict.fromkeys(("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly",
                         "larg_nnum", "intersection_array", "find_dissimilar", "Diff"), "set"),
        **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), "filled"),
    },
}  # fmt: skip

# MBPP's inputs that JSON has made lists of: by the number of the task, how deep the tuples are.
EACH = (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744,
        809)  # fmt: skip
ROWS = (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)
FIRST_ROWS, SECOND, BOTH = (75, 413, 444, 753), (106, 750), (259, 401, 445)
FIRST, EVERY = (250, 307, 405, 446, 617, 720, 763, 808), (580, 615, 791)


def of_program(row: Record) -> str | None:
    """`test` of the hub's form with what it takes of numpy; None where the row has none."""
    test = row.get("test")
    if not isinstance(test, str) or not test:
        return None
    return NUMPY + re.sub(r"^import numpy as np$", "", test, flags=re.MULTILINE)


def of_inputs(row: Record, dataset: str) -> str:
    """A `check` over `base_input` and `plus_input` of the package's form, by its `canonical_solution`.

    `dataset` is humaneval or mbpp. Raises BadInput where something is missing.
    """
    entry = need(row, "entry_point", str, WHOLE)
    inputs = [*need(row, "base_input", list, WHOLE), *need(row, "plus_input", list, WHOLE)]
    if dataset == "mbpp":
        number = need(row, "task_id", str, WHOLE).rpartition("/")[2]
        try:
            inputs = [_as_called(int(number), each) for each in inputs]
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise bad_record(row, f"its inputs are none of MBPP+'s: {error}", WHOLE) from None
    solution = need(row, "prompt", str, WHOLE) + need(row, "canonical_solution", str, WHOLE)
    try:
        ast.parse(solution)
    except (SyntaxError, ValueError) as error:
        raise bad_record(row, f"its canonical_solution is no program: {error}", WHOLE) from None
    kind = KINDS[dataset].get(entry, "")
    atol = need(row, "atol", (int, float), WHOLE)
    written = FAR.sub(lambda found: f"float('{found[0]}')", repr(inputs)) if _is_far(inputs) else repr(inputs)
    return NUMPY + JUDGED.format(solution=solution, entry=entry, inputs=written, atol=atol, kind=kind)


def _is_far(value: Any) -> bool:
    """Whether an infinity or no number is in it, which Python has no literals for."""
    if isinstance(value, (list, tuple, set)):
        return any(map(_is_far, value))
    if isinstance(value, dict):
        return any(map(_is_far, value.values()))
    return isinstance(value, float) and not math.isfinite(value)


def _as_called(number: int, args: list[Any]) -> list[Any]:
    if number in EACH:
        return [tuple(each) for each in args]
    if number in ROWS:
        return [[tuple(row) for row in each] for each in args]
    if number in FIRST_ROWS:
        return [[tuple(row) for row in args[0]], args[1]]
    if number in SECOND:
        return [args[0], tuple(args[1])]
    if number in BOTH:
        return [tuple(tuple(row) for row in each) for each in args]
    if number in FIRST:
        return [tuple(args[0]), *args[1:]]
    if number in EVERY:
        return [_deep(each) for each in args]
    if number == 115:
        return [[set(each) if isinstance(each, list) and each else {} for each in args[0]]]
    if number == 124:
        return [float(args[0]), complex(args[1])]
    if number == 252:
        return [complex(args[0])]
    if number == 278:
        return [tuple(tuple(each) if isinstance(each, list) else each for each in args[0])]
    if number == 722:
        return [{key: tuple(each) for key, each in args[0].items()}, *args[1:]]
    return args


def _deep(value: Any) -> Any:
    return tuple(map(_deep, value)) if isinstance(value, list) else value
