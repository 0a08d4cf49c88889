"""Thousands of hostile runs of the program in one process, each held against what every run must keep.

    python tests/fuzz.py test_fuzz score --count 10000 --seed 0
    python tests/fuzz.py test_fuzz score --only 4711            # one case again, and all it said

A target is a function in the named module: it takes a `Draw` and returns a `Case`. Each case is drawn from
the seed, the target's name and its number alone, so that any of them can be run again by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import faulthandler
import functools
import gzip
import importlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.extend([str(Path(__file__).resolve().parents[1]), *map(str, Path(__file__).parent.glob("[!_]*/"))])

from r1cli import main as program
from r1cli import streams
from r1cli.command import StageCommand, common_options, spellings
from r1cli.signature import Option, Stage
from stages.runtime import shown

CODES = {0, 1, 2, 65, 69, 74}
HANG = 60.0  # seconds that no case needs, however busy the machine
SHOWN = 3  # cases told of each kind of fault
# What no line on stderr may carry: C0 and C1, but the line's end; what turns the direction of text; other
# line ends.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Parts of the key in the environment, and of the passwords in addresses, that nothing may print.
KEY, PASSWORD = b"geheim", b"kennwort"
ROW = re.compile(r"(?::\d+|\[\d+\])(?::|\b)")


@dataclass
class Case:
    """A command line, and the folder it runs in. `outputs` are the files it may make where it ends with 0."""

    arguments: list[str]
    stdin: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    about: str = ""
    keeps: tuple[str, ...] = ()  # what the names of files begin with that may be left in any case
    also: Callable[[Outcome], Iterator[str]] | None = None  # what is wrong, however the run ended
    text: bool = False  # whether stdout is text for people, and not lines of JSON
    mutations: int = 0  # how much in it is wrong
    code: int | None = None  # what it ends with, where that is known
    says: str = ""  # what stands on stderr then, as a pattern
    check: Callable[[Outcome], str | None] | None = None  # what is wrong with a run that ended with 0


class Outcome(NamedTuple):
    """What a run left: its code, its streams, and the files in its folder."""

    code: int | None
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes]


Target = Callable[["Draw"], Case]


class Hang(BaseException):
    """A case took longer than any may."""


# JSON values as a file may hold them, some of which are none.
VALUES = [
    *(b"null", b"true", b"false", b"0", b"-1", b"1.5", b"-0.0", b"1e308", b"1e999", b"NaN", b"-Infinity",
    b"2"),
    *(b"9007199254740993", b"9223372036854775808", b"123456789012345678901234567890", b"1" * 5000, b"0x10",
    b"01"),
    *(b'""', b'" "', b'"a"', b'"\\u0000"', b'"\\u001b[31mred\\u0007\\b"', b'"\\u202e\\u2066x"',
    b'"\\u2028\\u0085\\u009b"'),
    *(b'"\\ud800"', b'"\\udc80x"', b'"\xff"', b'"\xed\xa0\x80"', b'"a\nb"', b'"' + b"x" * 5000 + b'"',
    b'"../../etc"'),
    *(b"[]", b"{}", b"[null]", b"[[]]", b'[1,"a"]', b'{"":{}}', b'{"a":{"b":1}}', b'[{"role":"user"}]',
    b'["a",{}]'),
    *(b'[{"role":"user","content":"1+1"}]', b'[{"role":"user","content":null}]',
    b'[{"role":5,"content":"x"}]'),
    *(b'[{"from":"human","value":"1+1"},{"from":"gpt","value":"2"}]', b'[{"from":"zork","value":3}]',
    b'{"accuracy":"x"}'),
    *(b'{"accuracy":null}', b'{"accuracy":1e400}', b'{"accuracy":true}', b'{"generate":3}', b'"en"', b'"tlh"',
    b'"zh-CN"'),
    *("\"٣\"".encode(), '"½"'.encode(), '"1\u0338"'.encode(), '"ﷺ"'.encode(), b"[" * 1500 + b"]" * 1500),
    *(b"[" * 300 + b"]" * 300, b'{"a":' * 600 + b"1" + b"}" * 600, b'"\\boxed{7', b'"\\\\boxed{7}"', b"",
    b",", b'"', b"{"),
]  # fmt: skip

# Words of a command line, by what an option wants; each option also gets those of the others.
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "9" * 30,
    "-" + "9" * 30,
    "1e3",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "-inf",
    "",
    " ",
    " 1",
    "1 ",
    "1_000",
    "0x10",
    "+5",
    "-0",
    "1.5",
    ".5",
    "1,5",
    "٣",
    "１",
    "½",
    "²",
    "1e-320",
    "9223372036854775807",
    "9223372036854775808",
    "none",
    "null",
    "True",
]
TEXTS = [
    "",
    " ",
    "a",
    "none",
    "-",
    "--",
    "-q",
    "=",
    "a=b",
    "a=b=c",
    "=b",
    "a=",
    ":",
    "a:b",
    "*",
    "\x1b]0;own\x07",
    "\x1b[2J",
    "\u202eabc",
    "\u2028",
    "\x85",
    "\x7f",
    "a\nb",
    "a\rb",
    "a\tb",
    "\udcff\udc80",
    "é",
    "x" * 300,
    "%s%n",
    "{prompt}",
    "{}",
    "{0}",
    "$(id)",
    "../..",
    "~",
    "[red]b[/red]",
    "1/0",
    "0/1",
    "1/1",
    "0/2",
    "²/³",
    "-1/2",
    "echo",
    "None",
    "http://u:kennwort-1@h/v1",
    "x*http://kennwort-2@h:1",
]
PATHS = [
    "",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    ".",
    "..",
    "/",
    "missing",
    "missing/x",
    "folder",
    "folder/x",
    "in.jsonl",
    "./in.jsonl",
    "folder/../in.jsonl",
    "link.jsonl",
    "hard.jsonl",
    "out.jsonl",
    "./out.jsonl",
    "out.gz",
    "out.zst",
    "in.jsonl/x",
    "x" * 300,
    "a\nb",
    "\x1b[31m",
    "\udcff",
    "dangling",
    "loop",
    "conf.toml",
    "out.jsonl.journal",
]


class Draw(random.Random):
    """Random numbers that know what a command is fed with. `number` is the case's; `mutations` counts the
    lines, files, options, checkpoints and configurations that it has made wrong.
    """

    number: int
    mutations = 0

    def of(self, *kinds: Any) -> Any:
        """One of the values."""
        return self.choice(kinds)

    def one_in(self, n: int) -> bool:
        return self.randrange(n) == 0

    def value(self) -> bytes:
        """A JSON value, or what stands where one should."""
        return self.choice(VALUES)

    def line(self, record: Mapping[str, Any]) -> bytes:
        """`record` as a line, with some fields changed, taken away, added or doubled."""
        pairs = [(json.dumps(k).encode(), json.dumps(v).encode()) for k, v in record.items()]
        changes = self.of(0, 1, 1, 1, 2, 3)
        self.mutations += bool(changes)
        for _ in range(changes):
            at = self.randrange(len(pairs)) if pairs else 0
            way = self.random()
            if way < 0.6 and pairs:
                pairs[at] = (pairs[at][0], self._inside(pairs[at][1]))
            elif way < 0.75 and pairs:
                del pairs[at]
            elif way < 0.9:
                name = self.of(*FIELDS)
                pairs.append((json.dumps(name).encode(), self.value()))
            elif pairs:
                pairs.append((pairs[at][0], self.value()))
        return b"{" + b",".join(k + b":" + v for k, v in pairs) + b"}"

    def _inside(self, value: bytes) -> bytes:
        """Another value, or this one with a value inside it replaced."""
        if value[:1] in b"[{" and self.one_in(2):
            parts = list(re.finditer(rb'"[^"]*"|-?\d+(?:\.\d+)?|null|true|false', value))
            if parts:
                part = self.choice(parts)
                return value[: part.start()] + self.value() + value[part.end() :]
        return self.value()

    def damaged(self, data: bytes) -> bytes:
        """`data` with a few bytes flipped, cut, doubled or put in, or in another encoding."""
        self.mutations += 1
        for _ in range(self.of(1, 1, 2, 4)):
            at = self.randrange(len(data) + 1)
            to = min(len(data), at + self.of(1, 2, 10, 100))
            way = self.randrange(12)
            if way < 3 and data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ (1 << self.randrange(8))]) + data[at + 1 :]
            elif way < 5:
                data = data[:at] + data[to:]
            elif way < 6:
                data = data[:at]
            elif way < 7:
                data = data[:to] + data[at:to] + data[to:]
            elif way < 10:
                junk = self.of(
                    b"\0",
                    b"\xff",
                    b"\n",
                    b"\r\n",
                    b"\r",
                    b"{",
                    b'"',
                    b"\x1b[2J",
                    b"\xef\xbb\xbf",
                    b" ",
                    b"\xc2\x85",
                    b"\xe2\x80\xae",
                    b"\\u0000",
                    b"1" * 400,
                )
                data = data[:at] + junk + data[at:]
            else:
                text = data.decode("utf-8", "replace")
                code = self.of("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1", "utf-7")
                data = text.encode(code, "replace")
        return data

    def packed(self, name: str, data: bytes) -> tuple[str, bytes, bool | None]:
        """`data` compressed under a fitting name; the last says whether it is damaged, None where nobody can
        tell.
        """
        import zstandard

        kind = self.of(".gz", ".zst")
        press: Callable[[bytes], bytes] = (
            functools.partial(gzip.compress, mtime=0)
            if kind == ".gz"
            else zstandard.ZstdCompressor(write_checksum=self.one_in(2)).compress
        )
        cut = self.randrange(len(data) + 1)
        frames = [press(data)] if self.one_in(2) else [press(data[:cut]), press(data[cut:])]
        whole = b"".join(frames)
        way = self.randrange(5)
        if way == 0:
            return name + kind, whole, False
        if way == 4:
            return name + kind, self.damaged(whole), None
        self.mutations += 1
        if way == 1:  # cut where no frame ends
            at = self.randrange(len(whole))
            ends = {sum(map(len, frames[:k])) for k in range(1, len(frames))}
            return name + kind, whole[:at], None if at in ends else True
        if way == 2:
            return name + kind, whole + self.of(b"x", b"garbage", b"\x1f", b"\x28\xb5", b"{}\n"), True
        return name + kind, self.of(b"", b"\0", data, b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08"), True

    def word(self, option: Option) -> str:
        """A value for `option`: mostly of its kind, mostly wrong."""
        self.mutations += 1
        if option.choices and self.one_in(2):
            chosen = self.choice(option.choices)
            return self.of(chosen, chosen, chosen.upper(), chosen[:2], chosen + "\x1b")
        pools = {int: NUMBERS, float: NUMBERS, Path: PATHS}
        pool = pools.get(option.base, TEXTS)
        if "FILE" in option.metavar:
            pool = PATHS
        return self.choice(pool if not self.one_in(6) else self.of(NUMBERS, TEXTS, PATHS))

    def options(self, stage: Stage, *, skip: Sequence[str] = ()) -> list[str]:
        """One to three options of the stage, with a word each; now and then one that it does not have."""
        known = [o for o in (*stage.options, *common_options(stage)) if o.name not in skip]
        words: list[str] = []
        for option in self.sample(known, min(len(known), self.of(1, 1, 2, 3))):
            flag = self.choice(spellings(option)).partition("/")[0]
            if option.base is bool:
                self.mutations += 1
                words += [flag] if not self.one_in(8) else [f"{flag}={self.word(option)}"]
            else:
                for _ in range(self.of(1, 1, 1, 2)):
                    word = self.word(option)
                    words += [f"{flag}={word}"] if self.one_in(2) else [flag, word]
        if self.one_in(20):
            self.mutations += 1
            words.append(
                self.of("--zork", "--zork=\x1b[31m", "-Z", "--see", "--", "-", "---", "\x1b[1m", "--\udcff")
            )
        return words

    def toml(self, stage: Stage, *, skip: Sequence[str] = ()) -> bytes:
        """A configuration for the stage, right and wrong."""
        known = [o for o in stage.options if o.name not in skip and not o.written]
        lines = ["" if self.one_in(2) else f"[{self.of(stage.name, stage.name, 'zork', 'generate')}]"]
        for option in self.sample(known, min(len(known), self.of(1, 2, 3))):
            key = self.of(
                option.name, option.name.replace("_", "-"), option.name + "x", '"\\u001b[31m"', "a.b"
            )
            value = self.of(
                "1",
                "-1",
                "0",
                "1.5",
                "nan",
                "-inf",
                "1e400",
                "99999999999999999999999",
                "true",
                '""',
                '"a"',
                '"\\u0000"',
                '"\\u001b[2J"',
                "[]",
                "[1]",
                '["a"]',
                "[[1]]",
                "{}",
                "{a=1}",
                "1979-05-27",
                "'''\n'''",
                f'"{option.default}"',
                "\x00",
                "'",
                "[" * 1200,
            )
            lines.append(f"{key} = {value}")
        data = "\n".join(lines).encode()
        if self.one_in(4):
            return self.damaged(data)
        self.mutations += 1
        return data


FIELDS = (
    "id",
    "prompt",
    "answer",
    "completion",
    "prefill",
    "lang",
    "kind",
    "choices",
    "tests",
    "rewards",
    "reward",
    "group",
    "meta",
    "tools",
    "messages",
    "conversations",
    "generations",
    "gym",
    "completion_ids",
    "finish",
    "logprobs",
    "sample",
    "reasons",
)


def layout(case: Case) -> None:
    """Everything a command line of `PATHS` may name beside the case's own files."""
    case.folders = (*case.folders, "folder")
    case.links |= {"link.jsonl": "in.jsonl", "dangling": "nowhere", "loop": "loop"}


