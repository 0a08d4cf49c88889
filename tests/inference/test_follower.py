"""A server of its own as the sampler of grpo: it gets each update's weights, and nothing it drew with others
is learned.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import environment
from served import Served
from test_client import Notes
from test_vllm_server import Serve, gap
from transformers import AutoModelForCausalLM

from stages.checkpoints.versions import layout, reader
from stages.inference.backends import check_follower
from stages.inference.complete import Plan, run_plan
from stages.inference.server import client, guard, health, transfer
from stages.inference.server.follower import DRAW, ServerFollower
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error, Unavailable, UsageError
from stages.settings.groups import Endpoint, Engine, Lora, Sampling, Transfer
from stages.training.policy import Policy

TAKES_WEIGHTS = (
    "--enable-scale-out",
    "--middleware",
    "stages.inference.server.guard.Guard",
    "--weight-transfer-config",
    '{"backend": "r1"}',
)
SERVER = Engine(backend="openai")
SECRET = "a secret of sixteen characters and more"
SHORT = Sampling(max_tokens=12)


@pytest.fixture(autouse=True)
def known_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(guard.NAME, SECRET)


def opened(model: Path, url: str | tuple[str, ...], **options: Any) -> ServerFollower:
    endpoint = Endpoint(url, patience=120, request_timeout=120)
    return ServerFollower(str(model), SERVER, endpoint, **{"temperature": 1.0, "report": Notes(), **options})


PROBLEMS = [Record(id=f"p{i}", prompt=f"What is {i} + 3?") for i in range(4)]


def drawn(
    remote: ServerFollower, template: str = "r1-zero", problems: Sequence[Record] = PROBLEMS
) -> list[Record]:
    plan = Plan("m", templates.load(template), SHORT, 0, 2, SERVER, tokens=True)
    return list(run_plan(problems, plan, remote))


@pytest.mark.parametrize("fault", ["no weights", "no tokens", "no address"])
def test_a_server_that_does_not_take_weights_is_refused_with_the_command(
    fault: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "FIRST", 0.02)
    served = Served()
    page = {
        "data": [{"id": "m", "max_model_len": 64}],
        "weight_version": "default",
        "world_size": 1,
    }
    served.models = (200, page)
    try:
        if fault == "no address":
            with pytest.raises(UsageError, match="--base-url"):
                ServerFollower(str(tiny), SERVER, Endpoint(), 1.0, Notes())
        elif fault == "no weights":
            served.pages["/weight_info"] = (404, {"detail": "Not Found"})
            with pytest.raises(Unavailable, match=r"takes no weights.*VLLM_SERVER_DEV_MODE=1"):
                opened(tiny, served.url)
        else:
            served.reply = lambda body: (403, {"error": {"message": "use --enable-scale-out"}})
            with pytest.raises(Unavailable, match="--enable-scale-out"):
                opened(tiny, served.url)
    finally:
        served.stop()


class Sampler:
    """What vLLM does of all this, in little: `workers` take the weights, and answers have the version of the
    last.
    """

    def __init__(self, workers: int = 1) -> None:
        self.held: list[dict[str, torch.Tensor]] = []
        self.versions = ["default"]
        self.logprob = -0.5
        self.workers = workers
        self.directory = Path()  # where it looks for weights in files
        self.guarded = True
        self.going = threading.Event()
        self.going.set()
        self.served = Served()
        self.served.models = (200, {"data": [{"id": "m", "max_model_len": 64}]})
        self.served.pages = {
            "/weight_info": (200, {"weight_version": "default"}),
            "/get_world_size": (200, {"world_size": workers}),
        }
        self.served.reply = self.reply

    def reply(self, body: dict[str, Any]) -> tuple[int, Any]:
        path, signed = self.served.paths[-1], self.served.signatures[-1]
        guarded = self.guarded and not guard.is_open(path)
        if guarded and not guard.is_signed(SECRET.encode(), path, self.served.bodies[-1], signed):
            return 401, {"error": "not signed"}
        if source := body.get("update_info"):
            with ThreadPoolExecutor(self.workers) as pool:
                takes = [pool.submit(self.take, **source) for _ in range(self.workers)]
            self.held = [taken.result() for taken in takes]
        if path == "/resume":
            self.going.set()
        if path.startswith("/pause"):
            self.going.clear()
        self.holds(*(body[key] for key in ("new_version", "weight_version") if key in body))
        if "token_ids" not in body:
            return (400, {}) if self.served.paths[-1] == DRAW else (200, {})
        self.going.wait(60)
        ids = [7] * body["sampling_params"]["max_tokens"]
        choice = {
            "token_ids": ids,
            "finish_reason": "length",
            "logprobs": {"content": [{"logprob": self.logprob}] * len(ids)},
            "weight_versions": [{"version": self.versions[-1], "start": 0, "end": len(ids)}],
        }
        return 200, {"choices": [choice]}

    def holds(self, *versions: str) -> None:
        self.versions += versions
        self.served.pages["/weight_info"] = (200, {"weight_version": self.versions[-1]})

    def take(
        self, host: str = "", port: int = 0, secret: str = "", *, timeout: float, proof: str, **stored: Any
    ) -> dict[str, torch.Tensor]:
        where = guard.stored(**stored) if stored else guard.source_of(host, port, secret)
        assert guard.is_signed(SECRET.encode(), where, b"", proof)
        if stored:
            return dict(reader.weights(reader.awaited(self.directory, **stored, timeout=timeout)))
        return dict(transfer.receive(host, port, secret, timeout=timeout))


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sampler]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "FIRST", 0.02)
    made = Sampler(workers=2)
    yield made
    made.served.stop()


@pytest.fixture
def other(sampler: Sampler) -> Iterator[Sampler]:
    """One more, beside `sampler`."""
    made = Sampler()
    yield made
    made.served.stop()


def test_every_worker_gets_the_weights_and_every_rank_knows_their_name(sampler: Sampler, tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    remote = opened(tiny, sampler.served.url)
    held = remote.follow(model)
    other = opened(tiny, sampler.served.url, is_main=False)
    assert other.follow(model) == held
    assert sampler.versions == ["default", "r1: in transit", f"r1:{held:016x}"]
    wanted = dict(model.named_parameters())
    assert len(sampler.held) == 2
    for each in sampler.held:
        assert each.keys() == wanted.keys()
        assert all(torch.equal(each[name], weight) for name, weight in wanted.items())
    for rank in (remote, other):
        records = drawn(rank, "none")
        assert {tuple(record["logprobs"]) for record in records} == {(-0.5,) * SHORT.max_tokens}
        assert {record["finish"] for record in records} == {"length"}


def test_weights_in_a_directory_reach_every_worker_to_the_bit_also_one_that_comes_late(
    sampler: Sampler, other: Sampler, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "local_address", lambda *_: pytest.fail("no port of the trainer is open"))
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    sampler.directory = other.directory = tmp_path
    files = Transfer(tmp_path, "bfloat16")
    remote = opened(tiny, sampler.served.url, transfer=files)
    rank = opened(tiny, sampler.served.url, is_main=False, transfer=files)

    def check(workers: Sampler) -> None:
        for each in workers.held:
            assert each.keys() == dict(model.named_parameters()).keys()
            assert all(torch.equal(each[name], w.bfloat16()) for name, w in model.named_parameters())

    for version in range(3):
        held = remote.follow(model)
        assert rank.follow(model) == held
        assert sampler.versions[-1] == f"r1:{held:016x}"
        assert layout.read(tmp_path, version).previous == (version - 1 if version else None)
        check(sampler)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.001)
    assert len(sampler.held) == 2
    assert len(drawn(remote, "none")) == 8
    remote.close()
    again = opened(tiny, other.served.url, transfer=files)
    again.follow(model)
    check(other)
    assert layout.read(tmp_path, 3).previous is None, "another run begins with a base"
    again.close()


def test_files_for_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--weights-dir .*: servers read there.*--backend openai"):
        check_follower(Engine(), Endpoint(), Transfer(tmp_path))
    with pytest.raises(UsageError, match=r"--weights-dtype float32: .*--weights-dir DIR"):
        Transfer(weights_dtype="float32")


def test_a_server_that_takes_weights_from_anybody_is_refused(
    sampler: Sampler, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler.guarded = False
    with pytest.raises(Unavailable, match=r"takes weights from anybody .*--middleware stages\S*Guard"):
        opened(tiny, sampler.served.url)
    sampler.guarded = True
    told = len(sampler.served.asked)
    for given, said in (("", "is not set"), ("short", "is shorter than 16 characters")):
        monkeypatch.setenv(guard.NAME, given)
        with pytest.raises(UsageError, match=f"R1_WEIGHTS_SECRET {said}.*openssl"):
            opened(tiny, sampler.served.url)
        with pytest.raises(UsageError, match=f"R1_WEIGHTS_SECRET {said}"):
            check_follower(SERVER, Endpoint(sampler.served.url))
    monkeypatch.setenv(guard.NAME, SECRET.swapcase())
    with pytest.raises(Unavailable, match=r"/init_weight_tr\w+: 401 .*with R1_WEIGHTS_SECRET as here"):
        opened(tiny, sampler.served.url)
    assert not any("update" in path for path in sampler.served.paths[told:])
    monkeypatch.delenv(guard.NAME)
    opened(tiny, sampler.served.url, is_main=False)  # who gives no weights needs none


def test_one_that_was_started_anew_between_two_steps_is_looked_at_again(sampler: Sampler, tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    remote = opened(tiny, sampler.served.url)
    remote.follow(model)
    begun = sampler.served.paths.count("/init_weight_transfer_engine")
    remote.follow(model)
    assert sampler.served.paths.count("/init_weight_transfer_engine") == begun
    sampler.holds("default")
    remote.follow(model)
    assert sampler.served.paths.count("/init_weight_transfer_engine") > begun
    sampler.holds("default")
    sampler.guarded = False
    with pytest.raises(Unavailable, match="takes weights from anybody"):
        remote.follow(model)


def test_what_other_weights_drew_is_not_learned(sampler: Sampler, tiny: Path) -> None:
    remote = opened(tiny, sampler.served.url)
    remote.follow(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32))
    sampler.versions.append("default")  # as after a new start
    with pytest.raises(R1Error, match=r"sampled with default.*--resume"):
        drawn(remote, "none")


def test_a_probability_that_is_none_ends_the_run(sampler: Sampler, tiny: Path) -> None:
    remote = opened(tiny, sampler.served.url)
    remote.follow(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32))
    sampler.logprob = -9999.0
    with pytest.raises(R1Error, match="not finite"):
        drawn(remote, "none")


def test_a_token_that_the_model_does_not_know_is_refused(sampler: Sampler, tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    size = model.config.vocab_size
    remote = opened(tiny, sampler.served.url)
    remote.follow(model)
    extra = [f"<extra{i}>" for i in range(size - len(remote.tokenizer) + 1)]
    remote.tokenizer.add_tokens(extra)
    problem = Record({"id": "q", "prompt": extra[-1]}, place="p:1")
    with pytest.raises(BadInput, match=rf"p:1: has token {size} .* embeddings of {size}"):
        drawn(remote, "none", problems=[problem])


def test_a_closed_one_does_not_begin_again(sampler: Sampler, tiny: Path) -> None:
    remote = opened(tiny, sampler.served.url)
    remote.close()
    with pytest.raises(R1Error, match="closed"):
        drawn(remote, "none")


def test_weights_that_do_not_go_over_are_an_error_with_the_servers_reason(
    sampler: Sampler, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    remote = opened(tiny, sampler.served.url)
    sampler.served.reply = lambda body: (
        (500, {"error": {"message": "no room"}}) if "update_info" in body else (200, {})
    )
    with pytest.raises(R1Error, match=r"/update_weights: 500 no room"):
        remote.follow(model)
    monkeypatch.setattr(transfer, "TOGETHER", 0.1)
    sampler.workers = 1  # of two that it spoke of

    def lost(body: dict[str, Any]) -> tuple[int, Any]:
        try:
            return sampler.reply(body)
        except OSError as error:
            return 500, {"error": {"message": str(error)}}

    sampler.served.reply = lost
    with pytest.raises(R1Error, match=r"/update_weights: 500 the line broke"):
        remote.follow(model)


def test_of_several_samplers_one_goes_and_comes_back_with_the_right_weights(
    sampler: Sampler, other: Sampler, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PROBE", 0.1)
    monkeypatch.setattr(health, "ANSWER", 1.0)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    notes = Notes()
    both = (sampler.served.url, other.served.url)
    remote = opened(tiny, both, report=notes)
    held = remote.follow(model)
    assert sampler.versions[-1] == other.versions[-1] == f"r1:{held:016x}"
    assert [len(sampler.held), len(other.held)] == [2, 1]
    many = [Record(id=f"q{i}", prompt=f"What is {i} + 3?") for i in range(20)]
    assert len(drawn(remote, "none", many)) == 40
    assert all(each.served.paths.count(DRAW) > 5 for each in (sampler, other))

    other.served.stop()
    assert len(drawn(remote, "none", many)) == 40
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.01)
    second = remote.follow(model)
    assert second != held, "the weights go to who is there"
    assert len(drawn(remote, "none", many)) == 40

    other.versions, before = ["default"], other.served.paths.count(DRAW)
    other.served.start()
    time.sleep(0.5)
    assert len(drawn(remote, "none", many)) == 40
    assert other.served.paths.count(DRAW) == before, "it has not these weights"
    assert remote.follow(model) == second
    assert other.versions[-1] == f"r1:{second:016x}"
    weights = dict(model.named_parameters())
    assert all(torch.equal(other.held[0][name], weight) for name, weight in weights.items())
    assert len(drawn(remote, "none", many)) == 40
    assert other.served.paths.count(DRAW) > before + 2
    away = other.served.url.removesuffix("/v1")
    about = [said for said in notes.said if away in said]
    assert "the other servers" in about[0]
    assert about[-1] == f"{away} is there again and has the weights"

    other.versions.append("default")  # as after a new start that nobody saw
    assert len(drawn(remote, "none", many)) == 40
    assert "it sampled with default" in notes.said[-1]


def test_one_that_did_not_take_the_weights_keeps_no_other_rank_waiting(
    sampler: Sampler, other: Sampler, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER", 1.0)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    other.served.reply = lambda body: (500, {}) if "update_info" in body else other.reply(body)
    both = (sampler.served.url, other.served.url)
    remote, rank = opened(tiny, both), opened(tiny, both, is_main=False)
    assert remote.follow(model) == rank.follow(model)
    began = time.monotonic()
    assert len(drawn(rank, "none")) == 8
    assert time.monotonic() - began < 30


def test_one_that_hangs_before_it_takes_the_weights_is_named(
    sampler: Sampler, other: Sampler, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PROBE", 0.1)
    monkeypatch.setattr(health, "ANSWER", 1.0)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    notes = Notes()

    def hangs(body: dict[str, Any]) -> tuple[int, Any]:
        if other.served.paths[-1].startswith("/pause"):
            other.served.pages["/health"] = (0, None)
            time.sleep(60)
        return other.reply(body)

    other.served.reply = hangs
    remote = opened(tiny, (sampler.served.url, other.served.url), report=notes)
    remote.follow(model)
    url = other.served.url.removesuffix("/v1")
    assert [said for said in notes.said if said.startswith(f"{url}: no answer to /health")], notes.said


@pytest.fixture(scope="module")
def serve(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    pytest.importorskip("vllm", reason="vllm is not installed here")
    folder = tmp_path_factory.mktemp("serve")
    known = {"R1_WEIGHTS_SECRET": SECRET, "R1_WEIGHTS_DIR": str(folder), "VLLM_SERVER_DEV_MODE": "1"}
    made = Serve(smollm2, folder / "log", *TAKES_WEIGHTS, **known)
    try:
        made.wait()
        yield made
    finally:
        made.kill()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_it_samples_with_the_weights_it_was_given_last_and_no_others(serve: Serve, smollm2: Path) -> None:
    policy = Policy(str(smollm2), Engine(device="cpu", threads=1), Lora())
    remote = opened(smollm2, serve.url)
    first = remote.follow(policy.unwrapped)
    before = drawn(remote)
    assert gap(policy, before) < 1e-3
    with torch.no_grad():
        for weight in policy.unwrapped.parameters():
            weight.mul_(1.01)
    assert gap(policy, before) > 1e-2, "the weights differ enough to be told apart"
    assert remote.follow(policy.unwrapped) != first
    assert gap(policy, drawn(remote)) < 1e-3
    assert gap(policy, drawn(remote, "r1")) < 1e-3
    # Another run gives the same server weights of its own.
    other = opened(smollm2, serve.url)
    other.follow(Policy(str(smollm2), Engine(device="cpu", threads=1), Lora()).unwrapped)
    with pytest.raises(R1Error, match="does not hold the weights that are trained: it sampled with r1:"):
        drawn(remote)
    # Who does not know the secret changes nothing, neither at the port nor, past it, in a worker.
    open_to_all = other._delivery._servers
    for path in ("/pause", "/start_weight_update", "/finish_weight_update", "/collective_rpc", "/resume"):
        refused = open_to_all.tell(other.fleet.sites[0], path, {})
        assert refused is not None
        assert "401 not signed with this server's R1_WEIGHTS_SECRET" in refused.why
    other._delivery._tell(other.fleet.sites[0], "/start_weight_update")
    forged = {"host": "127.0.0.1", "port": 9, "secret": "x", "timeout": 5.0, "proof": "0" * 64}
    with pytest.raises(R1Error, match="not from who knows this server's R1_WEIGHTS_SECRET"):
        other._delivery._tell(other.fleet.sites[0], "/update_weights", update_info=forged)
    # An update that its trainer broke off does not stand in the next one's way.
    other._delivery._tell(other.fleet.sites[0], "/start_weight_update")
    again = opened(smollm2, serve.url)
    again.follow(policy.unwrapped)
    assert gap(policy, drawn(again)) < 1e-3


@pytest.mark.full
@pytest.mark.timeout(900)
def test_it_reads_the_weights_of_each_update_in_its_directory(serve: Serve, smollm2: Path) -> None:
    folder = Path(serve.variables["R1_WEIGHTS_DIR"])
    with pytest.raises(Unavailable, match=r"computes in float32, .* bfloat16: --weights-dtype float32"):
        opened(smollm2, serve.url, transfer=Transfer(folder, "bfloat16"))
    policy = Policy(str(smollm2), Engine(device="cpu", threads=1), Lora())
    remote = opened(smollm2, serve.url, transfer=Transfer(folder, "float32"))
    for _ in range(2):
        remote.follow(policy.unwrapped)
        assert gap(policy, drawn(remote)) < 1e-3
        with torch.no_grad():
            for name, weight in policy.unwrapped.named_parameters():
                if "layers.7" in name:
                    weight.mul_(1.3)
        assert gap(policy, drawn(remote)) > 1e-2, "the weights differ enough to be told apart"
    assert layout.read(folder, 1).previous == 0
    sizes = [layout.read(folder, version).size for version in range(2)]
    assert sizes[1] < sizes[0] / 15, "one of thirty layers changed"
    # What nobody signed is not read, nor what is not there.
    remote._delivery._tell(remote.fleet.sites[0], "/start_weight_update")
    forged = {"version": 0, "digest": "0" * 64, "timeout": 0.0, "proof": "0" * 64}
    with pytest.raises(R1Error, match="not from who knows this server's R1_WEIGHTS_SECRET"):
        remote._delivery._tell(remote.fleet.sites[0], "/update_weights", update_info=forged)
    forged["proof"] = guard.signature(SECRET.encode(), guard.stored(0, "0" * 64), b"")
    remote._delivery._tell(remote.fleet.sites[0], "/start_weight_update")
    with pytest.raises(R1Error, match=r"version 0 .* has not come: .* is not the one that was written"):
        remote._delivery._tell(remote.fleet.sites[0], "/update_weights", update_info=forged)
    remote.close()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_log_probabilities_of_another_temperature_are_refused(serve: Serve, smollm2: Path) -> None:
    with pytest.raises(Unavailable, match="--logprobs-mode processed_logprobs"):
        opened(smollm2, serve.url, temperature=0.7)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_grpo_goes_on_after_its_server_was_killed(
    serve: Serve, smollm2: Path, reward: str, command: list[str], tmp_path: Path
) -> None:
    problems, out = tmp_path / "in.jsonl", tmp_path / "out"
    lines = [{"id": f"p{i}", "prompt": f"{i} + 3 ="} for i in range(4)]
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = (
        "grpo", problems, "-m", smollm2, "-o", out, "--backend", "openai", "--base-url", serve.url, "-r",
        reward,
        "-t", "none", "-n", 4, "--problems", 2, "--max-tokens", 8, "--lr", "1e-4", "--save-every", 1,
        "--threads", 1,
        "--patience", 120, "--steps", 1000,
        "--eval", problems, "--eval-reward", reward, "--eval-every", 2, "--eval-samples", 1,
    )  # fmt: skip
    line = [*command, *map(str, words)]
    known = {**environment(), guard.NAME: SECRET}
    running = subprocess.Popen(line, env=known, stderr=subprocess.PIPE)
    log = Path(f"{out}.partial") / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not log.exists() or log.read_bytes().count(b"\n") < 2:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    serve.kill()
    threading.Timer(1, serve.start).start()
    _, said = running.communicate(timeout=400)
    assert running.returncode == 1, said
    assert re.search(
        rb"does not hold the weights|did not go over|/(pause|update|start|finish|resume)", said
    ), said
    assert b"bug" not in said
    serve.wait()
    steps = log.read_bytes().count(b"\n")
    done = subprocess.Popen([*line, "--resume"], env=known, stderr=subprocess.PIPE)
    while log.read_bytes().count(b"\n") < steps + 2:
        assert done.poll() is None, done.stderr and done.stderr.read()
        time.sleep(0.1)
    done.terminate()
    done.communicate(timeout=60)
    first, *made = [json.loads(line) for line in log.read_text().splitlines()]
    assert [m["step"] for m in made] == list(range(1, len(made) + 1))
    measured = [m["step"] for m in (first, *made) if "eval/in/pass@1" in m]
    assert measured == list(range(0, len(made) + 1, 2))
    assert max(m["sampling/logp_gap_mean"] for m in made) < 1e-3
