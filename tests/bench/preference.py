"""Agreement of model judges with people's preferences: RM-Bench's chat and safety pairs, of one length and
style each.

    python tests/bench/preference.py MODEL [PAIRS]

MODEL is an instruct checkpoint. It serves as the judge of `helpfulness` and `harmlessness`, and, with a head
fitted to every other pair of RM-Bench on its frozen last state, as a `reward_model`; all through `r1 score`,
on the PAIRS first pairs of each set that the head has not seen. A judge by chance agrees on half of the
pairs.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data")) / "preference"
SETS = {"chat": "helpfulness", "safety": "harmlessness"}
Pair = tuple[str, str, str]  # prompt, chosen, rejected


def pairs(name: str) -> list[Pair]:
    """Each prompt with its two answers in plain style."""
    rows = json.loads((DATA / f"rm_bench_{name}.json").read_text("utf-8"))
    return [(row["prompt"], row["chosen"][0], row["rejected"][0]) for row in rows]


def fit(model: str, fitting: list[Pair], out: Path) -> None:
    """A sequence-classification checkpoint: the model, and a head under the Bradley-Terry loss."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(model)
    automatic: Any = AutoModelForSequenceClassification
    whole = automatic.from_pretrained(model, num_labels=1, dtype=torch.float32).eval()

    @torch.no_grad()
    def state(prompt: str, answer: str) -> Any:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        return whole.model(ids).last_hidden_state[0, -1]

    better = torch.stack([state(p, chosen) for p, chosen, _ in fitting])
    worse = torch.stack([state(p, rejected) for p, _, rejected in fitting])
    scale = torch.cat([better, worse]).std(0) + 1e-6
    apart = (better - worse) / scale
    head = torch.zeros(apart.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([head], max_iter=200)

    def loss() -> Any:
        solver.zero_grad()
        value = -torch.nn.functional.logsigmoid(apart @ head).mean() + 0.05 * head.square().sum()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        whole.score.weight.copy_((head / scale)[None])
    whole.save_pretrained(out)
    tokenizer.save_pretrained(out)


def scores(reward: str, chosen: list[Pair]) -> list[tuple[float | None, float | None]]:
    """What `r1 score` gives the better and the worse answer of each pair."""
    records = [
        {"id": f"{k}#{j}", "prompt": pair[0], "completion": pair[1 + j]}
        for k, pair in enumerate(chosen)
        for j in (0, 1)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    done = subprocess.run(
        [sys.executable, "-m", "r1cli", "score", "--reward", reward],
        input=lines.encode(), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    values = [json.loads(line)["reward"] for line in done.stdout.splitlines()]
    return list(zip(values[::2], values[1::2], strict=True))


def tell(what: str, found: Iterable[tuple[float | None, float | None]]) -> None:
    """One line: agreement, where a tie is half, and its 95 % interval (Wilson)."""
    kinds: Counter[str] = Counter()
    for better, worse in found:
        if better is None or worse is None:
            kinds["null"] += 1
        else:
            kinds["tie" if better == worse else "right" if better > worse else "wrong"] += 1
    n = kinds.total() - kinds["null"]
    if not n:
        print(f"{what}: no verdict on any of {kinds.total()} pairs", flush=True)
        return
    share = (kinds["right"] + kinds["tie"] / 2) / n
    middle = (share + 1.92 / n) / (1 + 3.84 / n)
    half = 1.96 * math.sqrt(share * (1 - share) / n + 0.96 / n**2) / (1 + 3.84 / n)
    print(
        f"{what}: {share:.1%} ({middle - half:.1%} to {middle + half:.1%}) of {n} judged pairs: "
        f"{kinds['right']} "
        f"right, {kinds['wrong']} wrong, {kinds['tie']} ties; {kinds['null']} pairs without a verdict",
        flush=True,
    )


def main() -> None:
    """Prints the agreement of each judge on each set."""
    model, most = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    every = {name: pairs(name) for name in SETS}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reward"
        fit(model, [pair for name in SETS for pair in every[name][::2]], out)
        for name, judge in SETS.items():
            unseen = every[name][1::2][:most]
            tell(f"{name}, reward_model", scores(f"reward_model:model={out}", unseen))
            options = f"model={model},max_tokens=96,retries=1"
            tell(f"{name}, {judge}", scores(f"{judge}:{options}", unseen))


if __name__ == "__main__":
    main()
