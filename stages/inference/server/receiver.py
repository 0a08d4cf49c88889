"""What takes new weights in vLLM's workers, under `--weight-transfer-config '{"backend": "r1"}'`.

They come over TCP, or stand in the directory that `R1_WEIGHTS_DIR` names.

vLLM finds it through the entry point `vllm.general_plugins` wherever r1 is installed. The other end is
`follower.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm.distributed.weight_transfer.base import WeightTransferEngine

from stages.checkpoints.versions import reader
from stages.inference.server import guard, transfer
from stages.inference.vllm import weights as vllm_weights
from stages.runtime.errors import R1Error

DIRECTORY = "R1_WEIGHTS_DIR"


@dataclass
class Wanted:
    """What the trainer needs of this server: `temperature` is the one it will sample at, `files` the type of
    the weights that it writes into a directory, "" where they come over TCP.
    """

    temperature: float
    files: str = ""


@dataclass
class Source:
    """Where the trainer waits; `timeout` is in seconds, for what the line gives at once. `proof` is the
    signature of who knows the secret of this server.
    """

    host: str
    port: int
    secret: str
    timeout: float
    proof: str = ""


@dataclass
class Stored:
    """A version in the directory: the number and SHA-256 of its index; it may come within `timeout` seconds.

    `proof` is the signature of who knows the secret of this server.
    """

    version: int
    digest: str
    timeout: float
    proof: str = ""


class Receiver(WeightTransferEngine[Wanted, Source]):  # type: ignore[misc]
    """One worker's part. What it raises reaches the trainer as the server's answer."""

    init_info_cls = Wanted
    update_info_cls = Source
    supports_draft_weight_update = False

    def init_transfer_engine(self, init_info: Wanted) -> None:
        """Raises R1Error where the log-probabilities this server gives are not those it draws with, or it
        would not get the trainer's weights from a directory to the bit.
        """
        mode = self.model_config.logprobs_mode
        plain = mode == "raw_logprobs" and init_info.temperature == 1
        if mode != "processed_logprobs" and not plain:
            raise R1Error(
                f"its log-probabilities ({mode}) are not those it draws with at temperature "
                f"{init_info.temperature:g}: start it with --logprobs-mode processed_logprobs"
            )
        if init_info.files:
            _directory()
            own = str(self.model_config.dtype).removeprefix("torch.")
            if init_info.files not in ("float32", own):
                fit = own if own == "bfloat16" else "float32"
                raise R1Error(
                    f"it computes in {own}, and the files are to be {init_info.files}: --weights-dtype {fit}"
                )

    def start_weight_update(self) -> None:
        """Nothing to prepare: a layer is laid out anew when its weights come."""
        self.held: int | None = None

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Takes all weights. Raises R1Error where they are not what was sent, or nobody signed for them.

        vLLM's own waits for the accelerator afterwards, and fails where there is none.
        """
        if "version" in update_info:
            self._read(Stored(**update_info))
        else:
            self.receive_weights(self.parse_update_info(update_info))

    def _read(self, stored: Stored) -> None:
        what = guard.stored(stored.version, stored.digest)
        if not guard.is_signed(guard.secret(), what, b"", stored.proof):
            raise R1Error(f"this version is not from who knows this server's {guard.NAME}")
        found = reader.awaited(_directory(), stored.version, stored.digest, timeout=stored.timeout)
        came = reader.weights(found)
        self.held = vllm_weights.load(self.vllm_config, self.model, came, self.model_config.dtype)

    def receive_weights(self, update_info: Source) -> None:
        """See `update_weights`."""
        where = guard.source_of(update_info.host, update_info.port, update_info.secret)
        if not guard.is_signed(guard.secret(), where, b"", update_info.proof):
            raise R1Error(f"these weights are not from who knows this server's {guard.NAME}")
        came = transfer.receive(
            update_info.host, update_info.port, update_info.secret, timeout=update_info.timeout
        )
        self.held = vllm_weights.load(self.vllm_config, self.model, came, self.model_config.dtype)

    def finish_weight_update(self) -> None:
        """Raises R1Error where nothing came, or a worker that has all of the model computes otherwise."""
        if self.held is None:
            raise R1Error("no weights have come since the update began")
        if self.parallel_config.world_size == 1 and vllm_weights.loaded(self.model) != self.held:
            raise R1Error("the sampler does not hold the weights that came: their checksums differ")

    def shutdown(self) -> None:
        """Holds nothing between two updates."""


def _directory() -> Path:
    """Where the files are. Raises R1Error where this server was not told, or cannot see it."""
    given = os.environ.get(DIRECTORY, "")
    if not given or not Path(given).is_dir():
        raise R1Error(
            f"{DIRECTORY} is {given!r}, which is no directory where this server runs: start it with "
            f"{DIRECTORY}=DIR, where the trainer's --weights-dir is mounted or copied to"
        )
    return Path(given)
