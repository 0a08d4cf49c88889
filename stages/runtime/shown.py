r"""What may appear on stderr of what came from outside: no control character, and no secret.

Records, file names, servers and libraries say what they like. A terminal would obey an escape sequence in it,
show a line in another order than it is written, or take a line end for the end of our message; so all of that
is written out, as `\x1b`. A key that the environment holds, or a password in an address, becomes `…` wherever
it stands.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

# C0, C1 and DEL; marks and isolates that turn the direction of text; other line ends; halves of surrogate
# pairs.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
LINE_ENDS = ("\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
SPACE = re.compile(r"\s++")
WORD = re.compile(r"\S++")
SECRETS = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "R1_WEIGHTS_SECRET")
SHORTEST = 6  # characters of a secret; a shorter one, as `none`, is a word of other texts
HIDDEN = "…"


def line(text: str) -> str:
    """`text` as one line that a terminal shows as it is."""
    return CONTROL.sub(_written, SPACE.sub(_joined, discreet(text).strip("\r\n")))


def block(text: str) -> str:
    """`text` with its line ends and tabs kept."""
    return CONTROL.sub(lambda match: match[0] if match[0] in "\n\t" else _written(match), discreet(text))


def discreet(text: str) -> str:
    """`text` without the secrets of this process, and without what stands before the host of an address."""
    if ":/" in text:
        text = WORD.sub(lambda match: _without_password(match[0]), text)
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return text


def value(each: Any) -> str:
    """A setting as Python writes it. In a text that is an address, a password may hold anything."""
    if isinstance(each, (list, tuple)):
        return f"[{', '.join(map(value, each))}]"
    return repr(_without_password(each) if isinstance(each, str) else each)


def _without_password(address: str) -> str:
    begins, ends = address.find(":/"), address.rfind("@")
    slashes = "//" if address.startswith("://", begins) else "/"  # one where it was taken for a path
    return f"{address[:begins]}:{slashes}{HIDDEN}{address[ends:]}" if 0 <= begins < ends else address


def _joined(space: re.Match[str]) -> str:
    """White space as it is, but a space where a line ends in it."""
    return " " if len(space[0].splitlines()) > 1 or space[0].endswith(LINE_ENDS) else space[0]


def _secrets() -> Iterator[str]:
    """Each as it is and as messages quote it, the longest first; the parts of one with a line end, too."""
    for name in SECRETS:
        value = os.environ.get(name, "")
        if len(value.strip()) < SHORTEST:
            continue
        forms = {value, value.strip(), repr(value)[1:-1], json.dumps(value)[1:-1], *value.split()}
        yield from sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)


def _written(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


class Shown:
    """A text stream for whoever writes to stderr without the console: libraries, warnings, tracebacks, a
    user's code.
    """

    def __init__(self, below: TextIO) -> None:
        self.below = below

    def write(self, text: str) -> int:
        self.below.write(block(text.replace("\r\n", "\n").replace("\r", "\n")))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.write(each)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)
