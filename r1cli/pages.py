"""Text for people on a terminal: in colour, wrapped to its width, with keys or in a pager where it is long.

Anywhere else it goes out as it is, without rich. The keys are Textual's (screen.py). It takes a quarter of a
second to load, so the first screen stands there before that. Whatever ends it, the terminal is as it was.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from r1cli.console import LOOKS, styled
from r1cli.streams import Product, ReaderGone, Terminated, Write
from stages.runtime.results import Styled, View

if TYPE_CHECKING:
    from r1cli.console import Console

LESS = "FRX"  # ends by itself where all fits, shows colours, leaves the text on the screen: as git sets it
ENTER, LEAVE = "\x1b[?1049h\x1b[2J\x1b[H", "\x1b[?1049l\x1b[?25h\x1b[0m"
SIGNALS = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, signal.SIGTERM, signal.SIGHUP)
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


def wanted(view: View, stdout: Product) -> bool:
    """Whether there is a terminal with keys, and more to see than its screen has room for."""
    terminal = stdout.fileno()
    if not os.isatty(terminal) or os.environ.get("TERM", "dumb") == "dumb" or os.environ.get("PAGER") == "":
        return False
    if not view.has(0):
        return False
    size = os.get_terminal_size(terminal)
    lines = "".join(view.body()).split("\n")
    return view.has(1) or sum(1 + len(line) // max(size.columns, 1) for line in lines) >= size.lines


def read(view: View, stdout: Product, *, plain: bool) -> None:
    """Shows the records until the user has seen enough.

    Raises KeyboardInterrupt for Ctrl-C, Terminated for a signal, and the error that the records ended with.
    """
    with _terminal(stdout.fileno()):
        _first(view, stdout, plain)
        from r1cli import screen  # Textual takes a quarter of a second

        signalled, failed = screen.run(view, plain=plain)
    if signalled == signal.SIGINT:
        raise KeyboardInterrupt
    if signalled:
        raise Terminated(signalled)
    if failed:
        raise RuntimeError("the screen failed; --no-keys shows the records without it")
    if view.error is not None:
        raise view.error


@contextlib.contextmanager
def _terminal(terminal: int) -> Iterator[None]:
    """The terminal stands under 0, 1 and 2, where Textual looks for it; after the block all is as before."""
    before = termios.tcgetattr(terminal)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    kept = {number: os.dup(number) for number in (0, 1, 2)}
    keys = os.open(os.ttyname(terminal), os.O_RDWR | os.O_NOCTTY)
    try:
        for number in kept:
            os.dup2(keys, number)
        silent = termios.tcgetattr(terminal)
        silent[3] &= ~(termios.ECHO | termios.ICANON)  # a key that is pressed early is for the reader
        termios.tcsetattr(terminal, termios.TCSANOW, silent)
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):
            os.write(keys, LEAVE.encode())
            termios.tcsetattr(keys, termios.TCSANOW, before)
        for number, descriptor in kept.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(keys)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _first(view: View, stdout: Product, plain: bool) -> None:
    """The first screen, by rich alone."""
    from rich.console import Console as RichConsole

    size = os.get_terminal_size(stdout.fileno())
    rich = RichConsole(
        file=sys.stderr,
        width=max(size.columns, 1),
        force_terminal=True,
        color_system=None if plain else "standard",
    )
    with rich.capture() as taken:
        for each in (view.title(), view.verdict()):
            rich.print(styled(each), no_wrap=True, overflow="ellipsis", highlight=False)
        rich.print(styled(*view.body()), highlight=False)
    stdout.write((ENTER + "\r\n".join(taken.get().split("\n")[: size.lines - 1])).encode())
