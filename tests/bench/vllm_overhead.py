"""What `r1 generate --backend vllm` costs over a bare script around `vllm.LLM.generate`: the bar is 5 %.

    python tests/bench/vllm_overhead.py [--pairs 3] [--tokens 32]

SmolLM2-135M, 256 prompts, both as processes from their start to their end, pair by pair, with the same engine
arguments and the seeds that r1 gives, so that both draw the same tokens. The script keeps the engine in its
own process, as r1 does.
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
from pathlib import Path

from training import model_of

from stages.inference.vllm.engine import FORCED, PREFERRED
from stages.records.jsonl import encode
from stages.records.record import seed_of

COUNT, PLACES, CACHE = 256, 64, 2 << 30
# r1 lets threads sleep that have nothing to do; spinning ones win some percent on an idle machine, for both.
SAME = {**PREFERRED, "OMP_WAIT_POLICY": "passive"}
BARE = """
import json, sys
from stages.checkpoints.loading import hide_unneeded
hide_unneeded()
from vllm import LLM, SamplingParams

model, source, target, tokens, places, cache = sys.argv[1:]
rows = [json.loads(line) for line in open(source)]
llm = LLM(
    model=model, dtype="float32", max_num_seqs=int(places), kv_cache_memory_bytes=int(cache),
    max_model_len=-1,
    enable_prefix_caching=True, enforce_eager=True, seed=0,
)
template = llm.get_tokenizer().apply_chat_template
prompts = [
    template([{"role": "user", "content": row["prompt"]}], add_generation_prompt=True, tokenize=False)
    for row in rows
]
params = [SamplingParams(temperature=1.0, max_tokens=int(tokens), seed=row["seed"]) for row in rows]
with open(target, "w") as out:
    for row, made in zip(rows, llm.generate(prompts, params, use_tqdm=False)):
        out.write(json.dumps({"id": row["id"], "completion": made.outputs[0].text}) + "\\n")
"""


def timed(line: list[str]) -> tuple[float, float]:
    """Seconds from start to end, and of processors: the first suffer from whatever else runs on the
    machine."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        line, env={**SAME, **os.environ, **FORCED}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    worked = after.children_user + after.children_system
    return time.perf_counter() - start, worked - before.children_user - before.children_system


def completions(path: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["id"].removesuffix("#0"): row["completion"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    model = model_of({}, Path())
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder, name) for name in ("asked", "ours", "theirs"))
        names = [f"q{i}" for i in range(COUNT)]
        rows = [
            {"id": name, "prompt": f"Tell me something about the number {i}.", "seed": seed_of(0, name, 0)}
            for i, name in enumerate(names)
        ]  # fmt: skip
        source.write_bytes(b"".join(map(encode, rows)))
        r1 = [
            sys.executable, "-m", "r1cli", "generate", "-m", model, "--backend", "vllm", "--batch-size",
            str(PLACES),
            "--max-tokens", str(given.tokens), "--vllm", f"kv_cache_memory_bytes={CACHE}", str(source), "-o",
            str(ours),
        ]  # fmt: skip
        bare = [
            sys.executable, "-c", BARE, model, str(source), str(theirs), str(given.tokens), str(PLACES),
            str(CACHE),
        ]  # fmt: skip
        ratios, work = [], []
        for pair in range(given.pairs):
            both = [("r1", r1), ("bare", bare)][:: 1 if pair % 2 else -1]
            seconds = {name: timed(line) for name, line in both}
            ratios.append(seconds["r1"][0] / seconds["bare"][0])
            work.append(seconds["r1"][1] / seconds["bare"][1])
            one, two = completions(ours), completions(theirs)
            same = sum(one[name] == two[name] for name in names)
            print(
                f"r1 {seconds['r1'][0]:.1f} s, bare {seconds['bare'][0]:.1f} s, ratio {ratios[-1]:.3f}, "
                f"of processor time {work[-1]:.3f}; "
                f"{same} of {COUNT} completions equal",
                flush=True,
            )
        print(
            f"median ratio {statistics.median(ratios):.3f} (bar 1.05), "
            f"of processor time {statistics.median(work):.3f}"
        )


if __name__ == "__main__":
    main()
