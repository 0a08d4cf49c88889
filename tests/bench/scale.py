"""Plans beside what others have published: `python tests/bench/scale.py` prints the table of docs/scale.md.

Nothing is measured here. NeMo-RL: docs/about/performance-summary.md of NVIDIA-NeMo/RL, version 0.4, H100,
bfloat16; its mean lengths include the prompt, taken as 150 tokens. The R1 paper: 198 hours on 512 H800 for
10,400 steps, of which 16 share 8,192 rollouts; the mean length over the run is read off its figure.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from stages.planning.shape import Shape, shape
from stages.planning.steps import Cluster, Parts, Work, parts


def sizes(
    hidden: int, heads: int, groups: int, layers: int, inside: int, words: int, **more: int
) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": groups,
        "num_hidden_layers": layers, "intermediate_size": inside, "vocab_size": words, **more,
    }  # fmt: skip


# As their config.json say.
MODELS = {
    "Llama-3.1-8B": sizes(4096, 32, 8, 32, 14336, 128256),
    "Qwen3-32B": sizes(5120, 64, 8, 64, 25600, 151936, head_dim=128),
    "Qwen3-30B-A3B": sizes(
        2048, 32, 4, 48, 6144, 151936, head_dim=128,
        moe_intermediate_size=768, num_experts=128, num_experts_per_tok=8,
    ),
    "Qwen3-235B": sizes(
        4096, 64, 4, 94, 12288, 151936, head_dim=128,
        moe_intermediate_size=1536, num_experts=128, num_experts_per_tok=8,
    ),
    "DeepSeek-V3": sizes(
        7168, 128, 128, 61, 18432, 129280, kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64,
        qk_nope_head_dim=128, v_head_dim=128, moe_intermediate_size=2048, n_routed_experts=256,
        n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=3,
    ),
}  # fmt: skip


class Case(NamedTuple):
    """What was run: model, GPUs that train, others that sample, GPUs of a copy, completions, tokens of a
    completion (mean, longest), and seconds of a step as published."""

    source: str
    model: str
    gpus: int
    samplers: int
    together: int
    completions: int
    mean: float
    longest: float
    published: float
    gpu: str = "h100"
    passes: int = 2
    share: int = 1  # steps that share these completions


PROMPT = 150
CASES = (
    Case("NeMo-RL", "Llama-3.1-8B", 16, 0, 1, 2048, 910, 3946, 97.7),
    Case("NeMo-RL", "Llama-3.1-8B", 8, 8, 1, 2048, 979, 3946, 74.6),
    Case("NeMo-RL", "Qwen3-32B", 32, 0, 4, 2048, 3056, 3946, 393),
    Case("NeMo-RL", "Qwen3-32B", 32, 32, 4, 2048, 3057, 3946, 215),
    Case("NeMo-RL", "Qwen3-30B-A3B", 32, 0, 4, 2048, 3004, 3946, 225),
    Case("NeMo-RL", "Qwen3-30B-A3B", 16, 16, 2, 2048, 3008, 3946, 244),
    Case("NeMo-RL", "Qwen3-235B", 128, 0, 16, 512, 5521, 8042, 506),
    Case("NeMo-RL", "Qwen3-235B", 128, 128, 8, 512, 5541, 8042, 241),
    Case("NeMo-RL", "DeepSeek-V3", 256, 0, 32, 512, 595, 1386, 154),
    Case("NeMo-RL", "DeepSeek-V3", 256, 256, 32, 512, 594, 1386, 77.9),
    Case("R1-Zero", "DeepSeek-V3", 512, 0, 32, 8192, 5000, 32768, 68.5, "h800", 1, 16),
)


class Row(NamedTuple):
    case: Case
    plan: float
    ratio: float
    parts: Parts


def sized(config: dict[str, Any]) -> Shape:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config))
        return shape(file)


def rows() -> list[Row]:
    made = []
    for case in CASES:
        work = Work(
            case.completions, PROMPT, case.mean, case.longest, case.passes, case.model != "Llama-3.1-8B"
        )
        found = parts(
            sized(MODELS[case.model]), work, Cluster(case.gpu, case.gpus, case.samplers, case.together)
        )
        seconds = found.step(bool(case.samplers)) / case.share
        made.append(Row(case, seconds, seconds / case.published, found))
    return made


def main() -> None:
    print("| source | model | GPUs, training + sampling | seconds a step | planned | ratio |")
    print("|---|---|---|---|---|---|")
    for row in rows():
        case = row.case
        gpus = f"{case.gpus} + {case.samplers}" if case.samplers else str(case.gpus)
        print(
            f"| {case.source} | {case.model} | {gpus} {case.gpu.upper()} | {case.published:g} "
            f"| {row.plan:.1f} | {row.ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
