"""What is said of the command line's options, in the words of a reward that loads a model of its own.

`judge:device=cpu` is the judge's device; the stage's `--device` is of another model, or is not there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from stages.runtime.errors import BadInput, Unavailable, UsageError

OPTION = re.compile(r"(?<![\w-])--?([a-z][a-z0-9-]*)(?: (?=[\w…]))?")
NAMES = {"m": "model", "base-url": "url", "trust-remote-code": "trust_remote_code=true"}


@contextmanager
def in_options_of(reward: str, names: Collection[str]) -> Iterator[None]:
    """Errors in the block speak of the options of `reward`, which are `names`, and of no others."""
    try:
        yield
    except (UsageError, Unavailable) as error:
        raise type(error)(f"--reward {reward}: {translated(str(error), names)}") from error
    except BadInput as error:
        raise BadInput(error.what, place=error.place, remedy=translated(error.remedy, names)) from error


def translated(text: str, names: Collection[str]) -> str:
    """`text` with options as a reward writes them, and without the clauses that name one it does not have."""
    kept = []
    for clause in text.split("; "):
        named = [_own(each) for each in OPTION.findall(clause)]
        if all(name.partition("=")[0] in names for name in named):
            kept.append(OPTION.sub(_written, clause))
    return "; ".join(kept)


def _written(match: re.Match[str]) -> str:
    name = _own(match[1])
    if not match[0].endswith(" "):
        return name
    return f"{name} " if "=" in name else f"{name}="


def _own(option: str) -> str:
    return NAMES.get(option, option.replace("-", "_"))
