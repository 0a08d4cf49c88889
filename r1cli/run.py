"""One run of a stage: records in, product out, the journal beside it, and the code it ends with."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from r1cli import outputs, pages, ranks, streams
from r1cli.command import FILES, GIVEN, JSON, OUTPUT, PLAIN, QUIET, RENAMED, RESUME, VERBOSE
from r1cli.console import Console
from r1cli.signature import Stage, arguments_of
from r1cli.streams import BROKEN_PIPE, INTERRUPTED, READ_OR_WRITE, Terminated
from stages.checkpoints.checkpoint import Checkpoint, partial_of
from stages.records import jsonl
from stages.runtime import shown
from stages.runtime.errors import BadInput, NoRecords, R1Error, StreamError, Unavailable, UsageError
from stages.runtime.results import Browsable, Results, Styled


def perform(
    stage: Stage, values: dict[str, Any], stdout: streams.Product, arguments: Sequence[str] = ()
) -> int:
    """Runs a stage and returns the exit code of whatever it ended with.

    `arguments` are the command line, for a stage that is run by several processes.
    """
    verbose = bool(values[VERBOSE])
    rank, several = ranks.rank_in(stage), ranks.together(stage)
    console = Console(stage.name, quiet=bool(values[QUIET]) or rank > 0, color=not values[PLAIN])
    if several and not verbose:
        ranks.hush()
    for note in values[RENAMED]:
        console.note(note)
    if verbose and not rank:
        chosen = {name: value for name, value in values.items() if not name.startswith("_")}
        console.note(" ".join(f"{name}={shown.value(value)}" for name, value in chosen.items()))

    def tell(error: BaseException, message: str) -> None:
        if several:
            ranks.tell(console, error, message)
        else:
            console.error(message)

    try:
        with console:
            if "Parallelism" in stage.panels and values["nproc"] > 1 and not several:
                return _launched(stage, values, console, stdout, arguments)
            failure = produce(stage, values, console, streams.nowhere() if rank else stdout)
            stdout.close()
        if failure is not None:
            raise failure
        return 0
    except streams.ReaderGone:
        return BROKEN_PIPE
    except KeyboardInterrupt as error:
        tell(error, "interrupted" + unfinished(stage, values))
        return INTERRUPTED
    except Terminated as error:
        tell(error, "terminated" + unfinished(stage, values))
        return error.code
    except (Exception, SystemExit) as error:
        if verbose:
            traceback.print_exc()
        if isinstance(error, R1Error):
            source = f"{streams.named(values[FILES] or ())}: " if isinstance(error, NoRecords) else ""
            tell(error, source + str(error))
            return error.code
        if isinstance(error, OSError):
            where = f" {error.filename}" if error.filename else ""
            tell(error, f"cannot read or write{where}: {error.strerror or error}")
            return READ_OR_WRITE
        # torch has errors of its own for it: one class for GPUs, a message for the CPU.
        short = type(error).__name__ == "OutOfMemoryError" or "not enough memory" in str(error)
        if isinstance(error, MemoryError) or short:
            tell(error, "out of memory")
            return 1
        tell(error, bug(error) + ("" if verbose else "; add -v for the traceback"))
        return 1


def _launched(
    stage: Stage,
    values: dict[str, Any],
    console: Console,
    stdout: streams.Product,
    arguments: Sequence[str],
) -> int:
    """Runs the same command line in `--nproc` processes, once it is known to be right."""
    from r1cli.launch import launch

    arguments_of(stage, values)
    files = tuple(values[FILES] or ())
    streams.records(files, needed=True, example=stage.examples[0] if stage.examples else "")
    return launch(
        arguments,
        values["nproc"],
        files=files,
        stdout=stdout,
        unfinished=lambda: unfinished(stage, values),
    )


def unfinished(stage: Stage, values: dict[str, Any]) -> str:
    """How to go on with a training run that was stopped, if it had begun."""
    if stage.product != "checkpoint" or not stage.has("out"):
        return ""
    work = partial_of(Path(values["out"]))
    return f"; {work} keeps what is done, add --resume to go on" if work.is_dir() else ""


def bug(error: BaseException) -> str:
    """One line for an error that no stage foresaw, with the place it was raised at."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"bug: {type(error).__name__}: {error}{place}"


