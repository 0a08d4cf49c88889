"""Metrics to an experiment tracker as well: TensorBoard, Weights & Biases or Trackio, where one is asked
for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.runtime.errors import Unavailable

PROJECT = "r1"


class Tracker:
    """Sends each step's figures to the tracker `kind`, one that `Saving` names. TensorBoard's files go to
    `folder`/tensorboard.
    """

    def __init__(self, kind: str, folder: Path, name: str, key: str) -> None:
        """`key` is the same for a run and its resumption. Raises Unavailable where the library is missing."""
        self.board: Any = None
        self.run: Any = None
        try:
            if kind == "tensorboard":
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(folder / "tensorboard"))
            else:  # the two have one interface, but for how a run is told from others of its name
                named = {"name": name, "id": key} if kind == "wandb" else {"name": f"{name}-{key}"}
                library = importlib.import_module(kind)
                self.run = library.init(project=PROJECT, resume="allow", **named)
        except ImportError as error:
            raise Unavailable(f"--track {kind} needs a library: pip install {kind} ({error})") from error

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """The figures of one step; what is no number is left out."""
        figures = {name: v for name, v in metrics.items() if isinstance(v, (int, float))}
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name, value, step)
            self.board.flush()
        else:
            self.run.log(figures, step=step)

    def close(self) -> None:
        """Writes what is buffered."""
        if self.board is not None:
            self.board.close()
        else:
            self.run.finish()
