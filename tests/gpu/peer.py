"""TRL and transformers on the input of speed.py, and the reward that both of them pay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any


def vowels(completions: list[str], **_: Any) -> list[float]:
    """The share of letters that are vowels: it differs inside any group."""
    return [sum(c in "aeiou" for c in said) / max(len(said), 1) for said in completions]


def tried(model: str, dtype: str, bench: Any) -> tuple[tuple[str, Callable[[], Iterator[Any]]], ...]:
    """What is measured, each by its name; one row that says so where TRL cannot be imported."""
    from finding import Row

    def absent() -> Iterator[Row]:
        yield Row(f"TRL {model}", "left out", note=str(reason))

    try:
        import trl  # noqa: F401
    except ImportError as error:
        reason = error
        return (("TRL", absent),)
    found = (("generate", _generate), ("sft", _sft), ("grpo", _grpo))
    return tuple(
        (f"{what} {model} {dtype}", lambda what=what, find=find: _timed(what, find, model, dtype, bench))
        for what, find in found
    )


def _timed(what: str, find: Any, model: str, dtype: str, bench: Any) -> Iterator[Any]:
    from speed import speed

    bench.forget()
    yield speed(f"{what} {model} {dtype}", find(model, dtype, bench), bench)


def _loaded(model: str, bench: Any, dtype: str = "float32") -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = bench.model(model)
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).to(bench.device), tokenizer


def _generate(model: str, dtype: str, bench: Any) -> float:
    """transformers' own generate, all sequences in one batch."""
    import torch
    from finding import Watch
    from speed import problems

    loaded, tokenizer = _loaded(model, bench, dtype)
    size = bench.size
    prompts = [p["prompt"] for p in problems(bench, size.problems)]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    batch = batch.to(bench.device)
    options: dict[str, Any] = {
        "do_sample": True, "top_k": 0, "max_new_tokens": size.tokens, "num_return_sequences": size.samples
    }  # fmt: skip
    with torch.inference_mode():
        loaded.generate(**batch, **{**options, "max_new_tokens": 2})
        watch = Watch(bench)
        made = loaded.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
        return float((made != tokenizer.pad_token_id).sum()) / watch.seconds()


def _clock() -> tuple[Any, list[dict[str, float]]]:
    from transformers import TrainerCallback

    found: list[dict[str, float]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            found.append({"seconds": time.perf_counter() - self.start})

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any, **_: Any) -> None:
            if "completions/mean_length" in logs:
                found[-1]["length"] = logs["completions/mean_length"]

    return Clock(), found


def _shared(dtype: str, bench: Any) -> dict[str, Any]:
    return {
        "output_dir": str(bench.folder), "use_cpu": bench.device == "cpu", "report_to": "none",
        "bf16": dtype == "bfloat16", "fp16": False, "logging_steps": 1, "save_strategy": "no",
        "max_steps": bench.size.steps, "disable_tqdm": True, "learning_rate": 1e-6,
        "gradient_checkpointing": False,
    }  # fmt: skip


def _sft(model: str, dtype: str, bench: Any) -> float:
    from datasets import Dataset
    from speed import examples, per_second
    from trl import SFTConfig, SFTTrainer

    loaded, tokenizer = _loaded(model, bench)
    size, (clock, found) = bench.size, _clock()
    data = [{"prompt": e["prompt"], "completion": e["completion"]} for e in examples(bench)]
    SFTTrainer(
        model=loaded,
        args=SFTConfig(
            **_shared(dtype, bench), per_device_train_batch_size=size.examples, max_length=size.length
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[clock],
    ).train()
    return per_second([float(size.examples * size.length)] * len(found), [f["seconds"] for f in found])


def _grpo(model: str, dtype: str, bench: Any) -> float:
    from datasets import Dataset
    from speed import per_second, problems
    from trl import GRPOConfig, GRPOTrainer

    loaded, tokenizer = _loaded(model, bench)
    size, (clock, found) = bench.size, _clock()
    count = size.problems * size.samples
    GRPOTrainer(
        model=loaded,
        reward_funcs=vowels,
        args=GRPOConfig(
            **_shared(dtype, bench), per_device_train_batch_size=count, num_generations=size.samples,
            max_completion_length=size.tokens,
        ),
        train_dataset=Dataset.from_list([{"prompt": p["prompt"]}
                                         for p in problems(bench, size.steps * size.problems)]),
        processing_class=tokenizer,
        callbacks=[clock],
    ).train()  # fmt: skip
    return per_second([f["length"] * count for f in found], [f["seconds"] for f in found])
