"""Everything on stderr: progress, notes, tables and the last line. Implements `stages.runtime.report.Report`.

On a terminal there is one live bar. Several stages of a pipe share the terminal: the one that holds a
lock on it draws, the others write plain lines, and take over when it ends. Off a terminal there is one
plain line every 30 seconds. rich is loaded when something is drawn, not before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from stages.runtime import shown
from stages.runtime.report import described, duration
from stages.runtime.results import Styled

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.text import Text

REDRAW = 0.1  # seconds between two states of the bar
PLAIN = 30.0  # seconds between two plain lines
CLEAR = "\r\x1b[2K"
LOOKS = {"plain": "", "title": "bold cyan", "name": "bold", "dim": "dim", "good": "green", "bad": "red"}
LONGEST = 1000  # characters of an error: a value of megabytes is told by its ends


class Console(contextlib.AbstractContextManager["Console"]):
    """What the user of one stage sees. Its own failures are dropped: nowhere is left to tell them."""

    def __init__(self, stage: str, *, quiet: bool, color: bool) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self.stage, self.quiet = stage, quiet
        self.terminal = os.isatty(2)
        self.plain = not color or dumb or bool(os.environ.get("NO_COLOR"))
        self.color = self.terminal and not self.plain
        self.live = self.terminal and not dumb and not quiet
        self.summarised = False
        self._summary: str | None = None
        self._held: list[str] | None = None
        self._lock: int | None = None
        self._bar: Progress | None = None
        self._next = self._next_line = 0.0
        self._picture: Picture | None = None
        self._begin(None, "")

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the bar and writes the last line."""
        self._stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._summary is not None:
            self._line(self._summary)
            self._summary = None

    def start(self, total: int | None, unit: str) -> None:
        self._stop()
        self._begin(total, unit)

    def advance(self, steps: int = 1, **fields: float | str) -> None:
        self.done += steps
        if fields:
            self._fields.update(fields)
        now = time.monotonic()
        if now < self._next or self.quiet or self._held is not None:
            return
        if self.live and self._take_terminal():
            self._next = now + REDRAW
            self._draw()
        elif now >= self._next_line:
            self._next = now + REDRAW if self.live else now + PLAIN
            self._next_line = now + PLAIN
            self._line(self.progress())
        else:
            self._next = now + REDRAW

    def picture(self, frame: Callable[[int, int], list[Styled]]) -> bool:
        if not self.live or self._held is not None or not self._take_terminal():
            return False
        with contextlib.suppress(OSError):
            self._picture = self._picture or Picture(self._stderr, color=self.color)
            self._picture.show(frame)
        return True

    def note(self, message: str) -> None:
        if not self.quiet:
            self._line(message)

    def summary(self, message: str) -> None:
        self.summarised = True
        if not self.quiet:
            self._summary = message

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        if self.quiet:
            return
        self._stop()
        title, columns = shown.line(title), [shown.line(column) for column in columns]
        rows = [[shown.line(cell) for cell in row] for row in rows]
        if not self.terminal:
            self._write("\n".join([title, *aligned(columns, rows)]) + "\n")
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        numeric = _numeric(columns, rows)
        table = Table(title=title, title_justify="left")
        for column, is_number in zip(columns, numeric, strict=True):
            table.add_column(column, justify="right" if is_number else "left")
        for row in rows:
            table.add_row(*row)
        with contextlib.suppress(OSError):
            RichConsole(file=self._stderr, no_color=not self.color, markup=False).print(table)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Draws nothing in the block, in which another program has the terminal; its lines come after it."""
        self._stop()
        self._held = []
        try:
            yield
        finally:
            lines, self._held = self._held, None
            for each in lines:
                self._line(each)

    def error(self, message: str) -> None:
        """One line that even `-q` leaves: what went wrong."""
        self._stop()
        text = f"r1 {self.stage}: {message}" if self.stage else f"r1: {message}"
        self._write(clipped(" ".join(shown.line(text).split())) + "\n")

    def progress(self) -> str:
        """The state of the phase in one line of plain text."""
        elapsed = max(time.monotonic() - self._started, 1e-9)
        rate = self.done / elapsed
        parts = [f"{self.done} {self._unit}".rstrip()]
        if self._total:
            share = 100 * self.done / self._total
            parts = [f"{self.done} of {self._total} {self._unit}".rstrip() + f" ({share:.1f} %)"]
        parts.append(f"{rate:.3g}/s" if rate >= 1 or not self.done else f"{1 / rate:.3g} s each")
        if self._total and self.done:
            parts.append(f"{duration((self._total - self.done) / rate)} left")
        if self._fields:
            parts.append(described(self._fields))
        return ", ".join(parts)

    def _begin(self, total: int | None, unit: str) -> None:
        self.done = 0
        self._total, self._unit = total, unit
        self._fields: dict[str, float | str] = {}
        self._started = time.monotonic()
        self._next = self._started + (REDRAW if self.live else PLAIN)
        self._next_line = self._started + PLAIN

    def _draw(self) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            known = [BarColumn(), MofNCompleteColumn()] if self._total else []
            rest = [TimeRemainingColumn()] if self._total else [TimeElapsedColumn()]
            self._bar = Progress(
                TextColumn(shown.line(self.stage), markup=False),
                *known,
                TextColumn("{task.fields[text]}", markup=False),
                *rest,
                console=RichConsole(file=self._stderr, no_color=not self.color),
                transient=True,
                refresh_per_second=5,
            )
            self._task = self._bar.add_task("", total=self._total, text="")
            self._bar.start()
        elapsed = max(time.monotonic() - self._started, 1e-9)
        rate = self.done / elapsed
        speed = f"{rate:.3g} {self._unit}/s" if rate >= 1 else f"{elapsed / max(self.done, 1):.3g} s each"
        count = "" if self._total else f"{self.done} {self._unit} "
        text = shown.line(" ".join([f"{count}{speed}", described(self._fields)]).rstrip())
        self._bar.update(self._task, completed=self.done, text=text)

    def _stop(self) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.stop()
            self._bar = None
        self._picture = None

    def _take_terminal(self) -> bool:
        if self._lock is not None:
            return True
        try:
            lock = os.open(os.ttyname(2), os.O_RDONLY | os.O_NOCTTY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:  # a terminal that cannot be locked has no other way to share it
            pass
        self._lock = lock
        return True

    def _line(self, message: str) -> None:
        if self._held is not None:
            self._held.append(message)
            return
        self._picture = None  # what is drawn next stands below this line
        text = shown.line(f"{self.stage}: {message}")
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._write((CLEAR if self.live else "") + text + "\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stderr.write(text)
            self._stderr.flush()

    @property
    def _stderr(self) -> TextIO:
        """The stream under the one that shows others' escape sequences as text: the bar needs its own."""
        return sys.stderr.below if isinstance(sys.stderr, shown.Shown) else sys.stderr


