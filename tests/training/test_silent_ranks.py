"""A rank that is stopped ends the run on the others, who name it; one that works for long ends nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed as dist
from conftest import environment
from test_training import sums

from stages.records import jsonl
from stages.training.parallel.peers import Peers
from stages.training.parallel.world import World


@pytest.fixture
def store() -> dist.TCPStore:
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=9))


@pytest.fixture
def two(store: dist.TCPStore) -> Iterator[list[World]]:
    """Two ranks, each a thread's, that take 0.4 seconds for silence."""

    def joined(rank: int) -> World:
        group = dist.ProcessGroupGloo(store.clone(), rank, 2, timedelta(seconds=60))
        return World(rank, 2, group=group, peers=Peers(store, rank, 2, f"node-{rank}", 0.4 / 60))

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(joined, range(2)))
    yield made
    for each in made:
        signs(each).end()


def signs(world: World) -> Peers:
    assert world.peers is not None
    return world.peers


def test_all_wait_for_one_that_works_for_longer_than_the_time_out(two: list[World]) -> None:
    for each in two:
        signs(each).begin()
    for seconds in (0.0, 1.2, 0.0):
        begun = time.monotonic()
        late = threading.Timer(seconds, two[1].meet)
        late.start()
        two[0].meet()
        late.join()
        assert seconds <= time.monotonic() - begun < seconds + 0.5
    assert not signs(two[0]).lost


def test_a_rank_that_falls_silent_is_named_with_its_machine_and_what_it_did(two: list[World]) -> None:
    signs(two[1]).does("samples for step 3")
    signs(two[1])._say()
    signs(two[0]).begin()  # and the other never gives a sign again
    while not signs(two[0]).lost:
        time.sleep(0.01)
    signs(two[0]).end()  # or it would end this process
    said = "rank 1 on node-1, last seen as it samples for step 3 (for 0 s), has given no sign of life for 0 s"
    assert signs(two[0]).lost.startswith(said)
    assert "--peer-timeout" in signs(two[0]).lost


def test_who_is_gone_is_who_gives_no_sign_any_more(two: list[World]) -> None:
    one, other = map(signs, two)
    other.does("learns in step 2")
    other.begin()
    assert other.missing() == "rank 0 on node-0, last seen as it begins (for 0 s)"
    assert one.missing().startswith("rank 1 on node-1, last seen as it learns in step 2")


@pytest.mark.full
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_process_ends_the_other_within_the_time_out_and_a_minute(
    stopped: int, tiny: Path, tmp_path: Path
) -> None:
    """Started as another machine's launcher does; the store is with rank 0."""
    jsonl.write(tmp_path / "sums.jsonl", sums(20))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    line = [sys.executable, "-m", "r1cli", "sft", "-m", tiny, "-o", tmp_path / "out", "--template", "none"]
    line += ["--device", "cpu", "--batch", "1", "--epochs", "900", "--peer-timeout", "0.05"]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = [
        subprocess.Popen(
            [*map(str, line), str(tmp_path / "sums.jsonl")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        log = tmp_path / "out.partial" / "metrics.jsonl"
        while not (log.exists() and log.read_bytes()):
            assert [each.poll() for each in running] == [None, None]
            time.sleep(0.02)
        os.kill(running[stopped].pid, signal.SIGSTOP)
        begun = time.monotonic()
        _, said = running[1 - stopped].communicate(timeout=63)
        assert 3 < time.monotonic() - begun < 63
    finally:
        for each in running:
            each.kill()
            each.communicate()
    assert running[1 - stopped].returncode == 1
    (last,) = (text for text in said.splitlines() if text.startswith("r1"))
    mine = "" if stopped else "rank 1: "
    wanted = f"{mine}rank {stopped} on {re.escape(socket.gethostname())}, last seen as it "
    assert re.match(f"r1( sft)?: {wanted}.* \\(for .* s\\), has given no sign of life for [3-9] s", last)
