"""Every write and rename of every command may fail, and every moment be its last: what it makes is whole or
not there, and the same command with --resume ends with the bytes of an undisturbed run, and with no file that
is its own besides.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from queue import Queue

import pytest
from conftest import environment
from faults import (
    ALTER,
    CLOCK,
    FAIL,
    FAIL_ON,
    KILL_AFTER,
    KILL_BEFORE,
    READ,
    SHORT,
    SHORT_ON,
    SHRINK,
    Ended,
    Fault,
    Machine,
    compiled,
    machine,
)

from stages import init, sft
from stages.settings.groups import Engine

LIGHT = ("r1cli.main", "r1cli.run", "r1cli.command", "zstandard", *(
    f"stages.{name}"
    for name in ("prompts", "generate", "score", "filter", "split", "sort", "show", "stats", "mix", "export",
                 "eval", "report")
), "stages.inference.echo", "stages.benchmarks.sums", "stages.scoring.scorer")  # fmt: skip
HEAVY = (
    *LIGHT, "stages.init", "stages.convert", "stages.sft", "stages.grpo", "stages.distill", "gguf",
    "stages.reward_model", "stages.training.reward_model.learner",
    "transformers.models.llama.modeling_llama", "stages.training.distill.traces", "pandas",
    "pyarrow.parquet", "matplotlib.pyplot", "stages.training.grpo.train",
    "stages.inference.transformers.backend",
)  # fmt: skip
TIMES = re.compile(rb'("(?:step_time|time/\w+)":) ?[-+.e\d]+')
LONG = 80  # calls of a command
ERRORS = (errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOSPC)


@dataclass(frozen=True)
class Command:
    """A command line; `IN/` and `OUT/` in it stand for the folders of inputs and of products."""

    name: str
    line: str
    products: tuple[str, ...]
    heavy: bool = True

    def arguments(self, given: Path, out: Path) -> list[str]:
        return [each.replace("IN/", f"{given}/").replace("OUT/", f"{out}/") for each in self.line.split()]


MODEL = "-m IN/tiny -t none --threads 1"
TRAINING = f"{MODEL} --save-every 1 --lr 1e-3"
COMMANDS = {
    command.name: command
    for command in (
        Command("prompts", "prompts sums -n 4 -o OUT/p.jsonl.gz", ("p.jsonl.gz",), False),
        Command(
            "echo",
            "generate -m none --backend echo -t none -n 2 IN/p.jsonl -o OUT/g.jsonl",
            ("g.jsonl",),
            False,
        ),
        Command("score", "score -r format IN/g.jsonl -o OUT/s.jsonl.zst", ("s.jsonl.zst",), False),
        Command(
            "filter",
            "filter --keep all --max-length 3 IN/s.jsonl -o OUT/f.jsonl --rejects OUT/new/r.jsonl",
            ("f.jsonl", "new/r.jsonl"),
            False,
        ),
        Command(
            "split",
            "split --share OUT/v.jsonl.gz=0.4 IN/s.jsonl -o OUT/r.jsonl",
            ("v.jsonl.gz", "r.jsonl"),
            False,
        ),
        Command("sort", "sort --by group IN/s.jsonl -o OUT/o.jsonl", ("o.jsonl",), False),
        Command("show", "show --diff IN/g.jsonl IN/s.jsonl -o OUT/page.txt.gz", ("page.txt.gz",), False),
        Command("stats", "stats IN/s.jsonl IN/g.jsonl -o OUT/o.jsonl", ("o.jsonl",), False),
        Command(
            "mix", "mix IN/p.jsonl=1 IN/s.jsonl=2 -n 9 --repeat -o OUT/m.jsonl.gz", ("m.jsonl.gz",), False
        ),
        Command("eval", "eval IN/s.jsonl --save OUT/e.jsonl -o OUT/m.jsonl", ("e.jsonl", "m.jsonl"), False),
        Command(
            "export", "export IN/s.jsonl --parquet OUT/x.parquet -o OUT/x.jsonl", ("x.parquet", "x.jsonl")
        ),
        Command("page", "report IN/s.jsonl --html OUT/p.html -o OUT/o.jsonl", ("p.html", "o.jsonl"), False),
        Command("report", "report IN/sft --png OUT/c.png -o OUT/r.jsonl", ("c.png", "r.jsonl")),
        Command("init", "init -o OUT/new --hidden 16 --layers 1 --heads 2 --context 64", ("new",)),
        Command("convert", "convert IN/small.gguf -o OUT/converted", ("converted",)),
        Command("generate", f"generate {MODEL} -n 2 --max-tokens 4 IN/p.jsonl -o OUT/g.jsonl", ("g.jsonl",)),
        Command(
            "measure",
            f"eval {MODEL} -k 2 -r format --max-tokens 4 IN/p.jsonl --save OUT/e.jsonl -o OUT/m.jsonl",
            ("e.jsonl", "m.jsonl"),
        ),
        Command("sft", f"sft {TRAINING} --batch 4 --epochs 1 IN/s.jsonl -o OUT/sft", ("sft",)),
        Command(
            "grpo",
            f"grpo {TRAINING} -n 2 --steps 2 --problems 2 --max-tokens 4 -r format --beta 0.1 "
            f"--ref-reset 1"
            " --workers 1 IN/p.jsonl -o OUT/grpo",
            ("grpo",),
        ),
        Command(
            "distill",
            f"distill {TRAINING} --teacher IN/tiny -n 2 --keep all --max-tokens 4 -r format "
            f"--workers 1"
            " --epochs 1 --batch 4 IN/p.jsonl -o OUT/distilled",
            ("distilled",),
        ),
        Command(
            "reward-model",
            "reward-model -m IN/tiny --threads 1 --save-every 1 --lr 1e-3 --batch 2 --eval IN/held.jsonl "
            "IN/pairs.jsonl -o OUT/judge",
            ("judge",),
        ),
        Command(
            "kept", f"sft {TRAINING} --keep-last 1 --batch 4 --epochs 1 IN/s.jsonl -o OUT/kept", ("kept",)
        ),
        Command(
            "measured",
            f"sft {TRAINING} --eval IN/h.jsonl --eval-every 1 --batch 4 --epochs 1 IN/s.jsonl "
            "-o OUT/measured",
            ("measured",),
        ),
    )
}


@dataclass
class Tally:
    """What was tried and what came of it."""

    tried: Counter[str] = field(default_factory=Counter)
    ended: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        points = sum(self.tried.values())
        return f"{points} points {dict(self.tried)}, ended {dict(self.ended)}, {len(self.wrong)} wrong"


def kills(faults: Sequence[Fault]) -> int:
    return sum(fault.kills for fault in faults)


def held(folder: Path) -> dict[str, bytes]:
    """All files below a folder, and the empty folders, without the figures that are times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file():
            content = path.read_bytes()
            found[name] = TIMES.sub(rb"\1 0", content) if path.suffix in (".json", ".jsonl") else content
        elif not any(path.iterdir()):
            found[name + "/"] = b""
    return found


