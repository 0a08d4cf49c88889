"""Two processes against one, for real over gloo: the same losses, resumed by another number, and ended whole.

Processes that only compute are forked from one that has loaded torch and DeepSpeed; where one is killed, or
another program starts them, each is the program itself. The model has 55,000 weights, and ZeRO 3 shares out
each of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import environment
from forked import commands
from models import fresh
from safetensors.torch import load_file
from test_training import metrics, problems, sums

from stages.records import jsonl

# Not imported here: that takes seconds of every process that collects tests.
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed"),
]

SFT = ["--batch", "4", "--epochs", "4", "--lr", "3e-3", "--warmup", "0.1", "--row-tokens", "8"]
GRPO = [
    *("--steps", "20", "--problems", "3", "-n", "4", "--max-tokens", "12"),
    *("--lr", "1e-3", "--row-tokens", "64", "--workers", "1"),
    # With seed 0 a token of step 7 is a tie to six digits, which AVX-512 and AVX2 break differently.
    *("--seed", "1"),
]
COMMON = ["--template", "none", "--device", "cpu"]
MARK = "R1_TEST_BENCH"  # in the environment of all that a test starts
ENDED = 10.0  # seconds after which nothing may be left
SHARED: dict[str, Any] = {
    "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
    "bf16": {"enabled": "auto"},
}


PASSIVE = {"OMP_WAIT_POLICY": "passive"}  # as the program sets it
# Starts the processes of --nproc by the program in its first argument.
LAUNCHER = "import sys; sys.executable = sys.argv.pop(1); from r1cli.main import main; main(sys.argv[1:])"


class Bench:
    """A folder with inputs and the runs that were made of them; `forked` starts quickly."""

    def __init__(self, folder: Path, model: Path, reward: str, forked: Path | None = None) -> None:
        self.folder, self.model, self.reward, self.forked = folder, model, reward, forked
        self.records, self.problems = folder / "sums.jsonl", folder / "problems.jsonl"
        jsonl.write(self.records, sums(20))
        jsonl.write(self.problems, problems(8))
        self.zero3 = folder / "zero3.json"
        self.zero3.write_text(json.dumps(SHARED))

    def line(
        self,
        stage: str,
        out: str,
        *flags: Any,
        start: tuple[Any, ...] = (),
        last: Sequence[str] = (),
    ) -> list[str]:
        """A command line; `last` wins over what is given to every run of the stage."""
        given = [*SFT, self.records] if stage == "sft" else [*GRPO, "-r", self.reward, self.problems]
        begin = [sys.executable, *(start or ("-m", "r1cli")), stage, "-m", self.model]
        return list(map(str, [*begin, "-o", self.folder / out, *COMMON, *flags, *given, *last]))

    def quick(self, line: Sequence[str]) -> list[str]:
        """A line of the program as one that forks, where there is something to fork."""
        if self.forked is None:
            return list(line)
        assert line[:3] == [sys.executable, "-m", "r1cli"]
        begin = [sys.executable, "-c", LAUNCHER] if "--nproc" in line else []
        return [*begin, str(self.forked), *line[3:]]

    def run(self, stage: str, out: str, *flags: Any, **options: Any) -> Path:
        line = self.line(stage, out, *flags, **options)
        done = subprocess.run(
            line if "start" in options else self.quick(line),
            capture_output=True, text=True, env=environment(**PASSIVE), timeout=200,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{self.folder / out}\n"
        return self.folder / out

    def one(self, stage: str) -> Path:
        """What a single process makes, without DeepSpeed."""
        out = self.folder / f"{stage}-one"
        return out if out.exists() else self.run(stage, out.name)

    def zero(self, stage: int) -> list[Any]:
        return ["--deepspeed", self.zero3] if stage == 3 else ["--zero", stage]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tiny: Path, reward: str) -> Iterator[Bench]:
    # Not in the environment of what they fork: what a run has left behind is found by it.
    with (
        commands(environment(**PASSIVE), "deepspeed", "stages.training.grpo.train") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        made = Bench(tmp_path_factory.mktemp("bench"), tiny, reward, folder / "r1")
        patch.setenv(MARK, str(made.folder))
        yield made
    assert not left_of(made.folder), "a process is left running"


def left_of(folder: Path) -> dict[int, str]:
    """All processes that a bench's runs have started, by the rank they are; what a rank has started is
    none."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(
                v.split(b"=", 1) for v in (entry / "environ").read_bytes().split(b"\0") if b"=" in v
            )
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if variables.get(MARK.encode()) == str(folder).encode():
            rank = variables.get(b"RANK", b"").decode()
            found[int(entry.name)] = rank if b"\0r1cli\0" in line else "none"
    return found


