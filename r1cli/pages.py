"""Text for people on a terminal: in colour, wrapped to its width, in a pager where it is long.

Anywhere else it goes out as it is, without rich.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from r1cli.console import LOOKS
from r1cli.exits import Terminated
from r1cli.streams import Product, ReaderGone, Write
from stages.runtime.results import Styled

if TYPE_CHECKING:
    from r1cli.console import Console

LESS = "FRX"  # ends by itself where all fits, shows colours, leaves the text on the screen: as git sets it
NARROWEST, USUAL = 20, 80  # columns; of a terminal that does not say how many it has


class Pages(contextlib.AbstractContextManager["Pages"]):
    """Where pieces of text go: to `write`, or, where `stdout` is a terminal, drawn, and through a pager.

    The pager starts with the first piece; meanwhile the console holds its lines back.
    """

    def __init__(self, write: Write, stdout: Product | None, console: Console) -> None:
        """`stdout` is None where the text goes into a file."""
        self._write, self._console = write, console
        self._terminal = stdout.fileno() if stdout is not None and os.isatty(stdout.fileno()) else None
        self._stack = contextlib.ExitStack()
        self._draw: Callable[[Styled], str] | None = None

    def write(self, part: Styled) -> None:
        """Raises ReaderGone where nobody reads any more."""
        if self._terminal is not None and self._draw is None:
            self._draw = _drawing(self._terminal, self._console.plain)
            self._write = self._stack.enter_context(_pager(self._terminal, self._write, self._console))
        self._write((part if self._draw is None else self._draw(part)).encode())

    def __exit__(self, *exception: object) -> bool | None:
        return self._stack.__exit__(*exception)  # type: ignore[arg-type]


def _drawing(terminal: int, plain: bool) -> Callable[[Styled], str]:
    """What makes a piece the lines that a terminal shows."""
    from rich.console import Console as RichConsole
    from rich.text import Text

    width = max(os.get_terminal_size(terminal).columns or USUAL, NARROWEST)
    rich = RichConsole(
        file=sys.stderr, width=width, force_terminal=True, color_system=None if plain else "standard"
    )

    def drawn(part: Styled) -> str:
        with rich.capture() as taken:
            rich.print(Text(part.rstrip("\n"), LOOKS[part.look], overflow="fold"), highlight=False)
        return taken.get()

    return drawn


@contextlib.contextmanager
def _pager(terminal: int, write: Write, console: Console) -> Iterator[Write]:
    """What writes to $PAGER, or to less; without one, or on a dumb terminal, `write`."""
    program = _program()
    if program is None:
        yield write
        return
    environment = {"LESS": LESS, **os.environ}
    try:
        pager = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=terminal, env=environment)
    except OSError as error:
        console.note(f"cannot start {program[0]}: {error.strerror}")
        yield write
        return
    assert pager.stdin is not None
    pipe = Product(os.dup(pager.stdin.fileno()), program[0])
    pager.stdin.close()
    with console.held():
        try:
            yield pipe.write
        except ReaderGone:  # the reader has seen enough
            console.summarised = True
        except Terminated:
            pager.terminate()
            raise
        finally:
            pipe.close()
            _wait(pager)


def _wait(pager: subprocess.Popen[bytes]) -> None:
    """Until the reader ends it; Ctrl-C is for the pager."""
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pager.wait()
    finally:
        signal.signal(signal.SIGINT, kept)


def _program() -> list[str] | None:
    """The command line of the pager; None where there is none."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    named = os.environ.get("PAGER")
    try:
        words = shlex.split("less" if named is None else named)
    except ValueError:
        words = []
    return words if words and shutil.which(words[0]) else None
