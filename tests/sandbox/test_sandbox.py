"""Nothing gets out of the box, and nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from attacks import (
    ATTACKS,
    CALLS,
    ESTATE,
    FLOODS,
    HOARDING,
    HOARDS,
    LEGACIES,
    OPENING,
    SEARCH,
    TRY_CALLS,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from referee import referee

from stages.runtime.errors import Unavailable
from stages.sandbox import seccomp, values
from stages.sandbox.box import PYTHON, Box, Limits, Outcome, Task
from stages.sandbox.dialogue import examine
from stages.sandbox.warm import FLAGS

# Of each kind one; the rest are in the full tier.
HOARDED = ("streams", "shared pages that are not mapped")
ROOT = Path(__file__).resolve().parents[2]
SMALL = Limits(seconds=1.0, memory=256 << 20, output=1 << 20, processes=32, disk=8 << 20)
SLOW = (
    "family",
    "stop of",
    "spawned",
    "exec",
    "does not end",
    "drip",
    "itself",
    "randomness",
    "not there",
    "cores",
    "bomb",
    "spin",
    "sleep",
    "thread",
    "stopped",
    "daemon",
    "timers",
    "huge",
    "nobody",
    "closed",
    "memory",
    "stack",
)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as made:
        try:
            made.probe()
        except Unavailable as error:
            pytest.skip(str(error))
        yield made


def python(
    box: Box,
    source: str,
    stdin: bytes = b"",
    limits: Limits = SMALL,
    warm: Literal["program", ""] = "program",
) -> Outcome:
    """Runs Python source in the box, as a fork of the interpreter that stands ready, or by one of its own."""
    files = {"main.py": source.encode()}
    start = "exec(compile(open('main.py', 'rb').read(), 'main.py', 'exec'))"
    return box.run(Task((PYTHON, *FLAGS, "-c", start), files, stdin, warm=warm, limits=limits))


def works(box: Box) -> bool:
    """Whether the next program comes out right."""
    outcome = python(box, "print(int(input()) + 1)", b"41\n")
    return (outcome.ended, outcome.code, outcome.stdout) == ("exit", 0, b"42\n")


def test_a_program_gets_its_input_and_gives_its_output(box: Box) -> None:
    outcome = python(box, "import sys\nprint(input()[::-1])\nprint('no', file=sys.stderr)", b"abc")
    assert outcome.done
    assert (outcome.stdout, outcome.stderr) == (b"cba\n", b"no\n")
    assert 0 < outcome.cpu < 1
    assert 1 << 20 < outcome.memory < 1 << 28


def test_the_page_shows_what_works(box: Box) -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "docs/sandbox.md").read_text(), re.DOTALL)
    assert shown
    for source in shown:
        exec(compile(source, "docs/sandbox.md", "exec"), {})


def test_an_exit_code_and_a_signal_are_told_apart(box: Box) -> None:
    assert python(box, "raise SystemExit(9)")[:2] == ("exit", 9)
    assert python(box, "import os; os.kill(os.getpid(), 9)")[:2] == ("signal", 9)


def test_files_go_in_and_come_out_and_links_are_not_followed(box: Box) -> None:
    source = "import os\nopen('made', 'w').write(open('d/given').read() * 2)\nos.symlink('made', 'link')"
    task = Task(
        (PYTHON, "-I", "-S", "main.py"),
        {"main.py": source.encode(), "d/given": b"ab"},
        collect=("made", "link", "absent"),
    )
    assert box.run(task).files == {"made": b"abab", "link": None, "absent": None}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("os.symlink('/proc/1/environ', 'made')", None),
        ("os.symlink('made', 'made')", None),
        ("os.mkdir('made')", None),
        ("os.symlink('/dev/zero', 'made')", None),
        ("os.symlink('/tmp', 'd'); os.rename('d', 'made')", None),
        ("open('a', 'w').write('x'); os.link('a', 'made'); os.unlink('a')", b"x"),
        ("open('made', 'w').write('x'); os.chmod('made', 0)", b"x"),
        ("os.truncate(os.open('made', 66), 8 << 20)", bytes(8 << 20)),
        ("f = open('made', 'w'); f.write('x'); f.flush(); os.unlink('made')", None),
    ],
)
def test_a_file_that_is_to_be_collected_may_be_anything(source: str, found: bytes | None, box: Box) -> None:
    files = {"main.py": f"import os\n{source}".encode()}
    argv = (PYTHON, "-I", "-S", "main.py")
    outcome = box.run(Task(argv, files, collect=("made",), limits=SMALL))
    assert outcome.files == {"made": found}, outcome


def test_what_one_program_leaves_the_next_does_not_find(box: Box) -> None:
    python(box, "open('/tmp/left', 'w').write('secret')")
    assert python(box, "import os; print(os.listdir('/tmp'))").stdout == b"['main.py']\n"


@pytest.fixture(scope="module")
def allowed_calls(box: Box) -> list[str]:
    """The forbidden system calls that did not fail as forbidden, all tried by one program."""
    outcome = python(box, f"CALLS = {CALLS!r}\n{TRY_CALLS}")
    assert outcome.done, outcome
    return outcome.stdout.decode().splitlines()


@pytest.mark.parametrize("name", CALLS)
def test_a_way_to_the_kernel_is_closed(name: str, allowed_calls: list[str]) -> None:
    assert name not in [line.split()[0] for line in allowed_calls]


def test_every_call_that_is_not_listed_fails(box: Box) -> None:
    column = seccomp.MACHINES[platform.machine()][0]
    listed = {number for low, high in seccomp._ranges(column) for number in range(low, high + 1)}
    listed |= {numbers[column] for numbers, _, values, _ in seccomp.BY_ARGUMENT if values}
    listed |= {seccomp.CLONE[column], seccomp.MMAP[column]}
    outcome = python(
        box,
        f"listed = {listed}\nimport ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for number in range(1100):\n"
        "  if number in listed or number in (335, 336): continue  # of the kernel's own probes, which no "
        "filter sees\n"
        "  ctypes.set_errno(0)\n"
        "  if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, "
        "38):\n"
        "    print(number, ctypes.get_errno())\nprint('end')",
    )
    assert outcome.stdout == b"end\n", outcome


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_gets_out(name: str, box: Box) -> None:
    outcome = python(box, f"REPOSITORY = {str(ROOT)!r}\n{OPENING}\n{ATTACKS[name]}")
    assert b"out" not in outcome.stdout
    assert outcome.ended in ("exit", "signal")
    if outcome.ended == "exit":
        assert outcome.code == 0, outcome.stderr.decode()


@pytest.mark.full
def test_no_attack_gets_out_of_an_interpreter_of_its_own(box: Box) -> None:
    for name, source in ATTACKS.items():
        outcome = python(box, f"REPOSITORY = {str(ROOT)!r}\n{OPENING}\n{source}", warm="")
        assert b"out" not in outcome.stdout, name
        assert outcome.ended in ("exit", "signal"), name
    for name in ("a stop of all", "a kill of all", "memory of many", "a sleep"):
        source, endings = FLOODS[name]
        assert python(box, OPENING + source, warm="").ended in endings, name


@pytest.fixture(scope="module")
def estate(box: Box) -> Outcome:
    """What a program finds that is forked first."""
    return python(box, ESTATE, b"given")


def test_a_forked_program_finds_what_a_fresh_interpreter_shows(box: Box, estate: Outcome) -> None:
    fresh = python(box, ESTATE, b"given", warm="")
    assert estate.stdout == fresh.stdout
    assert (estate.ended, estate.code, estate.stderr[-40:]) == ("exit", 1, fresh.stderr[-40:])
    assert b"ZeroDivisionError" in estate.stderr
    assert str(ROOT).encode() not in estate.stdout + estate.stderr


@pytest.mark.parametrize("name", LEGACIES)
def test_no_program_leaves_anything_to_the_next(name: str, box: Box, estate: Outcome) -> None:
    outcome = python(box, OPENING + LEGACIES[name])
    assert b"out" not in outcome.stdout
    assert outcome.ended in ("exit", "signal")
    assert python(box, ESTATE, b"given")[:4] == estate[:4]
    program = "def f(x): return x + 1"
    assert examine(box, program, ["assert f(1) == 2"], limits=SMALL).results == [(True, "")]


def test_no_program_reads_another_in_what_it_was_forked_with(box: Box) -> None:
    secret = "needle = 'needle' * 100\nprint(input() + needle)"
    assert b"needleneedle" in python(box, secret, b"needle\n").stdout
    pages, found = python(box, SEARCH).stdout.split()
    assert int(pages) > 500
    assert found == b"False"
    assert python(box, f"mine = 'needle'\n{SEARCH}").stdout.split()[1] == b"True"


@pytest.mark.parametrize("warm", ["program", ""])
def test_a_thread_has_as_much_of_a_stack_as_the_program(warm: str, box: Box) -> None:
    source = (
        "import sys, threading\nsys.setrecursionlimit(10**6)\n"
        "def f(n): return n and 1 + max(map(f, [n - 1]))\n"
        "thread = threading.Thread(target=lambda: print(f(20000)))\nthread.start(); thread.join()"
    )
    assert python(box, source, warm=warm).stdout == b"20000\n"


def test_no_program_learns_where_the_project_is(box: Box) -> None:
    said = python(box, "import sys; print(sys.path, sys.path_importer_cache, sys.modules)").stdout
    assert b"encodings" in said
    assert str(ROOT).encode() not in said


def test_each_fork_has_randomness_of_its_own(box: Box) -> None:
    source = "import random, secrets, uuid; print(random.random(), secrets.token_hex(), uuid.uuid4())"
    said = [word for _ in range(2) for word in python(box, source).stdout.split()]
    assert len(set(said)) == 6


def test_a_program_is_judged_though_its_launcher_was_killed_meanwhile() -> None:
    with Box() as box:
        box.probe()
        assert box._process is not None
        before = processes()
        start = "import time; time.sleep(0.3); print(input())"
        running = box.start(Task((PYTHON, *FLAGS, "-c", start), stdin=b"1", warm="program"))
        within(30, lambda: bool(processes() - before))
        box._process.kill()
        assert running.outcome().stdout == b"1\n"
        assert works(box)


def test_a_program_with_little_memory_has_an_interpreter_of_its_own(box: Box) -> None:
    source = "import sys; print('statistics' in sys.modules)"
    assert python(box, source, limits=replace(SMALL, memory=32 << 20)).stdout == b"False\n"
    assert python(box, source).stdout == b"True\n"


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.full if any(w in n for w in SLOW) else ()) for n in FLOODS],
)
def test_no_flood_spreads(name: str, box: Box) -> None:
    source, endings = FLOODS[name]
    before = processes()
    outcome = python(box, OPENING + source)
    assert outcome.ended in endings, outcome
    assert outcome.seconds < 4
    assert outcome.memory < 2 * SMALL.memory  # several processes together, between two readings
    assert len(outcome.stdout) <= SMALL.output
    assert works(box)
    within(30, lambda: not processes() - before)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == HOARDED[1] else pytest.mark.full) for n in HOARDS]
)
def test_no_memory_is_taken_unseen(name: str) -> None:
    limits = replace(SMALL, seconds=4.0)
    with referee() as group, Box() as box:
        box.probe()
        if group is not None:
            assert box._process is not None
            group.watch(box._process.pid)
        outcome = python(box, HOARDING + HOARDS[name], limits=limits)
        if group is not None:
            assert group.most() < 2 * limits.memory
    assert outcome.memory < 2 * limits.memory


def within(seconds: float, comes: Callable[[], bool]) -> None:
    """Waits for what comes at once on an idle machine."""
    end = time.monotonic() + seconds
    while not comes():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes() -> set[int]:
    """Processes that descend from this one, by number: what a program left would be among them."""
    found, waiting = set(), [os.getpid()]
    while waiting:
        pid = waiting.pop()
        tasks: list[Path] = []
        with contextlib.suppress(OSError):  # it has ended meanwhile
            tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        for children in tasks:
            with contextlib.suppress(OSError):
                under = [int(each) for each in children.read_text().split()]
                found.update(under)
                waiting += under
    return found


def test_what_shares_a_buffer_or_comes_and_goes_is_not_held_against_a_program(box: Box) -> None:
    source = (
        "import asyncio, multiprocessing, os, subprocess\n"
        "async def f(k): await asyncio.sleep(0.001); return k\n"
        "async def g(): return sum(await asyncio.gather(*map(f, range(50))))\n"
        "if __name__ == '__main__':\n"
        "  with multiprocessing.get_context('fork').Pool(9) as pool: print(sum(pool.map(abs, range(100))))\n"
        "  for _ in range(3): print(asyncio.run(g()))\n"
        "  for _ in range(100): [os.close(fd) for fd in os.pipe()]\n"
        "  x = b'1' * (520 << 20)  # seen twice while a child begins\n"
        "  for _ in range(60): os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\n"
        "  print(subprocess.run(['/bin/echo', 'x'], capture_output=True).stdout)"
    )
    outcome = python(box, source, limits=replace(SMALL, seconds=10.0, memory=1 << 30))
    assert outcome.stdout == b"4950\n" + b"1225\n" * 3 + b"b'x\\n'\n", outcome
    assert outcome.memory <= 1 << 30


def test_a_program_ends_with_the_one_who_waits_for_it(box: Box) -> None:
    before = processes()
    running = box.start(Task((PYTHON, "-I", "-S", "-c", "import time; time.sleep(60)")))
    within(30, lambda: bool(processes() - before))
    running.kill()
    within(30, lambda: not processes() - before)
    assert works(box)


@pytest.mark.full
def test_everything_ends_where_the_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "from stages.sandbox.box import *\nbox = Box()\nbox.probe()\n"
        "import sys, time\n"
        "r = box.start(Task((PYTHON, '-I', '-S', '-c', 'import time; time.sleep(77)', sys.argv[1])))\n"
        "print(box._process.pid, flush=True)\ntime.sleep(60)"
    )
    mark = str(tmp_path).encode()  # of this test's process: others may sleep as well

    def sleeping() -> bool:
        lines = [_read(path).split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline")]
        return any(mark in line and b"-I" in line for line in lines)

    line = [sys.executable, "-c", script, str(tmp_path)]
    parent = subprocess.Popen(line, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert parent.stdout is not None
    started = int(parent.stdout.readline())
    within(30, sleeping)
    parent.kill()
    parent.wait()
    within(30, lambda: not Path(f"/proc/{started}").exists())
    within(30, lambda: not sleeping())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_killed_launcher_is_replaced(box: Box) -> None:
    with Box() as other:
        other.probe()
        assert other._process is not None
        other._process.kill()
        other._process.wait()
        assert works(other)


def test_a_busy_machine_costs_a_program_no_time(box: Box) -> None:
    # Three that spin at once get less than a core each; each still has its time, and no more.
    spin = Task((PYTHON, "-I", "-S", "-c", "while True: pass"), limits=replace(SMALL, seconds=0.4))
    running = [box.start(spin) for _ in range(3)]
    for each in running:
        outcome = each.outcome()
        assert outcome.ended == "time"
        assert 0.35 < outcome.cpu < 0.8


def test_the_filter_is_written_for_both_machines_and_no_other() -> None:
    for machine in seccomp.MACHINES:
        program = seccomp.compiled(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
    with pytest.raises(KeyError):
        seccomp.compiled("riscv64")


def test_no_isolation_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # A limit of 0 user namespaces stands for a kernel that forbids them.
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop())\n"
        "from stages.sandbox import kernel, launcher\n"
        "def no(flags): raise PermissionError(1, 'unshare: Operation not permitted')\n"
        "kernel.unshare = no\nlauncher.main()"
    )
    monkeypatch.setattr("stages.sandbox.box.START", script)
    with pytest.raises(Unavailable, match=r"Operation not permitted.*sandbox=none"):
        Box().probe()


def test_without_isolation_limits_still_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Box("none") as box:
        assert works(box)
        hurried = replace(SMALL, seconds=0.3)
        assert python(box, "while True: pass", limits=hurried).ended == "time"
        assert python(box, "x = bytearray(1 << 34)").code == 1
        assert (
            python(box, "import os, time\nif os.fork() == 0:\n  os.setsid(); time.sleep(60)").ended == "exit"
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.full
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_it_works_for_an_ordinary_user(tmp_path: Path) -> None:
    system = "/usr/bin/python3"
    version = subprocess.run(
        [system, "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        check=False,
    ).stdout
    if version.strip() != b"True":
        pytest.skip("no Python 3.11 in /usr/bin, which an ordinary user could read")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for room in ("sandbox", "runtime"):
            shutil.copytree(ROOT / "stages" / room, Path(folder) / "stages" / room)
        shutil.copy(ROOT / "stages" / "__init__.py", Path(folder) / "stages")
        attacks = {name: f"REPOSITORY = {folder!r}\n{OPENING}\n{source}" for name, source in ATTACKS.items()}
        attacks |= {
            name: OPENING + FLOODS[name][0]
            for name in ("a fork bomb that sleeps", "a stop of all", "a kill of all")
        }
        attacks |= {name: HOARDING + HOARDS[name] for name in HOARDED}
        script = (
            "from stages.sandbox.box import *\nfrom stages.sandbox.warm import FLAGS\nwith Box() as box:\n"
            f"  for name, source in {attacks!r}.items():\n"
            "    limits = Limits(seconds=5 if name in ('streams',) else 1, memory=256 << 20, processes=32)\n"
            "    files = {'main.py': source.encode()}\n"
            "    start = 'exec(open(\\'main.py\\').read())'\n"
            "    task = Task((PYTHON, *FLAGS, '-c', start), files, warm='program', limits=limits)\n"
            "    o = box.run(task)\n"
            "    assert b'out' not in o.stdout, (name, o)\n"
            "    assert o.memory < 512 << 20, (name, o)\n"
            "    o = box.run(Task((PYTHON, '-I', '-S', '-c', 'print(input())'), stdin=b'fine'))\n"
            "    assert o.stdout == b'fine\\n', (name, o)\n"
        )
        done = subprocess.run(
            ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", system, "-c", script],
            env={"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        )
        assert done.returncode == 0, done.stderr


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.fractions(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    | st.dictionaries(st.integers(), inner) | st.sets(st.integers()) | st.frozensets(st.text()),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_a_plain_value_crosses_unchanged(value: object) -> None:
    def never(_: object) -> object:
        raise AssertionError("a plain value needs no reference")

    back = values.loads(values.dumps(value, never), never)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[",
        b'{"dict": 1}',
        b'{"set": [[]]}',
        b'{"type": "eval"}',
        b'{"a": 1, "b": 2}',
        b'{"Decimal": "x"}',
        b'{"bytes": "zz"}',
    ],
)
def test_nonsense_is_an_error_and_no_value(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError, KeyError)):
        values.loads(line, lambda _: None)


def test_the_tests_of_a_function_see_built_in_values(box: Box) -> None:
    program = (
        "class Int(int):\n  __eq__ = lambda a, b: True\ndef f(x):\n  return Int(x)\ndef g(x):\n  x.append(4)"
    )
    tests = [
        "assert f(1) == 1",
        "assert f(1) == 2",
        "x = [3]\ng(x)\nassert x == [3, 4]",
        "assert type(f(1)) is int",
    ]
    found = examine(box, program, tests, limits=SMALL)
    assert [passed for passed, _ in found.results] == [True, False, True, True]