def assert_alike(one: Path, other: Path, *, steps: int = 20) -> None:
    """The same figures to 1e-4, the same samples, and weights that differ by rounding."""
    lines, others = metrics(one), metrics(other)
    assert len(lines) == len(others) == steps
    for a, b in zip(lines, others, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3, abs=1e-4)
        assert a.get("reward") == pytest.approx(b.get("reward"))
        assert a["total_flos"] == b["total_flos"]
    for path in one.glob("rollouts/*"):
        sets = [
            [json.loads(r) for r in p.read_text().splitlines()]
            for p in (path, other / "rollouts" / path.name)
        ]
        ids = [[(r["id"], r["completion_ids"]) for r in records] for records in sets]
        assert ids[0] == ids[1]
    for file in ("model.safetensors", "adapter/adapter_model.safetensors"):
        if (one / file).exists():
            a, b = (load_file(path / file) for path in (one, other))
            assert a.keys() == b.keys()
            for name in a:
                assert torch.allclose(a[name], b[name], atol=2e-4), name


SPREADS: dict[str, list[str]] = {
    "no DeepSpeed": [],
    "ZeRO 1": ["--zero", "1"],
    "ZeRO 2, offload": ["--zero", "2", "--offload", "optimizer"],
    "ZeRO 3": ["--deepspeed", "FILE"],
    "ZeRO 3, offload, checkpointing": ["--deepspeed", "FILE", "--offload", "all", "--checkpointing"],
}  # fmt: skip


# How weights are spread knows nothing of the stage: each way with one of them, the ends with the other too.
@pytest.mark.parametrize(
    ("stage", "name"),
    [
        *(("grpo", name) for name in SPREADS),
        *(("sft", name) for name in ("no DeepSpeed", *list(SPREADS)[3:])),
    ],
)
def test_two_processes_learn_what_one_learns(stage: str, name: str, bench: Bench) -> None:
    flags = [bench.zero3 if flag == "FILE" else flag for flag in SPREADS[name]]
    made = bench.run(stage, f"{stage}-{name}".replace(" ", ""), "--nproc", 2, *flags)
    assert_alike(bench.one(stage), made)