class Bench:
    """A machine with a folder of its own for what a command makes."""

    def __init__(self, machine: Machine, given: Path, folder: Path, known: dict[bytes, str]) -> None:
        """`known` is what was wrong after the next run, by what that run found; benches may share it."""
        self.machine, self.pristine, self.known = machine, given, known
        self.given, self.out, self.tmp = folder / "in", folder / "out", folder / "tmp"
        self.whole: dict[str, dict[str, bytes]] = {}

    def clear(self) -> None:
        shutil.copytree(self.pristine, self.given, dirs_exist_ok=True)
        for folder in (self.out, self.tmp):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def run(self, command: Command, *more: str, fault: Fault = Fault(), root: Path | None = None) -> Ended:
        line = [*command.arguments(self.given, self.out), *more]
        return self.machine.run(line, root=root or self.out, fault=fault, TMPDIR=str(self.tmp))

    def undisturbed(self, command: Command, reading: bool = False) -> list[tuple[str, str]]:
        """The calls of a run without a fault, whose result is kept to compare with."""
        self.clear()
        done = self.run(
            command,
            fault=Fault(kinds=READ if reading else ALTER),
            root=self.given if reading else None,
        )
        assert done.code == 0, done.stderr
        self.whole[command.name] = held(self.out)
        assert {name.partition("/")[0] for name in self.whole[command.name]} == {
            product.partition("/")[0] for product in command.products
        }
        return done.calls

    def length(self, command: Command) -> tuple[int, float]:
        """How many calls on any file an undisturbed run makes, and how many seconds it takes."""
        self.clear()
        begun = time.monotonic()
        done = self.run(command, fault=Fault(kinds=ALTER | READ, everywhere=True))
        return done.count, time.monotonic() - begun

    def under_leaping_clock(self, command: Command) -> bool:
        """Whether a run whose wall clock leaps gives the same."""
        self.clear()
        done = self.run(command, fault=Fault(kinds=CLOCK))
        return done.code == 0 and held(self.out) == self.whole[command.name]

    def misread(self, command: Command, fault: Fault) -> tuple[int, str]:
        """How a run ends whose inputs cannot be read, or become shorter, and what is wrong with that."""
        self.clear()
        ended = self.run(command, fault=fault, root=self.given)
        last = (ended.stderr.strip().splitlines() or [""])[-1]
        why = ""
        if ended.code not in (0, 65, 69, 74):
            why = f"ends with {ended.code}: {ended.stderr[-500:]}"
        elif ended.code and (not last.startswith("r1") or str(self.given) not in last):
            why = f"says {last!r}"
        elif "Traceback" in ended.stderr:
            why = f"says {ended.stderr!r}"
        elif ended.code == 0 and held(self.out) != self.whole[command.name]:
            why = "ends well with another result"
        return ended.code, why

    def faulty(self, command: Command, fault: Fault, old: bool) -> tuple[int, str]:
        """How a run under `fault` ends, and what is wrong with it or with the one after it."""
        self.clear()
        if old:  # what stands there from before is kept whole too
            for product in command.products:
                (self.out / product).parent.mkdir(exist_ok=True)
                (self.out / product).write_bytes(b"old")
        ended = self.run(command, fault=fault)
        why = self._end(command, fault, ended) or self._halves(command, ended) or self._next(command, fault)
        return ended.code, why

    def _end(self, command: Command, fault: Fault, ended: Ended) -> str:
        last = (ended.stderr.strip().splitlines() or [""])[-1]
        stage = command.line.partition(" ")[0]
        if "Traceback" in ended.stderr:
            return f"says {ended.stderr!r}"
        if ended.code == 74:
            if fault.how == SHORT:
                return f"a short write ends the run: {last!r}"
            named = last.startswith(f"r1 {stage}: cannot ") and str(self.out) in last
            return "" if named else f"says {last!r}"
        fine = ended.code == 0 or (fault.kills and ended.code == -9)
        return "" if fine else f"ends with {ended.code}: {ended.stderr[-500:]}"

    def _halves(self, command: Command, ended: Ended) -> str:
        now, whole = held(self.out), self.whole[command.name]
        for product in command.products:
            parts, asked = (
                {n: c for n, c in each.items() if n == product or n.startswith(product + "/")}
                for each in (now, whole)
            )
            if parts != asked and (ended.code == 0 or parts not in ({}, {product: b"old"})):
                return f"{product} is half made"
        return ""

    def _next(self, command: Command, fault: Fault) -> str:
        """What is wrong after the same command, with --resume only where it is needed.

        It is run once for all faults that have left the same files: nothing else of them is left.
        """
        unfinished = any(each.suffix in (".journal", ".partial") for each in self.out.iterdir())
        taken = any((self.out / product).is_dir() for product in command.products)
        more = ["--resume"] if fault.kills or unfinished or taken else []
        left = repr((command, more, held(self.out), held(self.tmp))).encode()
        key = sha256(left.replace(bytes(self.out.parent), b"")).digest()
        if key not in self.known:
            self.known[key] = self._after(command, *more)
        return self.known[key]

    def _after(self, command: Command, *more: str) -> str:
        whole = self.whole[command.name]
        done = self.run(command, *more)
        if done.code:
            return f"the next run ends with {done.code}: {done.stderr[-500:]}"
        now = held(self.out)
        if now != whole:
            names = sorted(n for n in {*now, *whole} if now.get(n) != whole.get(n))
            return f"other files after the next run: {names}"
        return f"left in TMPDIR: {sorted(held(self.tmp))}" if any(self.tmp.iterdir()) else ""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = compiled(tmp_path_factory.mktemp("library"))
    if made is None:
        pytest.skip("no C compiler here")
    return made


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of the commands that need no torch: problems, completions, scored completions."""
    folder = tmp_path_factory.mktemp("given")
    problems = [{"id": str(i), "prompt": f"{i}+{i}=?", "answer": str(2 * i)} for i in range(4)]
    made = [
        {**p, "id": f"{p['id']}#{k}", "group": p["id"], "sample": k, "completion": f"{k}" * (3 + k)}
        for p in problems
        for k in range(2)
    ]
    scored = [{**m, "rewards": {"accuracy": k % 2}, "reward": k % 2} for k, m in enumerate(made)]
    lessons = [{"prompt": m["prompt"], "completion": m["completion"]} for m in made]
    pairs = [{"id": p["id"], "prompt": p["prompt"], "chosen": p["answer"], "rejected": "x"} for p in problems]
    for name, records in (
        ("p", problems),
        ("g", made),
        ("s", scored),
        ("h", lessons),
        ("pairs", pairs),
        ("held", pairs),
    ):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="module")
def models(library: Path, given: Path) -> Path:
    """The inputs besides that need torch to make."""
    from gguf_file import small_gguf

    small_gguf(given / "small.gguf")
    init.run(init.Settings(out=given / "tiny", hidden=16, layers=1, heads=2, context=64))
    sft.run(
        [{"id": "a", "prompt": "1", "completion": "2"}],
        sft.Settings(
            model=str(given / "tiny"),
            out=given / "sft",
            template="none",
            epochs=2,
            engine=Engine(device="cpu", threads=1),
        ),
    )
    return given


def benches(
    library: Path,
    given: Path,
    temporary: pytest.TempPathFactory,
    imports: Sequence[str],
) -> Iterator[list[Bench]]:
    """As many benches as there are cores to use, at most two."""
    # In memory where there is such a folder: thousands of runs force all they write to disk.
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else temporary.getbasetemp()
    with ExitStack() as stack:
        made: list[Bench] = []
        known: dict[bytes, str] = {}
        for _ in range(min(2, len(os.sched_getaffinity(0)))):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="r1-faults-", dir=base)))
            each = stack.enter_context(machine(folder, library, *imports))
            made.append(Bench(each, given, folder, known))
        yield made


@pytest.fixture(scope="module")
def light(library: Path, given: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """Benches for commands that need no torch."""
    yield from benches(library, given, tmp_path_factory, LIGHT)


@pytest.fixture(scope="module")
def heavy(library: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """Benches for all commands."""
    yield from benches(library, models, tmp_path_factory, HEAVY)


def attempt(
    benches: Sequence[Bench],
    command: Command,
    faults: Callable[[list[tuple[str, str]]], list[Fault]],
    reading: bool = False,
) -> Tally:
    """Runs the command under each fault, shared out over the benches."""
    free = Queue[Bench]()
    calls: list[tuple[str, str]] = []
    for bench in benches:
        calls = bench.undisturbed(command, reading)
        free.put(bench)

    def one(number: int, fault: Fault) -> tuple[Fault, int, str]:
        bench = free.get()
        try:
            if reading:
                return fault, *bench.misread(command, fault)
            old = bool(number % 2) and "." in command.products[0]
            return fault, *bench.faulty(command, fault, old)
        finally:
            free.put(bench)

    tally = Tally()
    with ThreadPoolExecutor(len(benches)) as pool:
        for fault, code, why in pool.map(one, *zip(*enumerate(faults(calls)), strict=True)):
            tally.tried[fault.name] += 1
            tally.ended[code] += 1
            if why:
                place = calls[fault.at - 1] if 0 < fault.at <= len(calls) else ""
                tally.wrong.append(f"{fault} {place}: {why}")
    print(f"{command.name}: {tally}")
    return tally


def at_each(calls: list[tuple[str, str]]) -> list[Fault]:
    """At each call an error that stays, one that passes, and a kill; at each write also one that is short."""
    faults = []
    for n, (call, _) in enumerate(calls, 1):
        error = ERRORS[n % len(ERRORS)]
        faults += [Fault(FAIL_ON, n, errno.ENOSPC), Fault(FAIL, n, error), *killed(calls, n)]
        if call == "write":
            faults += [Fault(SHORT, n), Fault(SHORT_ON, n, errno.ENOSPC)]
        if call in ("rename", "unlink", "rmdir"):
            faults.append(Fault(KILL_AFTER, n))
    return faults


def once_at_each(calls: list[tuple[str, str]]) -> list[Fault]:
    """At each call one error, of all kinds in turn, and a kill."""
    faults = []
    for n in range(1, len(calls) + 1):
        error = Fault(FAIL, n, ERRORS[n // 2 % len(ERRORS)]) if n % 2 else Fault(FAIL_ON, n, errno.ENOSPC)
        faults += [error, *killed(calls, n)]
    return faults


def by_turns(faults: list[Fault]) -> list[Fault]:
    """At each call of a long command an error or a kill: each state that it saves has the same calls."""
    return [each for each in faults if each.kills == bool(each.at % 4 // 2)]


def killed(calls: list[tuple[str, str]], n: int) -> list[Fault]:
    """A kill before call `n`, but for one that finds what the kill before the last call has found."""
    same = n > 1 and calls[n - 2][0] in ("close", "fsync")
    return [] if same else [Fault(KILL_BEFORE, n)]


def at_random(bench: Bench, command: Command, count: int) -> list[Fault]:
    """Kills at random calls on any file, and a few after random times, which may come too late."""
    calls, seconds = bench.length(command)
    draw = random.Random(command.name)
    kill = Fault(KILL_BEFORE, kinds=ALTER | READ, everywhere=True)
    # The last calls may not come: how often a waiting process looks is not the same each time.
    faults = [replace(kill, at=draw.randrange(1, calls - calls // 20)) for _ in range(count)]
    return faults + [Fault(seconds=draw.uniform(0.02, seconds)) for _ in range(5)]


def at_each_read(calls: list[tuple[str, str]]) -> list[Fault]:
    """A disk that fails from a read on, and a file that loses its second half before one; of many in turn."""
    found = []
    for n, (call, _) in enumerate(calls, 1):
        if len(calls) <= LONG or n % 2 or call == "open":  # before it is opened a file is merely short
            found.append(Fault(FAIL_ON, n, errno.EIO, READ))
        if call != "open" and (len(calls) <= LONG or not n % 2):
            found.append(Fault(SHRINK, n, 0, READ))
    return found


def commands(*, heavy: bool) -> list[Command]:
    return [command for command in COMMANDS.values() if command.heavy == heavy]


def named(command: Command) -> str:
    return command.name


@pytest.mark.parametrize("name", ["echo", "filter"])
def test_a_fault_leaves_nothing_half_made_and_the_next_run_ends_as_an_undisturbed_one(
    light: list[Bench], name: str
) -> None:
    def some(calls: list[tuple[str, str]]) -> list[Fault]:
        return random.Random(name).sample(at_each(calls), 10)

    assert attempt(light, COMMANDS[name], some).wrong == []


@pytest.mark.parametrize("name", ["echo", "filter"])
def test_results_do_not_depend_on_the_wall_clock(light: list[Bench], name: str) -> None:
    light[0].undisturbed(COMMANDS[name])
    assert light[0].under_leaping_clock(COMMANDS[name])


def test_what_another_run_left_makes_no_part_of_this_one(light: list[Bench]) -> None:
    bench, echo = light[0], COMMANDS["echo"]
    other = replace(echo, name="other", line=f"{echo.line} --seed 1 --prefill x")
    calls = bench.undisturbed(echo)
    bench.undisturbed(other)
    assert bench.whole["echo"] != bench.whole["other"]
    bench.clear()
    assert bench.run(echo, fault=Fault(KILL_BEFORE, len(calls) // 2 + 2)).code == -9
    assert (bench.out / "g.jsonl.journal").stat().st_size
    assert bench.run(other).code == 2
    assert bench.run(other, "--resume").code == 0
    assert held(bench.out) == bench.whole["other"]


@pytest.mark.full
@pytest.mark.parametrize("command", commands(heavy=False), ids=named)
def test_every_call_of_a_record_stage_may_fail_or_be_the_last(light: list[Bench], command: Command) -> None:
    def all_of(calls: list[tuple[str, str]]) -> list[Fault]:
        faults = at_each(calls)
        return faults + at_random(light[0], command, max(0, 104 - kills(faults)))

    tally = attempt(light, command, all_of)
    assert tally.wrong == []
    assert tally.ended[-9] >= 100


@pytest.mark.full
@pytest.mark.parametrize("command", commands(heavy=True), ids=named)
def test_every_call_of_a_command_may_fail_or_be_the_last(heavy: list[Bench], command: Command) -> None:
    def all_of(calls: list[tuple[str, str]]) -> list[Fault]:
        faults = at_each(calls) if len(calls) < 18 else once_at_each(calls)
        if command.name == "kept":  # what it does more than sft comes in no other order
            return random.Random(0).sample(faults, 100)
        if command.name == "measured":  # as above, and each state has the best in it
            ours = [each for each in faults if re.search("best|eval", calls[each.at - 1][1])]
            return random.Random(0).sample(ours, min(100, len(ours)))
        if len(calls) > LONG:
            faults = by_turns(faults)
        return faults + at_random(heavy[0], command, max(0, 104 - kills(faults)))

    tally = attempt(heavy, command, all_of)
    assert tally.wrong == []
    assert tally.ended[-9] >= (30 if command.name in ("kept", "measured") else 100)


LONGER = {
    "sft": "--epochs 8",
    "measured": "--epochs 6",
    "grpo": "--steps 8 --minibatches 2",
    "distill": "--epochs 6",
}


@pytest.mark.full
@pytest.mark.parametrize("name", LONGER)
def test_a_training_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    heavy: list[Bench], name: str
) -> None:
    command = replace(COMMANDS[name], line=f"{COMMANDS[name].line} {LONGER[name]}")
    bench, draw = heavy[0], random.Random(name)
    bench.undisturbed(command)
    bench.clear()
    codes = []
    while 0 not in codes and len(codes) < 20:
        fault = Fault(KILL_BEFORE, draw.randrange(5, 45))
        codes.append(bench.run(command, "--resume", fault=fault).code)
    assert set(codes) <= {-9, 0}
    assert codes.count(-9) >= 9
    assert bench.run(command, "--resume").code == 0
    assert held(bench.out) == bench.whole[name]


@pytest.mark.full
@pytest.mark.parametrize(
    "command",
    [each for each in COMMANDS.values() if "IN/" in each.line],
    ids=named,
)
def test_every_read_may_fail_or_find_a_shorter_file(heavy: list[Bench], command: Command) -> None:
    tally = attempt(heavy, command, at_each_read, reading=True)
    assert tally.wrong == []


@pytest.mark.full
@pytest.mark.parametrize("command", commands(heavy=True), ids=named)
def test_no_result_depends_on_the_wall_clock(heavy: list[Bench], command: Command) -> None:
    heavy[0].undisturbed(command)
    assert heavy[0].under_leaping_clock(command)


REAL = """
set -eu
mount -t tmpfs -o size={size} tmpfs out
code=0; {run} 2> said || code=$?
ls -A out > left
mount -o remount,size=64m out
{run} --resume 2>> again
(cd out && find . -type f | sort | xargs sha256sum) > sums
mount -o remount,ro out
refused=0; {other} 2> refusal || refused=$?
echo $code $refused
"""


@pytest.mark.full
def test_a_disk_that_is_really_full_or_read_only(given: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, so that no library can write around the injector."""
    unshare = shutil.which("unshare")
    allowed = (
        unshare
        and not subprocess.run(
            [unshare, "-rm", "mount", "-t", "tmpfs", "tmpfs", tmp_path],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not allowed:
        pytest.skip("no mount namespaces here")
    command = shlex.join([sys.executable, "-m", "r1cli"])
    echo = f"{command} generate -m none --backend echo -t none -n 100 {given}/p.jsonl"
    sums = set()
    codes = []
    for size in ("8k", "64k", "96k", "160k", "16m"):
        folder = tmp_path / size
        (folder / "out").mkdir(parents=True)
        script = REAL.format(size=size, run=f"{echo} -o out/made", other=f"{echo} -o out/other")
        assert unshare is not None
        done = subprocess.run(
            [unshare, "-rm", "sh", "-c", script], cwd=folder, env=environment(), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        code, refused = map(int, done.stdout.split())
        codes.append(code)
        assert (folder / "left").read_text().split() == {0: ["made"], 74: ["made.journal"]}[code]
        said = (folder / "said").read_text()
        assert code == 0 or "r1 generate: cannot write out/made" in said
        assert code == 0 or "No space left on device" in said
        assert refused == 74
        refusal = (folder / "refusal").read_text()
        assert re.search(r"cannot write out/other: .*/out may not be written$", refusal.strip())
        sums.add((folder / "sums").read_text())
    assert set(codes) == {0, 74}
    assert len(sums) == 1
