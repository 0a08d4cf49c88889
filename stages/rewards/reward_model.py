"""What a reward model gives: the number of a sequence-classification checkpoint for prompt and completion.

The checkpoint's chat template joins the two where it has one. `part` is what it sees: the whole completion,
or the summary after the thinking. `squash=sigmoid` brings the number between 0 and 1; a model of two classes
gives the probability of the second.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from stages.grading.judged.judges import check_model
from stages.language.judged import Part, conversation_of
from stages.records.record import Record, place_of
from stages.records.verdict import Example, Verdict
from stages.runtime.reward_options import in_options_of
from stages.settings.groups import Engine
from stages.settings.options import Range

REMEDY = "reward_model judges completions: run r1 generate first"
EXAMPLES: list[Example] = [([], {"model": "nothing is asked of it"}, [])]


def reward_model(
    batch: list[Record],
    *,
    model: str,
    part: Part = "whole",
    squash: Literal["none", "sigmoid"] = "none",
    size: Annotated[int, Range(low=1)] = 8,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    trust_remote_code: bool = False,
) -> list[Verdict]:
    """Null for a text that is longer than the model reads. `size` texts are read at once.

    Raises Unavailable for a model that cannot be had, BadInput for a record without a completion.
    """
    conversations = [conversation_of(record, part, REMEDY) for record in batch]
    if not batch:
        return []
    engine = Engine(device=device, dtype=dtype, trust_remote_code=trust_remote_code or None)
    with in_options_of("reward_model", OPTIONS):
        values = _opened(model, engine).rate(conversations, [place_of(record) for record in batch], size)
    return [_verdict(value, squash) for value in values]


OPTIONS = frozenset(reward_model.__annotations__)


def check(*, model: str, device: str = "auto", **_: Any) -> None:
    """Raises what is wrong with the model, as far as that shows before anything is loaded."""
    check_model("reward_model", OPTIONS, model, device)


def _verdict(value: float | int, squash: str) -> Verdict:
    if isinstance(value, int):
        return Verdict(None, f"{value} tokens are more than the model reads")
    if squash == "sigmoid":
        import math

        value = 1 / (1 + math.exp(-value)) if value > -700 else 0.0
    return Verdict(value, "as the model rates it")


@lru_cache(maxsize=2)
def _opened(model: str, engine: Engine) -> Any:
    from stages.inference.transformers.classifier import Classifier

    return Classifier(model, engine)