class Picture:
    """Some lines on a terminal that give way to the next ones in place.

    Each is written over the one before, in one piece and without clearing it first, so that nothing flickers.
    """

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        from rich.console import Console as RichConsole

        self._stream, self._drawn = stream, 0
        self._console = RichConsole(file=stream, no_color=not color, highlight=False)

    def show(self, frame: Callable[[int, int], list[Styled]]) -> None:
        """Draws what `frame` makes for so many columns and rows; the last row is the cursor's."""
        from rich.text import Text

        columns, rows = self._console.size
        lines = frame(columns, max(rows - 1, 1))
        with self._console.capture() as taken:
            for line in lines:
                self._console.print(Text(line, LOOKS[line.look]), no_wrap=True, overflow="crop")
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(up + taken.get().replace("\n", "\x1b[K\n") + "\x1b[J")
        self._stream.flush()
        self._drawn = len(lines)


def styled(*pieces: Styled) -> Text:
    """Pieces of text with the looks that a terminal gives them."""
    from rich.text import Text

    made = Text(overflow="fold")
    for piece in pieces:
        made.append(piece, LOOKS[piece.look])
    return made


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as plain lines: columns two spaces apart, numbers to the right."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    numeric = _numeric(columns, rows)
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (columns, *rows)
    ]


def clipped(text: str) -> str:
    """`text` without its middle where it is longer than an error should be."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def _numeric(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    return [
        bool(rows) and all(row[i].lstrip("+-−±<>≤≥ ")[:1].isdigit() for row in rows if row[i])
        for i in range(len(columns))
    ]
