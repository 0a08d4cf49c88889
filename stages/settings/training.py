"""Options that training has in common, with itself and with generate: their help, names and bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from stages.settings.groups import Endpoint, Engine, Parallelism, Saving, Transfer
from stages.settings.options import Alias, Doc, Flag, Incidental, Range

Model = Annotated[str, Flag("-m", "--model"), Alias("--model-name-or-path"), Incidental()]
Out = Annotated[
    Path, Doc("The checkpoint to make."), Flag("-o", "--out"), Alias("--output-dir"), Incidental()
]
TemplateName = Annotated[
    str, Doc("r1-zero, r1, chat, none, or a file that holds {prompt}."), Flag("--template", "-t")
]
Prefill = Annotated[str | None, Doc("Begin each completion with this text instead of the template's.")]
Rewards = Annotated[
    tuple[str, ...],
    Doc("NAME[:option=value…][*weight][ if CONDITION], as for score. Repeatable."),
    Flag("-r", "--reward", metavar="SPEC"),
]
Samples = Annotated[int, Flag("-n", "--samples"), Alias("--num-generations")]
GeneratedSamples = Annotated[
    int,
    Flag("-n", "--samples"),
    Range(1, 2**20),
    Alias("--num-generations", "--num-return-sequences"),
]
Steps = Annotated[int, Range(low=1), Alias("--max-steps")]
Epochs = Annotated[float, Range(above=0, high=1e6), Alias("--num-train-epochs")]
Batch = Annotated[int, Doc("Examples of one update."), Range(low=1), Alias("--train-batch-size")]
Context = Annotated[
    int, Doc("Longest example in tokens, the rest is cut; 0 is the model's context."), Range(low=0)
]
RowTokens = Annotated[
    int, Doc("Tokens computed at once; bounds memory, changes no result."), Range(low=1), Incidental()
]
Workers = Annotated[int, Doc("Processes that score; 0 takes all cores."), Range(0, 1024), Incidental()]
Seed = Annotated[int, Doc("Names the random numbers of the run."), Range(low=0)]
DryRun = Annotated[bool, Doc("Say what would be done and stop."), Incidental()]
# How a run is carried out. What its passes compute with, and whose code, stays what it was.
TrainingEngine = Annotated[Engine, Incidental(but=("dtype", "trust_remote_code"))]
AnySaving = Annotated[Saving, Incidental()]
AnyEndpoint = Annotated[Endpoint, Incidental(but=("extra_body",))]
AnyTransfer = Annotated[Transfer, Incidental()]
AnyParallelism = Annotated[Parallelism, Incidental()]
