"""How fast `r1 grpo` and `r1 sft` train, and in how much memory, against TRL in the same run.

    python tests/bench/training.py [--pairs N] [--steps N] [--dtype bfloat16] [--peer float32] [ROW...]

Each ROW is a workload; without one, all of them: 4 GSM8K problems x 8 completions of at most 64 or 256
tokens, SFT on 8 of its solutions, and a model of 1.3 million weights, 32 sums x 8. A pair runs ours and then
TRL's, each in a process of its own, same model, same problems, same --dtype, two threads; of each the first
step warms up and is left out. With `--peer float32` the peer is r1 itself in float32. A line for each process
gives tokens per second over the others and the peak memory; the row's last line the medians of the pairs'
ratios. TRL runs as it is configured by default, but for gradient checkpointing, which makes it slower and
smaller: CHECKPOINTING=1 in the environment turns that on again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
DATA = Path(os.environ.get("R1_DATA", HERE.parents[3] / "shared" / "data")) / "math"
ROWS: dict[str, dict[str, Any]] = {
    "grpo-64": {"kind": "grpo", "tokens": 64, "reward": "stand_in"},
    "grpo-256": {"kind": "grpo", "tokens": 256, "reward": "stand_in"},
    "grpo-64-chat": {"kind": "grpo", "tokens": 64, "reward": "stand_in", "chat": True},
    "grpo-64-accuracy": {"kind": "grpo", "tokens": 64, "reward": "right"},
    "grpo-tiny": {
        "kind": "grpo",
        "tokens": 60,
        "reward": "stand_in",
        "model": "tiny",
        "problems": 32,
    },
    "sft-padded": {"kind": "sft", "packing": False},
    "sft-packed": {"kind": "sft", "packing": True},
}
PROBLEMS, SAMPLES = 4, 8  # of a step of grpo, unless the row says otherwise
EXAMPLES = 8  # of an update of sft


def stand_in(completions: list[Any], **_: Any) -> list[float]:
    """A reward that differs inside any group: the share of letters that are vowels."""
    texts = [text if isinstance(text, str) else text[-1]["content"] for text in completions]
    return [sum(c in "aeiou" for c in text) / max(len(text), 1) for text in texts]


def right(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
    """The true reward: math-verify on the completion."""
    from math_verify import parse, verify

    texts = [text if isinstance(text, str) else text[-1]["content"] for text in completions]
    return [
        float(verify(parse(gold, parsing_timeout=None), parse(text, parsing_timeout=None),
        timeout_seconds=None))
        for text, gold in zip(texts, answer, strict=True)
    ]  # fmt: skip


def problems(row: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """GSM8K's training set, as plain text or chat prompts, or sums for the tiny model."""
    if row.get("model") == "tiny":
        return [
            {"prompt": f"{37 * k % 89 + 10} + {53 * k % 83 + 10} = ?", "answer": ""} for k in range(count)
        ]
    chat = row.get("chat") or row.get("kind") == "sft"
    with open(DATA / "gsm8k_train.jsonl", encoding="utf-8") as stream:
        found = [json.loads(line) for _, line in zip(range(count), stream, strict=False)]
    return [
        {"prompt": [{"role": "user", "content": f["question"]}] if chat else f["question"],
         "solution": f["answer"], "answer": f["answer"].rpartition("#### ")[2]}
        for f in found
    ]  # fmt: skip


