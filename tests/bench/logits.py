"""Memory of the log-probabilities and their backward pass against the length, at a vocabulary of 150,000.

    python tests/bench/logits.py [PNG]

Each point is a process of its own: what it holds at its peak beyond the model's part (hidden states, output
layer, their gradients), for `token_logprobs` and for log_softmax over whole logits, which stops where it
would take more than 12 GiB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
VOCABULARY, WIDTH = 150_000, 512


def one(kind: str, length: int) -> float:
    """MiB that the pass takes beyond its inputs and their gradients."""
    import torch

    from stages.objectives.logprobs import token_logprobs

    torch.manual_seed(0)
    hidden = torch.randn(length, WIDTH, requires_grad=True)
    head = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    targets = torch.randint(0, VOCABULARY, (length,))
    for tensor in (hidden, head):
        tensor.grad = torch.ones_like(tensor)
    token_logprobs(hidden[:8], head, targets[:8])[0].sum().backward()
    with open(f"/proc/{os.getpid()}/clear_refs", "w") as stream:
        stream.write("5")  # forget the peak so far
    before = held("VmRSS")
    if kind == "chunked":
        logp, _ = token_logprobs(hidden, head, targets)
    else:
        logp = torch.log_softmax(hidden @ head.T, -1).gather(-1, targets[:, None])[:, 0]
    logp.sum().backward()
    return held("VmHWM") - before


def held(name: str) -> float:
    """A line of /proc/self/status, MiB."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) / 1024 for line in stream if line.startswith(name))


def main() -> None:
    found: dict[str, list[tuple[int, float]]] = {"chunked": [], "whole": []}
    for kind, points in found.items():
        for length in LENGTHS:
            if kind == "whole" and 4 * 3 * length * VOCABULARY > 12 << 30:
                break
            made = subprocess.run(
                [sys.executable, __file__, "--one", kind, str(length)], check=True, capture_output=True,
                text=True
            )  # fmt: skip
            points.append((length, json.loads(made.stdout)))
            print(f"{kind:8} {length:5} tokens {points[-1][1]:7.0f} MiB", flush=True)
    if len(sys.argv) > 1:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axis = pyplot.subplots(figsize=(5, 3.4), layout="constrained")
        for kind, label in (("chunked", "r1, in chunks"), ("whole", "whole logits")):
            axis.plot(*zip(*found[kind], strict=True), marker="o", label=label)
        axis.set(xscale="log", yscale="log", xlabel="tokens", ylabel="MiB at the peak")
        axis.set_xticks(LENGTHS, map(str, LENGTHS))
        axis.minorticks_off()
        axis.grid(alpha=0.25)
        axis.legend()
        figure.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(one(sys.argv[2], int(sys.argv[3])))
    else:
        main()
