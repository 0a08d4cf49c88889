"""The program: finds the stages, runs one, and turns whatever happened into an exit code.

Each `stages/*.py` is a command, and so is each file of the folders in the variable R1_STAGES. Their
first lines are read, not imported, for the list of commands; only the stage that is called is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.core
import typer.main

from r1cli import helptext, streams
from r1cli.console import Console
from r1cli.streams import BROKEN_PIPE, INTERRUPTED, READ_OR_WRITE, Terminated
from stages.runtime import shown
from stages.runtime.errors import R1Error, StreamError, UsageError, nearest

if TYPE_CHECKING:
    from r1cli.signature import Stage

# Newer versions of typer carry their own click; the class behind BadParameter is public in all of them.
CLICK_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
BUILT_IN = Path(__file__).resolve().parent.parent / "stages"
RECIPE = ("generate", "score", "filter", "sft", "grpo", "distill", "eval")
ABOUT = """The DeepSeek-R1 recipe as Unix filters: JSONL records on stdin and stdout, checkpoints on disk.

  r1 prompts gsm8k | r1 generate -m MODEL -n 16 \\
    | r1 score --reward accuracy | r1 filter --keep correct > chains.jsonl

`r1 COMMAND --help` shows a command's options and two examples."""
FIRST_LINE = re.compile(r'\s*(?:#[^\n]*\n\s*)*[rR]?"""\s*([^\n"]*)')


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script. Ends the process with one of the exit codes of docs/streams.md."""
    streams.open_missing()
    show_as_text()
    # Two OpenMP threads that spin for each other slow down fifteenfold once a third process, such
    # as the next stage of a pipe, wants a core; sleeping costs them a few percent.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    code = program(list(sys.argv[1:] if arguments is None else arguments))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # Python would flush again at exit, fail again, and exit with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def show_as_text() -> None:
    """From here on, what Python prints for others has no control characters: stdout is stderr once a stage is
    loaded.
    """
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), shown.Shown):
            setattr(sys, name, shown.Shown(getattr(sys, name)))


def program(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    console = Console("", quiet=True, color=False)
    try:
        stages = discover()
        console.stage = arguments[0] if arguments and arguments[0] in stages else ""
        found = _group(stages, arguments).main(arguments, prog_name="r1", standalone_mode=False)
        return found if isinstance(found, int) else 0
    except R1Error as error:
        console.error(str(error))
        return error.code
    except CLICK_USAGE_ERROR as error:
        message = getattr(error, "format_message", error.__str__)()
        if not arguments:
            sys.stderr.write(message + "\n")
            return 2
        more = f"r1 {console.stage} --help" if console.stage else "r1 --help"
        console.error(f"{message.rstrip('.')} (see {more})")
        return 2
    except streams.ReaderGone:
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Terminated as signalled:
        return signalled.code
    except SystemExit as ended:  # what typer makes of a broken pipe, and completion of its end
        broken = isinstance(ended.__context__, BrokenPipeError)
        return BROKEN_PIPE if broken else int(ended.code or 0)
    except OSError as error:
        console.error(f"cannot write stdout: {error.strerror or error}")
        return READ_OR_WRITE


def discover() -> dict[str, Path]:
    """Stages by command name, in the order of the recipe and then of the alphabet.

    Raises UsageError where a folder of R1_STAGES is missing or has a stage of a known name.
    """
    found = {_command_name(path): path for path in sorted(BUILT_IN.glob("[!_]*.py"))}
    for folder in filter(None, os.environ.get("R1_STAGES", "").split(os.pathsep)):
        if not os.path.isdir(folder):
            raise UsageError(f"R1_STAGES names {folder}, which is no folder")
        for path in sorted(Path(folder).glob("[!_]*.py")):
            name = _command_name(path)
            if name in found:
                raise UsageError(f"{path} and {found[name]} are both called {name}")
            found[name] = path
    order = {name: place for place, name in enumerate(RECIPE)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 99), item[0])))


def first_line(path: Path) -> str:
    """What a stage's docstring begins with, read without running its file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            match = FIRST_LINE.match(source.read(2000))
    except OSError:  # it is told where it is called
        return ""
    return match[1].strip().removesuffix(".") if match else ""


def load(name: str, path: Path) -> Stage:
    """Imports the one stage that is called."""
    from r1cli.signature import describe

    return describe(name, _module(path))


def _module(path: Path) -> ModuleType:
    if path.parent == BUILT_IN:
        return importlib.import_module(f"stages.{path.stem}")
    spec = importlib.util.spec_from_file_location(f"r1_stage_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _command_name(path: Path) -> str:
    return path.stem.replace("_", "-")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


class StageGroup(typer.core.TyperGroup):
    """The commands, each built when it is asked for."""

    stages: Mapping[str, Path]
    arguments: Sequence[str]
    stdout: streams.Product | None = None

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.stages)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        path = self.stages.get(cmd_name)
        if path is None:
            return None
        if cmd_name not in self.commands:
            if self.stdout is None and "_R1_COMPLETE" not in os.environ:
                self.stdout = streams.claim()
            # `r1 --help` does without these and the stage: half of its time.
            from r1cli import command, run

            try:
                stage = load(cmd_name, path)
            except Exception as error:
                if not {"-v", "--verbose"}.isdisjoint(sys.argv):
                    traceback.print_exc()
                if isinstance(error, SyntaxError):
                    place = f"{error.filename or path}:{error.lineno or 1}"
                    raise UsageError(f"{place}: no Python: {error.msg}; mend it") from error
                if isinstance(error, OSError):
                    raise StreamError(f"cannot read {path}: {error.strerror}") from error
                raise R1Error(run.bug(error)) from error

            def perform(values: dict[str, Any]) -> int:
                assert self.stdout is not None
                return run.perform(stage, values, self.stdout, self.arguments)

            self.commands[cmd_name] = command.build(
                stage, stages=self.stages, perform=perform, show=self._show
            )
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.stages and not args[0].startswith("-"):
            raise UsageError(f"no command {args[0]!r}{nearest(args[0], self.stages)} (see r1 --help)")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        lines = {name: first_line(path) for name, path in self.stages.items()}
        recipe = [(name, text) for name, text in lines.items() if name in RECIPE]
        beside = [(name, text) for name, text in lines.items() if name not in RECIPE]
        options = [
            ("--version", "Print the version."),
            ("--install-completion", "Install completion for the current shell."),
            ("--show-completion", "Print the completion script, to copy or change."),
        ]
        sections = [("The recipe", recipe), ("Beside it", beside), ("Options", options)]
        formatter.write(helptext.of_program(ABOUT, sections, width=helptext.width()))

    def _show(self, text: str) -> None:
        assert self.stdout is not None
        self.stdout.write(text.encode())


def _group(stages: Mapping[str, Path], arguments: Sequence[str]) -> StageGroup:
    def root(version: Annotated[bool, typer.Option("--version", is_eager=True)] = False) -> None:
        if version:
            from stages.records.record import code_version

            typer.echo(f"r1 {code_version()}")
            raise typer.Exit

    app = typer.Typer(cls=StageGroup, rich_markup_mode=None, invoke_without_command=True)
    settings = {"help_option_names": ["-h", "--help"]}
    app.callback(context_settings=settings, no_args_is_help=True)(root)
    group = typer.main.get_command(app)
    assert isinstance(group, StageGroup)
    group.stages, group.arguments = stages, arguments
    return group