def ours(row: dict[str, Any], model: str, steps: int, work: Path, dtype: str) -> list[dict[str, float]]:
    """The command that a user would run; tokens and seconds of each step from its metrics."""
    count = row.get("problems", PROBLEMS) if row["kind"] == "grpo" else EXAMPLES
    lines = problems(row, steps * count)
    common = ["-m", model, "-o", str(work / "out"), "--save-every", "0", "--threads", "2",
              "--dtype", dtype]  # fmt: skip
    if row["kind"] == "grpo":
        records = [{"id": str(k), **line} for k, line in enumerate(lines)]
        template = "chat" if row.get("chat") else "none"
        command = ["grpo", *common, "--template", template, "--steps", str(steps), "--problems", str(count),
                   "-n", str(SAMPLES), "--batch-size", str(max(64, count * SAMPLES)),
                   "--max-tokens", str(row["tokens"]), "--reward",
                   f"trl:training.{row['reward']}" if row["reward"] != "right" else "accuracy"]  # fmt: skip
    else:
        records = [
            {"id": str(k), "prompt": line["prompt"], "completion": line["solution"]}
            for k, line in enumerate(lines)
        ]
        command = ["sft", *common, "--epochs", "1", "--batch", str(EXAMPLES), "--context", "512"]
    text = "".join(json.dumps(record) + "\n" for record in records)
    subprocess.run(
        [sys.executable, "-m", "r1cli", *command], input=text, text=True, check=True, cwd=HERE.parent,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    with open(work / "out" / "metrics.jsonl", encoding="utf-8") as stream:
        found = [json.loads(line) for line in stream]
    if row["kind"] == "sft":  # TRL counts prompts as well
        total = sum(_length(model, line) for line in lines)
        return [{"tokens": total / len(found), "seconds": f["step_time"]} for f in found]
    return [{"tokens": f["num_tokens"], "seconds": f["step_time"]} for f in found]


def _length(model: str, line: dict[str, Any]) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    turns = [*line["prompt"], {"role": "assistant", "content": line["solution"]}]
    return len(
        tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    )


def trl(row: dict[str, Any], model: str, steps: int, work: Path, dtype: str) -> list[dict[str, float]]:
    """The same through TRL's trainer, timed from the begin to the end of each of its steps."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    torch.set_num_threads(2)
    count = row.get("problems", PROBLEMS)
    found: list[dict[str, float]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            found.append({"seconds": time.perf_counter() - self.start})

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any, **_: Any) -> None:
            if "completions/mean_length" in logs:
                found[-1]["tokens"] = logs["completions/mean_length"] * count * SAMPLES

    shared: dict[str, Any] = {
        "output_dir": str(work), "use_cpu": True, "report_to": "none",
        "bf16": dtype == "bfloat16", "fp16": False,
        "logging_steps": 1, "save_strategy": "no", "max_steps": steps, "disable_tqdm": True,
        "learning_rate": 1e-6,
        "gradient_checkpointing": os.environ.get("CHECKPOINTING") == "1",
    }  # fmt: skip
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if row["kind"] == "grpo":
        from trl import GRPOConfig, GRPOTrainer

        trainer: Any = GRPOTrainer(
            model=loaded,
            reward_funcs=globals()[row["reward"]],
            args=GRPOConfig(
                **shared,
                per_device_train_batch_size=count * SAMPLES,
                num_generations=SAMPLES,
                max_completion_length=row["tokens"],
            ),
            train_dataset=Dataset.from_list(problems(row, steps * count)),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
    else:
        from trl import SFTConfig, SFTTrainer

        lines = problems(row, steps * EXAMPLES * (2 if row["packing"] else 1))
        data = [
            {"prompt": x["prompt"], "completion": [{"role": "assistant", "content": x["solution"]}]}
            for x in lines
        ]
        trainer = SFTTrainer(
            model=loaded,
            args=SFTConfig(
                **shared,
                per_device_train_batch_size=EXAMPLES if not row["packing"] else 4,
                max_length=512,
                packing=row["packing"],
                include_num_input_tokens_seen="non_padding",
            ),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
    trainer.train()
    if row["kind"] == "sft":
        history = [entry["num_tokens"] for entry in trainer.state.log_history if "num_tokens" in entry]
        for entry, before, after in zip(found, [0, *history], history, strict=False):
            entry["tokens"] = after - before
    return found


def measured(party: str, name: str, model: str, steps: int, dtype: str) -> dict[str, float]:
    """Tokens per second without the first step, and peak memory in MiB, of a process of its own."""
    with tempfile.TemporaryDirectory() as work:
        result = Path(work) / "result.json"
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        # Threads that spin: the fastest on an idle machine, for both. r1 lets them sleep unless told
        # otherwise.
        threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "active"}
        environment = {**os.environ, **threads, "PYTHONPATH": path}
        process = subprocess.Popen(
            [sys.executable, str(HERE), "--party", party, "--model", model, "--steps", str(steps), "--dtype",
             dtype, "--work", work, name],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        error = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        if status or not result.exists():
            sys.exit(f"{party} failed on {name}:\n{error.decode()[-3000:]}")
        entries = json.loads(result.read_text())
    if len(entries) > 1:
        entries = entries[1:]
    seconds = sum(entry["seconds"] for entry in entries)
    return {
        "rate": sum(entry["tokens"] for entry in entries) / seconds,
        "step": seconds / len(entries),
        "mean_tokens": sum(entry["tokens"] for entry in entries) / len(entries),
        "peak": usage.ru_maxrss / 1024,
    }


def model_of(row: dict[str, Any], work: Path) -> str:
    """SmolLM2-135M, or a model of 1.3 million weights after 8,000 worked sums."""
    if row.get("model") != "tiny":
        script = HERE.parents[2] / "docs" / "recipes" / "smollm2.sh"
        return subprocess.run([str(script)], check=True, capture_output=True, text=True).stdout.strip()
    made, r1 = work / "tiny", f"{sys.executable} -m r1cli"
    if not made.exists():
        subprocess.run(
            f"{r1} init -q -o {made}.fresh --alphabet 加得， --words ' plus ' --words ' is ' --words "
            f"'<think>' "
            f"--words '</think>' --words '<answer>' --words '</answer>' && "
            f"{r1} prompts sums -q --split train --set worked=noisy -n 8000 | {r1} sft -q -m {made}.fresh -o "
            f"{made} "
            "-t none --epochs 1 --lr 3e-3 --warmup 0.05",
            shell=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return str(made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=list(ROWS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--peer", choices=["trl", "float32"], default="trl")
    parser.add_argument("--party", choices=["ours", "trl", "float32"])
    parser.add_argument("--model")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    if given.party:
        run: Callable[..., list[dict[str, float]]] = trl if given.party == "trl" else ours
        dtype = "float32" if given.party == "float32" else given.dtype
        entries = run(ROWS[given.rows[0]], given.model, given.steps, given.work, dtype)
        (given.work / "result.json").write_text(json.dumps(entries))
        return
    with tempfile.TemporaryDirectory() as work:
        for name in given.rows:
            model = model_of(ROWS[name], Path(work))
            speed, memory = [], []
            for _ in range(given.pairs):
                pair = {}
                for party in ("ours", given.peer):
                    pair[party] = measured(party, name, model, given.steps, given.dtype)
                    print(
                        f"{name:18} {party:7}",
                        *(f"{key} {value:.1f}" for key, value in pair[party].items()),
                        flush=True,
                    )
                speed.append(pair["ours"]["rate"] / pair[given.peer]["rate"])
                memory.append(pair["ours"]["peak"] / pair[given.peer]["peak"])
            print(
                f"{name:18} ours in {given.dtype} / {given.peer}: "
                f"tokens per second {statistics.median(speed):.2f} x, "
                f"peak memory {statistics.median(memory):.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