def parser_of_each(make: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`make_parser`, which does its work once for a command: a parser keeps nothing of what it has parsed."""
    held: dict[Any, Any] = {}

    def make_once(command: Any, context: Any) -> Any:
        if command not in held:
            held[command] = make(command, context)
        held[command].ctx = context
        return held[command]

    return make_once


SIMILAR = functools.cache(difflib.get_close_matches)


def close_matches(word: str, possibilities: Iterable[str], *rest: Any, **options: Any) -> list[str]:
    """As difflib's own, once for the same words: typer asks it of every short option, among all long ones."""
    return [*SIMILAR(word, tuple(possibilities), *rest, **options)]


class Runner:
    """Runs cases one after the other in this process, in a folder that each finds as it wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = os.fdopen(os.dup(1), "w")
        self.out, self.err, self.inn = (os.memfd_create(n) for n in ("out", "err", "in"))
        os.dup2(self.inn, 0)
        os.dup2(self.err, 2)
        self.product = -1
        self._one: Any = None
        self._make = program._group
        program._group = self._group
        program.discover = functools.cache(program.discover)
        for kind in (program.StageGroup, StageCommand):
            kind.make_parser = parser_of_each(kind.make_parser)
        difflib.get_close_matches = close_matches
        program.show_as_text()
        signal.signal(signal.SIGALRM, self._alarm)
        os.chdir(folder)

    def _alarm(self, number: int, frame: Any) -> None:
        raise Hang

    def _group(self, stages: Any, arguments: Any) -> Any:
        """The program's group, with the commands it has built: building them is most of a short run."""
        if self._one is None:
            self._one = self._make(stages, arguments)
        group = self._one
        group.arguments = arguments
        os.dup2(self.out, 1)
        group.stdout = streams.claim()
        self.product = group.stdout.fileno()
        return group

    def set_up(self, case: Case) -> None:
        """Makes the case's files."""
        for name, data in case.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in case.folders:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name, to in case.links.items():
            (self.folder / name).symlink_to(to)

    def run(self, case: Case) -> Outcome:
        """The case's outcome. Raises Hang after `HANG` seconds."""
        self.set_up(case)
        for memory in (self.out, self.err, self.inn):
            os.ftruncate(memory, 0)
            os.lseek(memory, 0, os.SEEK_SET)
        os.write(self.inn, case.stdin)
        os.lseek(self.inn, 0, os.SEEK_SET)
        os.dup2(self.inn, 0)
        os.dup2(self.err, 2)
        signal.setitimer(signal.ITIMER_REAL, HANG)
        try:
            code: int | None = program.program(case.arguments)
        except Exception:
            traceback.print_exc()
            code = None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stderr.flush()
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self.product), os.fstat(self.out)):
                    os.close(self.product)
        return Outcome(code, self._read(self.out), self._read(self.err), self._found())

    def _read(self, memory: int) -> bytes:
        return os.pread(memory, os.fstat(memory).st_size, 0)

    def _found(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for root, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(root, name)
                if not os.path.islink(path):
                    with open(path, "rb") as stream:
                        found[os.path.relpath(path, self.folder)] = stream.read()
        return found

    def clear(self) -> None:
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def faults(case: Case, outcome: Outcome) -> Iterator[str]:
    """What the run has broken of the program's promises."""
    try:
        said = outcome.stderr.decode()
    except UnicodeDecodeError:
        yield "stderr is not UTF-8"
        said = outcome.stderr.decode(errors="replace")
    kept = b"".join(data for name, data in outcome.files.items() if name not in case.files)
    if KEY in outcome.stdout + outcome.stderr + kept:
        yield "a key is printed or kept"
    if PASSWORD in outcome.stderr:
        yield "a password is printed"
    if case.code is not None and outcome.code != case.code:
        yield f"exit code {outcome.code}, and {case.code} was expected"
    if not re.search(case.says, said):
        yield f"no {case.says!r} on stderr"
    if outcome.code not in CODES:
        yield f"exit code {outcome.code}"
    verbose = not {"-v", "--verbose"}.isdisjoint(case.arguments)
    for word in ("Traceback", "bug:", "Warning: "):
        if word in said and not (verbose and word == "Traceback"):
            yield f"{word} on stderr"
    if (found := CONTROL.search(said)) is not None:
        yield f"control character {found.group()!r} on stderr"
    command = next((word for word in case.arguments if not word.startswith("-")), "")
    errors = [line for line in said.splitlines() if line.startswith((f"r1 {command}: ", "r1: "))]
    if outcome.code:
        yield from _told(case, outcome.code, errors)
    elif errors:
        yield "an error on stderr and exit code 0"
    yield from _kept(case, outcome)
    if case.also is not None:
        yield from case.also(outcome)
    if case.text and CONTROL.search(outcome.stdout.decode(errors="replace")):
        yield "a control character in text for people"
    if outcome.code == 0 and not case.text:
        for line in outcome.stdout.splitlines():
            try:
                json.loads(line, parse_constant=float)
            except ValueError:
                yield "a line on stdout that is no JSON"
                break
        if case.check is not None and (wrong := case.check(outcome)):
            yield wrong


def _told(case: Case, code: int, errors: list[str]) -> Iterator[str]:
    """One line, with the place: a file's line where a record is at fault, else a file or an option."""
    if len(errors) != 1:
        yield f"{len(errors)} lines of error"
        return
    line = errors[0].partition(": ")[2]
    if code == 65 and not ROW.search(line):
        files = {*case.files, "stdin", ".", *(w.rpartition("=")[2] for w in case.arguments)} - {""}
        if not any(shown.line(name) in line for name in files):
            yield "bad input without a place"
    typed = {part for word in case.arguments[1:] for part in (word, word.partition("=")[2]) if part}
    words = typed | {str(Path(word)) for word in typed}
    named = any(shown.line(word) in line for word in words) or "''" in line
    if (
        code == 2
        and not named
        and not re.search(r"-\w|--|[\w./]+\.\w+|OPENAI_API_KEY|accuracy: |format: ", line)
    ):
        yield "a usage error that names no option"
    if code == 74 and not re.search(r"read|write", line):
        yield "a stream error that does not say what"
    if len(line) > 2000:
        yield "an error of more than 2000 characters"


def _kept(case: Case, outcome: Outcome) -> Iterator[str]:
    """No input is changed, and nothing is left that was not asked for."""
    for name, data in case.files.items():
        if name not in case.outputs and outcome.files.get(name) != data:
            yield "an input was changed" if name in outcome.files else "an input is gone"
    for name in outcome.files:
        measured = outcome.code == 1 and re.search(rb"pass@1 of|--tensor-parallel$|--gpus$", outcome.stderr)
        if name in case.files or ((outcome.code == 0 or measured) and name in case.outputs):
            continue
        if name.startswith(case.keeps):
            continue
        if outcome.code and name.endswith(".journal") and outcome.files[name]:
            continue
        yield f"{re.sub('[A-Za-z0-9_]{8}$', '*', name)} is left" if name.startswith(".") else "a file is left"


def _alone() -> bool:
    """Whether this thread is the only one, or is soon, but for the one that watches a library's progress bars
    for as long as the process lives.
    """
    for _ in range(100):
        if all(each.name in ("MainThread", "tqdm_monitor") for each in threading.enumerate()):
            return True
        time.sleep(0.002)
    return False


def outside(case: Case, runner: Runner) -> Outcome:
    """The case's outcome as a process of its own."""
    runner.set_up(case)
    line = [sys.executable, "-m", "r1cli", *case.arguments]
    root = str(Path(__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(line, input=case.stdin, env=env, capture_output=True, timeout=120, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr, runner._found())


def drawn(target: Target, seed: int, number: int) -> Case:
    """Case `number` of the target."""
    draw = Draw(f"{seed}/{target.__name__}/{number}")
    draw.number = number
    case = target(draw)
    case.mutations = draw.mutations
    return case


def fuzz(
    module: Any,
    name: str,
    numbers: Iterable[int],
    most: int | None,
    seed: int,
    runner: Runner,
    only: bool,
    real: bool,
) -> int:
    """Runs the cases, until they had `most` mutations together, and tells what they found. Returns how many
    had a fault.
    """
    target: Target = getattr(module, name)
    codes: Counter[int | None] = Counter()
    kinds: dict[str, list[tuple[int, Case, Outcome]]] = {}
    bad = mutations = 0
    start = time.process_time()
    for number in numbers:
        if most is not None and mutations >= most:
            break
        case = drawn(target, seed, number)
        mutations += case.mutations
        if number % 100 == 0:
            faulthandler.dump_traceback_later(10 * HANG, exit=True, file=runner.report)
        try:
            outcome = runner.run(case)
            found = list(faults(case, outcome))
        except Hang:
            outcome, found = Outcome(None, b"", runner._read(runner.err), {}), ["hang"]
        if not _alone():
            found.append("a thread is left")
        if real:
            runner.clear()
            other = outside(case, runner)
            if (other.code, other.stdout) != (outcome.code, outcome.stdout):
                found.append(f"another end as a process: {other}")
            found += [f"as a process: {each}" for each in faults(case, other)]
        codes[outcome.code] += 1
        bad += bool(found)
        for each in found:
            last = (outcome.stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
            kind = f"{each}: {re.sub(r'[0-9]+', 'N', last)[:60]}" if "left" not in each else each
            kinds.setdefault(kind, []).append((number, case, outcome))
        if only:
            print(case, file=runner.report)
            print(outcome, file=runner.report)
        runner.clear()
    faulthandler.cancel_dump_traceback_later()
    ends = ", ".join(f"{count} × {code}" for code, count in sorted(codes.items(), key=str))
    spent = time.process_time() - start
    print(
        f"{name}: {mutations} mutations in {codes.total()} cases, {spent:.1f} s of CPU, ended with {ends}; "
        f"{bad} with a fault",
        file=runner.report,
    )
    for kind, cases in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"  {len(cases)} × {kind!r}", file=runner.report)
        for number, case, outcome in cases[:SHOWN]:
            said = outcome.stderr.decode(errors="replace").strip()[-600:]
            print(f"    #{number} {case.arguments!r} {case.about}\n      {said!r}", file=runner.report)
    runner.report.flush()
    return bad


def fuzzed(
    module: str,
    names: Sequence[str],
    count: int | None = None,
    *,
    mutations: int | None = None,
    seed: int = 0,
    key: str = "geheim-1234567",
    real: bool = False,
) -> str:
    """Runs `count` cases of each target, or as many as have so many `mutations`, in a process of their own.
    Raises AssertionError with what they found.
    """
    line = [sys.executable, __file__, module, *names, "--seed", str(seed), *(["--real"] if real else [])]
    line += ["--mutations", str(mutations)] if mutations else ["--count", str(count)]
    probes = str(Path(__file__).resolve().parent / "probes")
    env = {
        **os.environ,
        "OPENAI_API_KEY": key,
        "R1_STAGES": probes,
        "OMP_NUM_THREADS": "1",
        "TERM": "dumb",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=1500, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--mutations", type=int, help="as many cases as have these, instead of --count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--real", action="store_true", help="each also as a process of its own")
    asked = parser.parse_args()
    module = importlib.import_module(asked.module)
    getattr(module, "prepare", lambda: None)()
    numbers: Iterable[int] = range(asked.count) if asked.mutations is None else itertools.count()
    numbers = numbers if asked.only is None else [asked.only]
    with tempfile.TemporaryDirectory(
        prefix="r1-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
    ) as name:
        runner = Runner(Path(name))
        try:
            bad = sum(
                fuzz(
                    module,
                    each,
                    numbers,
                    asked.mutations,
                    asked.seed,
                    runner,
                    asked.only is not None,
                    asked.real,
                )
                for each in asked.targets
            )
        except BaseException:
            traceback.print_exc(file=runner.report)
            runner.report.flush()
            raise
        finally:
            os.chdir("/")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
