"""Tiny models with random weights for tests, one of each kind of attention."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SIZES: dict[str, Any] = {
    "vocab_size": 67,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
WINDOW = 5


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a checkpoint: downloaded and converted once, then taken from the cache."""
    script = Path(__file__).resolve().parent.parent / "docs" / "recipes" / "smollm2.sh"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(script)], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"docs/recipes/smollm2.sh cannot make the model here: {reason}")
    return Path(done.stdout.strip())


def tiny(kind: str) -> Any:
    """A model of this kind: its own attention, weights large enough that attention matters."""
    import transformers

    name, extra = {
        "llama": ("Llama", {}),
        "qwen2": ("Qwen2", {}),
        "qwen3": ("Qwen3", {"tie_word_embeddings": True}),
        "mistral": ("Mistral", {"sliding_window": WINDOW}),
        "gemma3": (
            "Gemma3",
            {
                "sliding_window": WINDOW,
                "layer_types": ["sliding_attention", "full_attention"],
                "query_pre_attn_scalar": 8,
            },
        ),
    }[kind]
    config_name = name + ("TextConfig" if kind == "gemma3" else "Config")
    config = getattr(transformers, config_name)(**SIZES, **extra, initializer_range=0.2)
    torch.manual_seed(3)
    model = getattr(transformers, name + "ForCausalLM")(config)
    return model.eval()


KINDS = ("llama", "qwen2", "qwen3", "mistral", "gemma3")


def fresh(path: Path, *, words: tuple[str, ...] | None = None, context: int = 256, seed: int = 0) -> Path:
    """What `r1 init` makes, its matrices times 6: sure enough of itself that attention matters."""
    from safetensors.torch import load_file, save_file

    from stages import init

    init.run(
        init.Settings(
            out=path,
            hidden=48,
            layers=2,
            heads=4,
            kv_heads=2,
            context=context,
            seed=seed,
            words=init.TAGS if words is None else words,
        )
    )
    weights = load_file(path / "model.safetensors")
    larger = {name: w * 6 if w.ndim > 1 else w for name, w in weights.items()}
    save_file(larger, path / "model.safetensors", metadata={"format": "pt"})
    return path
