"""How a model is executed: over flat rows, or one sequence length at a time by its own code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.runtime.report import Report


@dataclass(frozen=True)
class Execution:
    """What `proof.prove` found for a model. `error` is how far its logits lie from the model's own."""

    name: str = ""  # of the model's class
    flat: bool = True
    attention: str = ""  # which of transformers' own it takes where it is not flat
    cached: bool = True  # whether its own cache gives the numbers of the whole sequence
    positions: bool = False  # whether its cached pass must be told the token's position
    head: bool = True  # whether logits are hidden states times the output layer's weights, and no more
    border: int = 0  # the longest sequence of the first of two ranges of positions; see `longrope`
    longest: int = 0  # of the sequences for which that is known, where it is not known for all
    error: float = 0.0
    why: str = ""  # it is not flat

    def note(self) -> str:
        """One line for who waits; empty where there is nothing to say."""
        if self.flat:
            return ""
        slower = "no sequences side by side"
        if not self.cached:
            slower += ", and no cache: each token computes its whole sequence again"
        if self.longest:
            slower += f", at most {self.longest} tokens"
        return (
            f"{self.name} is computed by transformers' own code, right and slower ({slower}), "
            f"as flat rows are not for it: {self.why}"
        )


def execution_of(model: Any) -> Execution:
    """What was found for `model` when it was loaded."""
    found: Execution = getattr(model, "r1_execution", None) or Execution()
    return found


def note_slow(model: Any, report: Report) -> None:
    """Says so where the model is executed the slower way."""
    if note := execution_of(model).note():
        report.note(note)


class Packing(NamedTuple):
    """What may lie side by side in a row: nothing, or with a `border` sequences on one side of it.

    With `drawn`, tokens of a completion that comes over the border are computed as they were drawn: up to it
    as a short sequence, past it as a long one.
    """

    alone: bool = False
    border: int = 0
    drawn: bool = False


def packing(models: Iterable[Any], *, drawn: bool = False) -> Packing:
    """What all of the models can compute in a row."""
    found = [execution_of(model) for model in models]
    borders = {each.border for each in found}
    alone = len(borders) > 1 or not all(each.flat for each in found)
    return Packing(alone, max(borders, default=0), drawn)