CHOICES: dict[str, tuple[int, list[str]]] = {
    "reference replaced": (3, ["--beta", "0.2", "--ref-reset", "2", "--minibatches", "2", "--inner-epochs",
    "2", "--save-every", "2", "--keep-last", "1"]),
    "adapters, dynamic": (2, ["--problems", "5", "--lora", "2", "--beta", "0.1", "--dynamic-sampling", "2",
    "--aggregate", "token"]),
    "adapters in shares": (3, ["--lora", "2", "--beta", "0.1", "--save-every", "2"]),
    "one step off": (3, ["--one-step-off", "--beta", "0.1", "--kl-in", "reward", "--save-every", "2",
    "--minibatches", "2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_choices_of_grpo_hold_on_two_processes(name: str, bench: Bench) -> None:
    stage, flags = CHOICES[name]
    out = name.replace(" ", "")
    one = bench.run("grpo", f"{out}-1", last=[*flags, "--steps", "4"])
    two = bench.run("grpo", f"{out}-2", "--nproc", 2, *bench.zero(stage), last=[*flags, "--steps", "4"])
    assert_alike(one, two, steps=4)
    kept = [sorted(p.name for p in made.glob("*/step_*")) for made in (one, two)]
    assert kept[0] == kept[1]


def test_ranks_that_sample_ahead_take_the_same_weights_and_rest_together(bench: Bench) -> None:
    """Both processes sample a batch with the weights of one update, also where an evaluation comes between,
    and where it ends the run.
    """
    held = bench.folder / "held-ahead.jsonl"
    jsonl.write(held, sums(25)[20:])
    flags = ["--staleness", 3, "--minibatches", 2, "--eval", held, "--eval-every", 2, "--eval-max-tokens", 8]
    flags += ["--early-stopping", 2, "--eval-reward", "accuracy", "--eval-samples", 1]
    made = bench.run("grpo", "ahead", "--nproc", 2, *bench.zero(2), *flags, last=["--steps", 12])
    lines = [line for line in metrics(made) if line["step"]]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["sampling/staleness"] <= 3 for line in lines)


@pytest.mark.parametrize(("stage", "zero"), [("grpo", 0), ("sft", 3)])
def test_held_out_problems_are_shared_out_among_the_processes(stage: str, zero: int, bench: Bench) -> None:
    """What two answer is what one answers, problem by problem, and so are the losses of sft."""
    held = bench.folder / "held.jsonl"
    jsonl.write(held, sums(25)[20:])
    flags = ["--eval", held, "--eval-every", 2, "--eval-samples", 2, "--eval-reward", bench.reward]
    last = ["--epochs", "0.8"] if stage == "sft" else ["--steps", "4"]
    spread = ["--nproc", 2, *(bench.zero(zero) if zero else [])]
    one = bench.run(stage, f"{stage}-held-{zero}-1", *flags, "--eval-max-tokens", 8, last=last)
    two = bench.run(stage, f"{stage}-held-{zero}-2", *spread, *flags, "--eval-max-tokens", 8, last=last)
    found = [
        [json.loads(line) for line in (out / "eval.jsonl").read_text().splitlines()] for out in (one, two)
    ]
    assert [line["step"] for line in found[0]] == [line["step"] for line in found[1]] == [0, 2, 4]
    for a, b in zip(*found, strict=True):
        assert (a["problems"], a["k"]) == (b["problems"], b["k"]) == (5, 2)
        assert a.get("loss") == pytest.approx(b.get("loss"), abs=1e-4)
    for path in one.glob("eval/*/held.jsonl"):
        sets = [
            [json.loads(line) for line in p.read_text().splitlines()]
            for p in (path, two / "eval" / path.parent.name / path.name)
        ]
        said = [[(r["id"], r["completion"], r["rewards"]) for r in records] for records in sets]
        assert said[0] == said[1]
    assert (two / "best" / "model.safetensors").exists()
    assert not list(two.glob("*.journal"))


@pytest.mark.parametrize("on_policy", [True, False])
def test_distillation_holds_on_two_processes(on_policy: bool, bench: Bench) -> None:
    teacher = fresh(bench.folder / f"teacher-{on_policy}", seed=3)
    flags = ["--teacher", teacher, "--max-tokens", 8, "-n", 2, "--lr", "1e-3", "--warmup", 0]
    flags += (
        ["--on-policy", "--steps", 4, "--problems", 3]
        if on_policy
        else ["--keep", "all", "--batch", 4, "--epochs", 1]
    )
    made = []
    for count in (1, 2):
        out = bench.folder / f"distilled-{on_policy}-{count}"
        several = ["--nproc", 2, *bench.zero(3)] if count > 1 else []
        line = [sys.executable, "-m", "r1cli", "distill", "-m", bench.model, "-o", out, *COMMON]
        done = subprocess.run(
            bench.quick([*map(str, [*line, "-r", bench.reward, *flags, *several])]),
            input=bench.problems.read_bytes(), capture_output=True,
            env=environment(**PASSIVE), timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        made.append(out)
    assert_alike(made[0], made[1], steps=4)


@pytest.mark.parametrize(
    ("stage", "kill", "begun", "finished"),
    [
        ("grpo", "parent", ["--nproc", "2", "--zero", "2"], []),
        ("grpo", "1", ["--nproc", "2", "--deepspeed", "FILE"], ["--zero", "1"]),
        ("sft", "0", ["--nproc", "2"], ["--nproc", "2"]),
        ("sft", "parent", [], ["--nproc", "2", "--deepspeed", "FILE"]),
    ],
)
def test_a_kill_ends_all_processes_and_any_number_goes_on(
    stage: str, kill: str, begun: list[str], finished: list[str], bench: Bench
) -> None:
    """Killed after a state was saved; what two saved, one takes up, and the other way round."""
    out = f"killed-{stage}-{kill}"
    first, last = ([bench.zero3 if f == "FILE" else f for f in flags] for flags in (begun, finished))
    said = killed(bench, stage, out, "--save-every", 2, *first, kill=kill)
    if kill != "parent":
        lines = [line for line in said.splitlines() if line.startswith(f"r1 {stage}:")]
        assert lines == [
            f"r1 {stage}: rank {kill} was killed by SIGKILL, and the run ended; "
            f"{bench.folder / out}.partial keeps what is done, add --resume to go on"
        ]
    state = max((bench.folder / f"{out}.partial" / "state").glob("step_*"))
    sizes = [path.stat().st_size for path in state.glob("rank_*.safetensors")]
    assert len(sizes) == (2 if begun else 1)
    assert max(sizes) < 1.2 * min(sizes), "each rank writes its share"
    bench.run(stage, out, "--save-every", 2, "--resume", *last)
    assert_alike(bench.one(stage), bench.folder / out)


def killed(bench: Bench, stage: str, out: str, *flags: Any, kill: str) -> str:
    """Starts a run, kills the parent or a rank once step 4 is saved, and returns what was said."""
    started = subprocess.Popen(
        bench.line(stage, out, *flags),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    while not (bench.folder / f"{out}.partial" / "state" / "step_000004").exists():
        assert started.poll() is None, started.communicate()[1].decode()
        time.sleep(0.005)
    running = left_of(bench.folder)
    begun = time.monotonic()
    for pid in [pid for pid, rank in running.items() if rank == kill] or [started.pid]:
        os.kill(pid, signal.SIGKILL)
    _, said = started.communicate(timeout=60)
    while left := left_of(bench.folder):
        assert time.monotonic() - begun < ENDED, left
        time.sleep(0.05)
    assert time.monotonic() - begun < ENDED
    assert not (bench.folder / out).exists(), "the run was faster than the kill"
    assert started.returncode == (-signal.SIGKILL if kill == "parent" else 1)
    return said.decode()


def test_ctrl_c_ends_all_processes_and_is_said_once(bench: Bench) -> None:
    line = bench.line("grpo", "interrupted", "--nproc", 2, last=("--steps", 200))
    started = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    log = bench.folder / "interrupted.partial" / "metrics.jsonl"
    while not (log.exists() and log.read_bytes()):
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=ENDED)
    assert started.returncode == 130
    assert said.decode().count("interrupted; ") == 1
    assert not left_of(bench.folder)


def test_torchrun_starts_it_too(bench: Bench) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "r1cli")
    made = bench.run("sft", "torchrun", "--zero", 2, start=launcher)
    assert_alike(bench.one("sft"), made)


def test_deepspeeds_launcher_starts_it_too(bench: Bench) -> None:
    runner = (
        "-m",
        "deepspeed.launcher.runner",
        "--num_gpus",
        "2",
        "--no_local_rank",
        "--module",
        "r1cli",
    )
    line = bench.line("sft", "launched", "--zero", 1, start=runner)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(PATH=path),
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_alike(bench.one("sft"), bench.folder / "launched")


def test_records_come_on_stdin_and_what_all_find_wrong_is_said_once(bench: Bench) -> None:
    broken = b"".join(map(jsonl.encode, sums(2))) + b"{bad\n"
    line = [*bench.line("sft", "broken", "--nproc", 2)[:-1]]
    done = subprocess.run(line, input=broken, capture_output=True, env=environment(), timeout=100)
    assert done.returncode == 65
    assert done.stderr.count(b"not JSON") == 1
    assert b"r1 sft: stdin:3: not JSON" in done.stderr
    assert not (bench.folder / "broken").exists()


# Planted in rank 1: an error that no other rank has, and a gradient that is no number.
FAULTS = {
    "alone": """
import stages.training.rows as rows
def broken(*a, **k): raise ValueError("planted")
rows._row = broken
""",
    "gradient": """
import stages.training.sft.learner as imitation
right = imitation.imitation_loss
def broken(row, logp, entropy):
    loss, stats = right(row, logp, entropy)
    return loss + (logp * 0).sqrt().sum(), stats
imitation.imitation_loss = broken
""",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_one_rank_ends_the_run_and_is_said_once(fault: str, bench: Bench, tmp_path: Path) -> None:
    planted = f"import os\nif os.environ.get('RANK') == '1':\n    exec({FAULTS[fault]!r})\n"
    (tmp_path / "sitecustomize.py").write_text(planted)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        bench.line("sft", fault, "--nproc", 2, "--zero", 2), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, env=environment(PYTHONPATH=path), timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("r1 sft:"))
    if fault == "alone":
        assert said.startswith("r1 sft: rank 1: bug: ValueError: planted at ")
        return
    work = bench.folder / f"{fault}.partial"
    assert f"step 1: the gradient's norm is nan and no weight was changed; its samples are in {work}" in said
    for name in ("offending.jsonl", "offending_1.jsonl"):
        assert all(json.loads(line)["weight"] for line in (work / name).read_text().splitlines())


def test_weights_in_bfloat16_are_updated_in_float32(bench: Bench) -> None:
    flags = ["--offload", "all", "--dtype", "bfloat16"]
    made = bench.run("grpo", "half", "--nproc", 2, *bench.zero(3), *flags)
    assert json.loads((made / "config.json").read_text())["dtype"] == "float32"
    found = load_file(made / "model.safetensors")
    assert all(w.dtype == torch.float32 for w in found.values())
    assert any((w != w.bfloat16()).any() for w in found.values())
    lines, others = metrics(bench.one("grpo")), metrics(made)
    assert others[-1]["sampling/logp_gap_mean"] < 0.05
    assert others[0]["reward"] == pytest.approx(lines[0]["reward"], abs=0.2)
