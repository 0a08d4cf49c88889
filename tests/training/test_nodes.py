"""Several machines train one model: what docs/cluster.md says, with machines of the kernel's namespaces.

Each run is the program itself, begun by torchrun as in the docs.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from nodes import Node, nodes, why_not
from test_deepspeed import Bench, assert_alike

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed"),
]
NAMED = 60.0  # seconds in which a line must name who is at fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tiny: Path, reward: str) -> Bench:
    return Bench(tmp_path_factory.mktemp("common"), tiny, reward)


@pytest.fixture(autouse=True)
def allowed() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def two(tmp_path: Path, allowed: None) -> Iterator[list[Node]]:
    with nodes(2, tmp_path) as made:
        yield made


@pytest.fixture
def three(tmp_path: Path, allowed: None) -> Iterator[list[Node]]:
    with nodes(3, tmp_path) as made:
        yield made


def spread(
    bench: Bench, them: list[Node], stage: str, out: str, *flags: Any, private: Path | None = None
) -> list[subprocess.Popen[str]]:
    """The same line on all nodes; the first one is where they meet."""
    meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "node-1:29500", "--rdzv-id", "7")
    start = ("-m", "torch.distributed.run", "--nnodes", len(them), "--nproc-per-node", 1, *meeting)
    start += ("-m", "r1cli")
    line = bench.line(stage, out, *flags, start=start)
    return [node.start(line, private=private) for node in them]


def first_said(running: list[subprocess.Popen[str]]) -> str:
    """What the node that ends first says. The other one's torchrun may ask for the first for minutes."""
    while all(each.poll() is None for each in running):
        time.sleep(0.05)
    (ended, *_) = [each for each in running if each.poll() is not None]
    return ended.communicate()[1]


def test_two_nodes_learn_what_one_process_learns(bench: Bench, two: list[Node]) -> None:
    running = spread(bench, two, "grpo", "grpo-nodes", *bench.zero(3))
    errors = [each.communicate(timeout=200)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0], errors
    assert_alike(bench.one("grpo"), bench.folder / "grpo-nodes")


def test_three_nodes_learn_what_one_process_learns(bench: Bench, three: list[Node]) -> None:
    running = spread(bench, three, "grpo", "grpo-three", *bench.zero(3))
    errors = [each.communicate(timeout=300)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0, 0], errors
    assert_alike(bench.one("grpo"), bench.folder / "grpo-three")


def test_a_file_system_that_is_not_common_is_found_at_the_start(bench: Bench, two: list[Node]) -> None:
    apart = bench.folder / "apart"
    apart.mkdir()
    running = spread(bench, two, "sft", "apart/out", private=apart)
    assert "does not see what rank 0 on node-" in first_said(running)


@pytest.mark.parametrize("fault", ["unplugged", "killed"])
def test_a_node_that_is_lost_is_named_within_a_minute_and_the_run_goes_on_later(
    fault: str, bench: Bench, two: list[Node]
) -> None:
    out = f"sft-{fault}"
    flags = ("--save-every", 2, "--peer-timeout", "0.1")
    running = spread(bench, two, "sft", out, *flags)
    state = bench.folder / f"{out}.partial" / "state" / "step_000002"
    while not state.exists():
        assert [each.poll() for each in running] == [None, None], first_said(running)
        time.sleep(0.005)
    if fault == "killed":
        two[1].kill()
    else:
        two[1].unplug()
    begun = time.monotonic()
    errors = running[0].communicate(timeout=NAMED)[1]
    assert "on node-2, last seen as it" in errors, errors
    print(f"{fault}: named after {time.monotonic() - begun:.0f} s")
    two[1].kill()
    bench.run("sft", out, "--save-every", 2, "--resume")
    assert_alike(bench.one("sft"), bench.folder / out)
