"""The files a run will write, looked over before it works: none may be a directory, an input, or another
output.

Files are compared as the system knows them, so that a link, a hard link, `./x` or another spelling is the
same file. Devices and pipes may be named as often as one likes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from r1cli.command import CONFIG, FILES, OUTPUT
from r1cli.signature import Stage
from stages.records.jsonl import is_special
from stages.runtime.errors import StreamError, UsageError

# One of these makes a directory a checkpoint or a run: what lies in it is part of the input.
WHOLE = ("config.json", "adapter_config.json", "metrics.jsonl", "r1.json")


NO_STREAM = (
    "- is standard output, which has what the command makes; name a file, or ./- for one that is called so"
)


class Named(NamedTuple):
    """A file and what the command line calls it."""

    name: str
    path: str


def check(stage: Stage, values: Mapping[str, Any], stdout: int) -> None:
    """Raises UsageError where an output would destroy an input or another output, or is a directory;
    StreamError where its folder cannot be written. `stdout` is the descriptor of the product.
    """
    named = list(_outputs(stage, values))
    for each in named:
        if each.path == "-":
            raise UsageError(f"{each.name}: {NO_STREAM}")
    if stage.has("out") and str(values["out"]) == "-":
        raise UsageError("-o -: it is made on disk, and standard output has its path; name a directory")
    outputs = [each for each in named if not is_special(each.path)]
    for output in outputs:
        _check_place(output)
    inputs = list(_inputs(stage, values))
    sinks = [*outputs, *_standard("stdout", stdout)]
    for k, sink in enumerate(sinks):
        for source in inputs:
            if _same(sink.path, source.path):
                raise UsageError(f"{sink.name} is also read, as {source.name}; write to another file")
            if os.path.isdir(source.path) and _part(sink.path, source.path):
                raise UsageError(
                    f"{sink.name} is a part of {source.name}, which is read; write to another file"
                )
        for other in sinks[:k]:
            if _same(sink.path, other.path):
                raise UsageError(f"{other.name} and {sink.name} are one file; write to two")


def twice(values: Mapping[str, Any]) -> list[str]:
    """The input files that are given more than once, under whatever names. Raises UsageError for stdin."""
    files = tuple(values.get(FILES) or ())
    if files.count("-") > 1:
        raise UsageError("- is given twice, and standard input can be read once; name it once")
    again, seen = [], set()
    for path in files:
        found = _status(path)
        if path == "-" or found is None or not stat.S_ISREG(found.st_mode):
            continue
        if (found.st_dev, found.st_ino) in seen:
            again.append(path)
        seen.add((found.st_dev, found.st_ino))
    return again


def journal_of(out: str) -> str | None:
    """Where an unfinished run keeps what it has finished; None where `out` is a device or a pipe, which keeps
    nothing.
    """
    return None if out == "-" or is_special(out) else f"{out}.journal"


def _outputs(stage: Stage, values: Mapping[str, Any]) -> Iterator[Named]:
    out = values.get(OUTPUT)
    if out is not None and out != "-":
        yield Named(f"-o {out or repr(out)}", out or os.curdir)
        journal = journal_of(out)
        if "journal" in stage.injected and journal is not None:
            yield Named(f"{journal}, which -o keeps beside it,", journal)
    for option in stage.options:
        value = values[option.name]
        if option.written and option.repeatable:
            for each in value or ():
                yield Named(f"{option.flags[0]} {each}", each.rpartition("=")[0] or each)
        elif option.written and value is not None:
            yield Named(f"{option.flags[0]} {value}", str(value))


def _inputs(stage: Stage, values: Mapping[str, Any]) -> Iterator[Named]:
    """Every file and directory that the command line names to read, whatever the option."""
    files = tuple(values.get(FILES) or ())
    for path in files:
        if path != "-":
            yield Named(path, path)
    if stage.reads != "no" and (not files or "-" in files):
        yield from _standard("stdin", 0)
    if values.get(CONFIG):
        yield Named(f"--config {values[CONFIG]}", values[CONFIG])
    for option in (*stage.arguments, *stage.options):
        if option.written or option.choices or option.name == "out":
            continue
        value = values[option.name]
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(each, (str, Path)) and str(each):
                yield from _mentioned(option.flags[0], str(each))
                yield from _declared(option.flags[0], str(each))


def _mentioned(flag: str, text: str, folder: str = "") -> Iterator[Named]:
    """The file that an option's value is, or that stands in it, as in `./mine.py:function`, `model=ckpt` or
    `a.jsonl=3`; it counts from `folder`."""
    for path in dict.fromkeys((text, text.rpartition("=")[0], *re.split("[:,=*]", text))):
        if path and _status(os.path.join(folder, path)) is not None:
            yield Named(f"{flag} {path}", os.path.join(folder, path))


def _declared(flag: str, text: str) -> Iterator[Named]:
    """The files that a TOML file names, as a benchmark does: they count from its folder."""
    if not text.lower().endswith(".toml") or not os.path.isfile(text):
        return
    import tomllib

    try:
        with open(text, "rb") as stream:
            document = tomllib.load(stream)
    except (OSError, ValueError, RecursionError):  # the stage says what is wrong with it
        return
    for value in document.values():
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, str):
                yield from _mentioned(f"{flag} {text}:", each, os.path.dirname(text))


def _standard(name: str, descriptor: int) -> Iterator[Named]:
    """A standard stream that is a file, as `> FILE` makes it, under the name the kernel has for it."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode):
        yield Named(name, f"/proc/self/fd/{descriptor}")


def _check_place(output: Named) -> None:
    if os.path.isdir(output.path) or output.path.endswith("/"):
        raise UsageError(f"{output.name}: it is a directory; name a file")
    try:
        os.lstat(output.path)
    except (
        FileNotFoundError,
        NotADirectoryError,
    ):  # new; or told below, with the folder that is none
        pass
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        why = error.strerror if isinstance(error, OSError) else error
        raise StreamError(f"cannot write {output.path}: {why}") from error
    folder = os.path.dirname(os.path.realpath(output.path))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise StreamError(f"cannot write {output.path}: {folder} is no directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StreamError(f"cannot write {output.path}: {folder} may not be written")


def _same(one: str, other: str) -> bool:
    """Whether both names are of one file that is there, or would be."""
    here, there = _status(one), _status(other)
    if here is not None and there is not None:
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
    return here is None and there is None and os.path.realpath(one) == os.path.realpath(other)


def _part(path: str, directory: str) -> bool:
    """Whether `path` is a file of the checkpoint or run in `directory`."""
    if _status(path) is None or not any(_status(os.path.join(directory, name)) for name in WHOLE):
        return False
    root = os.path.realpath(directory)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
