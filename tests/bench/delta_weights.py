"""How little of a model's weights an update has to give to its samplers, and how fast it is written and read.

    python tests/bench/delta_weights.py [MODEL] [--text FILE]

MODEL, SmolLM2-135M by default, is loaded in float32 and gets one step of AdamW (β 0.9 and 0.999, gradients
clipped to 1) on a page of text, once for each learning rate, always from the weights it came with. The
weights before and after go into a directory as `r1 grpo --weights-dir` writes them. A line for each type and
rate says which share of the numbers changed, and the size of the version in percent of all weights; the last
lines MB of weights a second for writing and reading a base and a version of changes, to disk and with all
checksums, the median of the three rates.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from stages.checkpoints.versions import layout, reader
from stages.checkpoints.versions.writer import Writer
from stages.inference.vllm.weights import named_weights

ROOT = Path(__file__).resolve().parents[2]
RATES = (1e-6, 3e-6, 1e-5)


def smollm2() -> str:
    done = subprocess.run(
        ["bash", ROOT / "docs" / "recipes" / "smollm2.sh"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def changed(before: dict[str, Tensor], after: Iterator[tuple[str, Tensor]], kind: torch.dtype) -> float:
    pairs = [(before[name].to(kind), weight.to(kind)) for name, weight in after]
    return sum(int((a != b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--text", type=Path, default=ROOT / "docs" / "training.md")
    given = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = given.model or smollm2()
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    text = given.text.read_text("utf-8")
    ids = AutoTokenizer.from_pretrained(path)(text, return_tensors="pt").input_ids[:, :512]
    model(ids, labels=ids).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    before = {name: weight.clone() for name, weight in named_weights(model)}
    numbers = sum(weight.numel() for weight in before.values())
    print(f"{path}: {numbers / 1e6:.1f}M weights, {os.cpu_count()} cores, one step on {ids.numel()} tokens")
    speeds: dict[str, list[list[float]]] = {dtype: [] for dtype in layout.DTYPES}
    for dtype in layout.DTYPES[::-1]:
        kind = getattr(torch, dtype)
        size = numbers * kind.itemsize
        for rate in RATES:
            with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
                for name, weight in named_weights(model):
                    weight.copy_(before[name])
                writer = Writer(Path(folder), dtype)
                began = time.perf_counter()
                base = writer.write(named_weights(model))
                spent = [time.perf_counter() - began]
                torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.999), weight_decay=0).step()
                began = time.perf_counter()
                made = writer.write(named_weights(model))
                spent.append(time.perf_counter() - began)
                for version in (base, made):
                    began = time.perf_counter()
                    for _ in reader.weights(reader.chain(Path(folder), version.version)):
                        pass
                    spent.append(time.perf_counter() - began)
                exact = dict(reader.weights(reader.chain(Path(folder), made.version)))
                assert all(torch.equal(exact[name], weight.to(kind)) for name, weight in named_weights(model))
                writer.close()
                share = changed(before, named_weights(model), kind)
            print(
                f"{dtype} lr {rate:g}: {100 * share:.2f} % of the numbers changed, "
                f"{100 * made.size / size:.2f} % of the weights' {size / 1e6:.0f} MB to give",
                flush=True,
            )
            speeds[dtype].append([size / 1e6 / each for each in spent])
    for dtype, found in speeds.items():
        base_written, written, base_read, read = (
            statistics.median(each) for each in zip(*found, strict=True)
        )
        print(
            f"{dtype}, MB of weights a second: base written {base_written:.0f}, changes written "
            f"{written:.0f}, base read {base_read:.0f}, base and changes read {read:.0f}"
        )


if __name__ == "__main__":
    main()
