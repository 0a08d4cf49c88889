"""Which backend generates: opens the one that `--backend` names, and imports no other."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stages.checkpoints.adapter import largest_rank
from stages.inference.interface import Backend, Follower
from stages.inference.server import guard
from stages.inference.server.survey import addresses
from stages.inference.transformers.execution import note_slow
from stages.inference.vllm.engine import INSTALL
from stages.runtime.errors import Unavailable, UsageError
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Endpoint, Engine, Transfer, check


@dataclass(frozen=True)
class Remote:
    """What is to be known of servers that sample for a run. Of several processes with them in common the one
    that `is_main` gives them the weights, in the way of `transfer`; they sample at `temperature`.
    """

    endpoint: Endpoint = Endpoint()
    transfer: Transfer = Transfer()
    temperature: float = 1.0
    is_main: bool = True


def resolved(engine: Engine) -> Engine:
    """`engine` with its backend chosen: vLLM where it is installed and has a GPU, else transformers.

    Raises UsageError where options of vLLM's are given and it is another.
    """
    chosen = engine.backend
    if chosen == "auto":
        chosen = "transformers"
        if engine.device != "cpu" and not engine.deterministic and find_spec("vllm") is not None:
            import torch

            if torch.cuda.is_available():
                chosen = "vllm"
    if chosen != "vllm" and (engine.tp > 1 or engine.dp > 1 or engine.vllm):
        raise UsageError("--tp, --dp and --vllm are for --backend vllm")
    return replace(engine, backend=chosen)


def open_backend(
    engine: Engine,
    model: str,
    *,
    endpoint: Endpoint = Endpoint(),
    adapter: Path | None = None,
    tokens: bool = False,
    report: Report = SILENT,
) -> Backend:
    """The backend that `engine` names, with `model` and its LoRA `adapter` loaded.

    `tokens` asks for ids and log-probabilities.
    """
    engine = resolved(engine)
    check_engine(engine, endpoint, adapter)
    if engine.backend == "openai":
        from stages.inference.server.backend import OpenAIBackend

        return OpenAIBackend(model, engine, endpoint, report, tokens)
    if engine.backend == "echo":
        from stages.inference.echo import Echo

        return Echo()
    if engine.backend == "vllm":
        from stages.inference.vllm.backend import VllmBackend
        from stages.inference.vllm.replicas import Replicas

        kind = Replicas if engine.dp > 1 else VllmBackend
        return kind(model, engine, adapter=adapter)
    from stages.inference.encoding import load_tokenizer
    from stages.inference.transformers.backend import TransformersBackend
    from stages.inference.transformers.model import load_model
    from stages.objectives.rates import note_faster

    tokenizer = load_tokenizer(model, engine.trust_remote_code, adapter)
    loaded = load_model(model, engine, adapter)
    note_slow(loaded, report)
    note_faster(loaded, engine, report.note)
    return TransformersBackend(loaded, tokenizer, engine)


def open_follower(
    engine: Engine,
    model: str,
    trained: Any,
    *,
    separate: bool,
    remote: Remote = Remote(),
    report: Report = SILENT,
) -> Follower:
    """A backend that samples from `trained`, a transformers model that began as the checkpoint `model`.

    With `separate`, or where `trained` is None, it has weights of its own, and may sample while `trained`
    changes. Under --backend openai servers sample, as `remote` says.
    """
    check_follower(engine, remote.endpoint, remote.transfer)
    if engine.backend == "openai":
        from stages.inference.server.follower import ServerFollower

        return ServerFollower(
            model, engine, remote.endpoint, remote.temperature, report, remote.is_main, remote.transfer
        )
    if engine.backend == "vllm":
        from stages.inference.vllm.backend import VllmBackend

        return VllmBackend(model, engine, follows=True, separate=separate)
    from stages.inference.encoding import load_tokenizer
    from stages.inference.transformers.backend import TransformersBackend
    from stages.inference.transformers.model import load_model

    if trained is None:
        trained = load_model(model, engine)
    elif separate:
        trained = copy.deepcopy(trained)
    return TransformersBackend(trained, load_tokenizer(model, engine.trust_remote_code), engine)


def check_engine(engine: Engine, endpoint: Endpoint, adapter: Path | None = None) -> None:
    """What the options alone say: nothing is loaded, and no server is asked.

    Raises UsageError for options that contradict each other, Unavailable for a library or adapter that is not
    there.
    """
    check(engine)
    if engine.backend in ("openai", "echo") and engine.dtype != "auto":
        raise UsageError(
            f"--dtype {engine.dtype}: --backend {engine.backend} computes nothing here; leave it out"
        )
    if adapter is not None and engine.backend in ("openai", "echo"):
        raise UsageError(
            f"--adapter {adapter}: not for --backend {engine.backend}; a server has its own: "
            "vllm serve --enable-lora --lora-modules NAME=DIR, then -m NAME"
        )
    if engine.backend == "openai":
        addresses(engine, endpoint)
    elif endpoint.base_url:
        raise UsageError("--base-url is where a server is: add --backend openai")
    elif endpoint.extra_body:
        raise UsageError("--extra-body is for requests to a server: add --backend openai and --base-url URL")
    if engine.backend == "vllm" and find_spec("vllm") is None:
        raise Unavailable("--backend vllm: vLLM is not installed", install=INSTALL)
    if adapter is not None:
        largest_rank(adapter)


def refuse_one_seed(endpoint: Endpoint) -> None:
    """Raises UsageError where all completions of a problem would be drawn with one seed, and be equal."""
    if (seed := endpoint.fields.get("seed")) is not None:
        raise UsageError(
            f"--extra-body: with the seed {seed} for each, all completions of a problem are equal; leave it "
            "out: --seed gives each its own"
        )


def check_follower(engine: Engine, endpoint: Endpoint, transfer: Transfer = Transfer()) -> None:
    """As `check_engine`, for what samples from a model under training; --dtype is of its training."""
    if engine.backend == "echo":
        raise UsageError("--backend echo: it samples nothing that could be learned; leave it out")
    refuse_one_seed(endpoint)
    if engine.backend == "openai":
        guard.secret()
    elif transfer.weights_dir is not None:
        raise UsageError(
            f"--weights-dir {transfer.weights_dir}: servers read there, and none samples for this run; add "
            "--backend openai and --base-url URL, or leave it out"
        )
    check_engine(replace(engine, dtype="auto"), endpoint)
