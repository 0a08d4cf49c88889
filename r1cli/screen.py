"""The screen on which records are turned over: what each key does. Textual is loaded with this file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import termios
from collections.abc import Iterator
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from r1cli.console import styled
from stages.runtime.results import Looking, Styled, View

KEYS = "n next  p previous  w wrong  t thinking  g group  / search  m more  q end"
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
END = -1  # in the place of a record that is not found


def run(view: View, *, plain: bool) -> tuple[int, bool]:
    """Shows `view` until the user ends it: the signal that did, 0 for none, and whether the screen failed."""
    screen = Screen(view, plain=plain)
    screen.run()
    return screen.signalled, bool(screen.return_code)


class Stopped(BaseException):
    """A signal has arrived while a record was read."""


class Screen(App[None]):
    """Turns over the records of a view."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title, #verdict, #keys { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #body { height: 1fr; scrollbar-size-vertical: 1; }
    #search { display: none; border: none; height: 1; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,right", "turn(1)"),
        Binding("p,left", "turn(-1)"),
        Binding("w", "wrong(1)"),
        Binding("W", "wrong(-1)"),
        Binding("t", "fold"),
        Binding("g", "group"),
        Binding("slash", "ask", priority=True),  # what is typed after it is for the search
        Binding("m", "more"),
        Binding("space", "page(1)"),
        Binding("b", "page(-1)"),
        Binding("q", "quit"),
        Binding("escape", "leave"),
        Binding("ctrl+c", "interrupt", priority=True),
    ]

    def __init__(self, view: View, *, plain: bool) -> None:
        if plain:
            os.environ["NO_COLOR"] = "1"  # Textual takes it out again
        super().__init__(ansi_color=True)
        self.view = view
        self.signalled = 0
        self._words = ""
        self.theme = "ansi-dark"

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield Static(id="verdict")
        with VerticalScroll(id="body"):
            yield Static(id="text")
        yield Input(id="search", placeholder="search for")
        yield Static(styled(Styled(KEYS, "dim")), id="keys")

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, number)
        self.set_interval(1, self._end_without_terminal)
        self._show()
        self.set_focus(self.query_one("#body"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """A `/` among the words is one of them."""
        return action != "ask" or not self.query_one("#search").has_focus

    def action_turn(self, step: int) -> None:
        """To the record after, or before."""
        self.workers.cancel_all()
        with self._reading():
            if self.view.has(step):
                self.view.turn(step)
                self._show()
            else:
                error, last = self.view.error, "last" if step > 0 else "first"
                self._say(str(error) if error and step > 0 else f"the {last} record")

    def action_wrong(self, step: int) -> None:
        """To the next wrong completion, or the one before; the first screen's is the first."""
        self._look(self.view.wrong(step), "no wrong completion further on")

    def action_fold(self) -> None:
        """All of the thinking, or its ends."""
        self.view.fold()
        self._show()

    def action_group(self) -> None:
        """All completions of the problem, or the one."""
        self.view.group()
        self._show()

    def action_ask(self) -> None:
        """Asks for the words to search for."""
        search = self.query_one("#search", Input)
        search.display = True
        search.value = ""
        self.set_focus(search)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._words = event.value or self._words
        self.action_leave()
        self._search(0)

    def action_more(self) -> None:
        """To the next record with the words."""
        if self._words:
            self._search(1)
        else:
            self.action_ask()

    def action_leave(self) -> None:
        """Ends the search."""
        self.query_one("#search").display = False
        self.set_focus(self.query_one("#body"))

    def action_page(self, step: int) -> None:
        """A screen further, or back."""
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=step * max(body.size.height - 1, 1), animate=False)

    def action_interrupt(self) -> None:
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        self.signalled = number
        self.exit()

    def _end_without_terminal(self) -> None:
        """A terminal that is gone sends no signal where it is not this session's own."""
        watched = select.poll()
        watched.register(0, 0)
        if watched.poll(0):
            self._end(signal.SIGHUP)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Records are read in the block: no key is heard meanwhile, but a signal, as Ctrl-C is then, ends it
        and the screen.
        """

        def stop(number: int, _: object) -> None:
            raise Stopped(number)

        modes = termios.tcgetattr(0)
        listening = [*modes]
        listening[3] |= termios.ISIG
        kept = {number: signal.getsignal(number) for number in ENDS}
        try:
            for number in ENDS:
                signal.signal(number, stop)
            termios.tcsetattr(0, termios.TCSANOW, listening)
            yield
        except Stopped as stopped:
            self._end(stopped.args[0])
        finally:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(0, termios.TCSANOW, modes)
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _search(self, step: int) -> None:
        self._look(self.view.holding(self._words, step), f"no {self._words!r} further on")

    def _look(self, begun: Looking, none: str) -> None:
        """Goes to what is found; another key ends the looking."""

        async def looking() -> None:
            found: int | None = None
            while found is None:
                self._say(f"looking: {self.view.count} records read")
                await asyncio.sleep(0)
                with self._reading():
                    found = next(begun, END)
                if self.signalled:
                    return
            if found is END:
                self._say(str(self.view.error or none))
            else:
                self.view.go(found)
                self._show()

        self.run_worker(looking(), exclusive=True)

    def _show(self) -> None:
        with self._reading():
            self.query_one("#title", Static).update(styled(self.view.title()))
            self.query_one("#verdict", Static).update(styled(self.view.verdict()))
            self.query_one("#text", Static).update(styled(*self.view.body()))
        self.query_one("#body", VerticalScroll).scroll_home(animate=False)

    def _say(self, message: str) -> None:
        self.query_one("#verdict", Static).update(styled(Styled(message, "name")))
