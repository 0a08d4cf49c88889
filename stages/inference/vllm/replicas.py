"""Data parallelism: several engines, each in a process of its own with its share of the GPUs.

A request goes whole to the replica with the least to do, and completions come back as they finish. A replica
dies with the process that started it; where one dies by itself, the run ends with its name.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from stages.inference.encoding import load_tokenizer
from stages.inference.interface import Completion, Request, Source
from stages.runtime.errors import R1Error, Unavailable
from stages.runtime.rank import die_with
from stages.runtime.threads import threads
from stages.settings.groups import Engine, Sampling

POLL = 0.05  # seconds between two looks at a source that had nothing
GRACE = 10.0  # seconds that an idle replica has to end


class Replicas:
    """`engine.dp` engines with `model`. Raises what the first of them that does not start raises."""

    revision = ""

    def __init__(self, model: str, engine: Engine, *, adapter: Path | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.processes: dict[Connection, Any] = {}
        # For who asks what a prompt looks like.
        self.tokenizer = load_tokenizer(model, engine.trust_remote_code, adapter)
        self.places = 0
        self.idle = False
        one = replace(engine, threads=max(threads(engine.threads) // engine.dp, 1))
        for devices in _devices(engine):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(theirs, os.getpid(), model, one, adapter, devices),
                daemon=engine.tp == 1,  # a daemon may not start vLLM's own workers
            )
            process.start()
            theirs.close()
            self.processes[ours] = process
        try:
            for pipe in self.processes:
                self.places = self._receive(pipe)
            self.idle = True
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the processes, at once where they are at work."""
        if self.idle:
            for pipe in self.processes:
                with contextlib.suppress(OSError):
                    pipe.send(None)
        for pipe, process in self.processes.items():
            if self.idle:
                process.join(GRACE)
            process.kill()
            process.join()
            pipe.close()
        self.processes = {}

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        """See `Backend`. Raises R1Error where a replica died."""
        running = dict.fromkeys(self.processes, 0)
        source = Source(requests)
        self.idle = False
        try:
            for pipe in running:
                pipe.send(sampling)
            while True:
                while min(running.values()) < self.places and (request := source.take()) is not None:
                    pipe = min(running, key=running.__getitem__)
                    running[pipe] += len(request.samples)
                    pipe.send(request)
                if not any(running.values()):
                    if source.exhausted:
                        break
                    yield None
                    continue
                for ready in wait(list(running), None if source.exhausted else POLL):
                    assert isinstance(ready, Connection)
                    running[ready] -= 1
                    yield self._receive(ready)
            for pipe in running:
                pipe.send(None)
            self.idle = True
        except BrokenPipeError as error:
            raise R1Error("a vLLM replica died; run again with --resume") from error
        except BaseException:  # what is unfinished is dropped, and with it who works on it
            self.close()
            raise

    def _receive(self, pipe: Connection) -> Any:
        try:
            found = pipe.recv()
        except (EOFError, OSError) as error:
            process = self.processes[pipe]
            process.join(1)
            number = list(self.processes).index(pipe)
            raise R1Error(
                f"vLLM replica {number} (process {process.pid}) died with exit code {process.exitcode}; "
                "what it had finished is kept where --resume is given"
            ) from error
        if isinstance(found, _Failure):
            raise found.error()
        return found


class _Failure:
    """An error as it goes through a pipe."""

    def __init__(self, error: BaseException) -> None:
        self.said = str(error) or type(error).__name__
        self.code = error.code if isinstance(error, R1Error) else 1

    def error(self) -> R1Error:
        made = R1Error(self.said)
        made.code = self.code
        return made


def _devices(engine: Engine) -> list[str | None]:
    """The value of CUDA_VISIBLE_DEVICES for each replica; None where there are no GPUs.

    Raises Unavailable where there are too few.
    """
    import torch

    count = torch.cuda.device_count() if engine.device != "cpu" else 0
    if not count:
        return [None] * engine.dp
    named = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    devices = named.split(",")[:count]
    if len(devices) < engine.dp * engine.tp:
        raise Unavailable(
            f"--dp {engine.dp} --tp {engine.tp}: needs {engine.dp * engine.tp} GPUs, {len(devices)} are there"
        )
    return [",".join(devices[k * engine.tp : (k + 1) * engine.tp]) for k in range(engine.dp)]


def _serve(
    pipe: Connection,
    parent: int,
    model: str,
    engine: Engine,
    adapter: Path | None,
    devices: str | None,
) -> None:
    """What a replica's process does: completions for requests, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends us
    die_with(parent)
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # Read in a thread, so that neither end waits for the other to read.
    threading.Thread(target=_read, args=(pipe, inbox), daemon=True).start()
    held: deque[Any] = deque()

    def requests() -> Iterator[Request | None]:
        while True:
            try:
                message = held.popleft() if held else inbox.get_nowait()
            except queue.Empty:
                yield None
                continue
            if message is None:
                return
            yield message

    try:
        from stages.inference.vllm.backend import VllmBackend

        backend = VllmBackend(model, engine, adapter=adapter)
        pipe.send(backend.places)
        while (sampling := inbox.get()) is not None:
            for completion in backend.generate(requests(), sampling):
                if completion is None:
                    held.append(inbox.get())  # nothing runs: wait for something to do
                else:
                    pipe.send(completion)
        backend.close()
    except BaseException as error:
        pipe.send(_Failure(error))
        raise SystemExit(1) from None


def _read(pipe: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            inbox.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