def produce(
    stage: Stage, values: dict[str, Any], console: Console, stdout: streams.Product
) -> R1Error | None:
    """Runs the stage and writes its product. Returns why a run that came to its end has failed, if it has."""
    out = values["out"] if stage.has("out") else values.get(OUTPUT)
    resume = bool(values[RESUME])
    call = arguments_of(stage, values)
    outputs.check(stage, values, stdout.fileno())
    for path in outputs.twice(values):
        console.note(f"{path} is given twice: its records count twice")
    if stage.reads != "no":
        example = stage.examples[0] if stage.examples else ""
        files = tuple(values[FILES] or ())
        if ranks.together(stage):
            ranks.refuse_stdin(files)
        call["records"] = streams.records(files, needed=stage.reads == "required", example=example)
    if "report" in stage.injected:
        call["report"] = console
    if "given" in stage.injected:
        call["given"] = values[GIVEN] | ({"records"} if values[FILES] else set())
    if "resume" in stage.injected:
        call["resume"] = resume
    with contextlib.ExitStack() as stack:
        if "journal" in stage.injected:
            call["journal"] = stack.enter_context(journal(out, resume, console))
        product = stage.run(**call)
        target = None if stage.has("out") else out
        failure = _write(product, target, bool(values.get(JSON)), console, stdout)
    return failure


@contextlib.contextmanager
def journal(out: Any, resume: bool, console: Console) -> Iterator[jsonl.Journal | None]:
    """`OUT.journal`, kept where the run does not end well. Without a file to write, or into a device, there
    is none.

    Raises UsageError for `resume` without a file, and for an unfinished run without `resume`.
    """
    kept = None if out is None else outputs.journal_of(str(out))
    if kept is None:
        if resume:
            raise UsageError("--resume needs -o FILE: the finished part is kept in FILE.journal beside it")
        yield None
        return
    path = Path(kept)
    opened = jsonl.Journal(path, resume=resume)
    if len(opened):
        console.note(f"{len(opened)} finished records in {path}")
    try:
        yield opened
    except BaseException:
        if len(opened):
            opened.close()
            console.note(f"{len(opened)} finished records are kept in {path}; add --resume to go on")
        else:
            opened.discard()
        raise
    opened.discard()


def _write(
    product: Any, out: Any, as_json: bool, console: Console, stdout: streams.Product
) -> R1Error | None:
    path = None if out is None else str(out)
    if isinstance(product, Checkpoint):
        whole = {"path": str(product.path), **product.manifest}
        stdout.write(jsonl.encode(whole) if as_json else f"{product.path}\n".encode())
    elif isinstance(product, Results):
        with streams.opened(path, stdout) as write:
            for record in product.records:
                write(jsonl.encode(record))
        if product.rows:
            console.table(product.title, product.columns, product.rows)
        for table in product.further:
            console.table(table.title, table.columns, table.rows)
        if product.failure is not None:
            return R1Error(product.failure)
        if product.lacking is not None:
            return Unavailable(product.lacking)
        return None if product.unfit is None else BadInput(product.unfit)
    elif product is not None:
        _pour(product, path, console, stdout)
    return None


def _pour(product: Any, path: str | None, console: Console, stdout: streams.Product) -> None:
    count = 0
    view = product.view() if isinstance(product, Browsable) and path in (None, "-") else None
    if view is not None and pages.wanted(view, stdout):
        with console.held():
            pages.read(view, stdout, plain=console.plain)
        return
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(streams.opened(path, stdout))
        drawn = stack.enter_context(pages.Pages(write, stdout if path in (None, "-") else None, console))
        if hasattr(product, "close"):  # whatever happens, the stage's backends are closed
            stack.callback(product.close)
        for part in _reading(product):
            count += 1
            if isinstance(part, Styled):
                drawn.write(part)
            else:
                write(part.encode() if isinstance(part, str) else jsonl.encode(part))
    if not console.summarised:
        console.summary(f"{count} records")


def _reading(product: Any) -> Iterator[Any]:
    """The stage's records, or its text; its own OSError is not taken for one of the file that is written."""
    try:
        yield from product
    except OSError as error:
        raise StreamError(str(error)) from error
