"""The page of `r1 report --html` in headless Chromium: its size, first paint, filters, search, tokens.

    python tests/bench/page.py [RUNS STEPS METRICS COMPLETIONS]

Makes 5 runs of 2,000 steps with 40 metrics and 20,000 completions, half of them rollouts of the first run
with their tokens, a quarter each of two evaluations; writes the page and opens it from disk. `beyond the
texts` is the page's size without prompts, completions and reasons. Where AXE names a file axe.min.js,
axe-core looks for what keeps people out.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import CHROMIUM, Browser

from stages import report

WORDS = (
    *("we", "add", "the", "ones", "first", "then", "carry", "one", "so", "that", "sum"),
    *("is", "not", "what", "I", "wrote", "wait", "let", "me", "check", "again"),
)
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
# Milliseconds from the input to the list, laid out and painted.
TYPED = """(async () => {
  const field = document.getElementById(%s);
  field.value = %s;
  const start = performance.now();
  field.dispatchEvent(new Event("input", {bubbles: true}));
  await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  const taken = [performance.now() - start, document.getElementById("found").textContent];
  field.value = "";
  return taken;
})()"""
OPENED = """(async () => {
  const start = performance.now();
  %s;
  await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  return performance.now() - start;
})()"""
CHOSEN = "(() => { const s = document.getElementById('heat'); s.value = '%s';"
CHOSEN += " s.dispatchEvent(new Event('change')); })()"
ASKED = (
    ("search of a frequent word", "query", "carry"),
    ("search of a rare text", "query", "wrote wait let me"),
    ("search of what no text has", "query", "zzzz"),
    ("no search", "query", ""),
    ("filter by reward", "reward-high", "1.5"),
    ("filter by step", "step-low", "1000"),
    ("filter by length", "length-low", "200"),
    ("filter by behaviour", "by-behaviour", "verification"),
    ("filter by what has none", "by-behaviour", "none"),
    ("order by log-probability", "order", "surprising"),
)
WARM = "(traces.warm ??= [...traces.texts.keys()].filter((at) => Array.isArray(traces.texts[at][4])))"
SHOWN = (
    ("a completion", f"showTrace({WARM}[9])"),
    ("its tokens by log-probability", CHOSEN % "logprob"),
    ("another's", f"showTrace({WARM}[500])"),
    ("its tokens by ratio", CHOSEN % "ratio"),
    ("two beside each other", f"showTrace({WARM}[501], {WARM}[502])"),
    ("no tokens", CHOSEN % ""),
    ("the first wrong one", "openWrong()"),
)


def history(folder: Path, seed: int, steps: int, metrics: int) -> Path:
    """A run with so many metrics of each step."""
    drawn = random.Random(seed)
    folder.mkdir()
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            curve = {f"completions/figure_{k}": drawn.gauss(math.log(step), 0.3) for k in range(metrics - 3)}
            curve = {name: float(f"{value:.6g}") for name, value in curve.items()}
            line = {"step": step, "loss": 1 / step, "reward": drawn.random(), "step_time": 1.0, **curve}
            file.write(json.dumps(line) + "\n")
    return folder


def tokenizer(folder: Path) -> Any:
    """One whose tokens are bytes and the words of the completions, in the folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: k for k, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_tokens([f" {word}" for word in (*WORDS, "answer")])
    made.save(str(folder / "tokenizer.json"))
    return made


def completions(
    path: Path, first: int, count: int, steps: int, words: Any = None, model: str = "base"
) -> int:
    """Records of 250 words each, eight of a problem; returns the bytes of their texts.

    Those of a tokenizer `words` are rollouts with their tokens, others those of an evaluation.
    """
    drawn, size = random.Random(first), 0
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        for number in range(first, first + count):
            problem, sample = divmod(number, 8)
            right = float(drawn.random() < 0.4)
            text = f"<think>{' '.join(drawn.choices(WORDS, k=250))}</think> the answer is {number}"
            record = {
                "id": f"sum-{problem}#{sample}", "group": f"sum-{problem}", "sample": sample,
                "prompt": f"What is {problem} plus {problem}?", "answer": str(2 * problem),
                "completion": text, "finish": "stop",
                "rewards": {"accuracy": right, "format": 1.0}, "reward": right + 1,
                "reasons": {"accuracy": f"last '{number}' is '{2 * problem}'?", "format": "well formed"},
                "meta": {"generate": {"model": model, "tokens": 255}},
            }  # fmt: skip
            if words is not None:
                record["meta"]["grpo"] = {"step": number % steps + 1}
                record |= _tokens(words, text, drawn)
            size += len(text) + len(record["prompt"]) + len(record["reasons"]["accuracy"])
            file.write(json.dumps(record) + "\n")
    return size


def _tokens(words: Any, text: str, drawn: random.Random) -> dict[str, Any]:
    ids = words.encode(text).ids
    logprobs = [-drawn.expovariate(1.5) for _ in ids]
    kept = [value + drawn.gauss(0, 0.1) for value in logprobs]
    return {
        "completion_ids": ids,
        "logprobs": logprobs,
        "policy_logprobs": kept,
        "advantage": drawn.gauss(0, 1),
    }


def main() -> None:
    """Prints what was measured."""
    runs, steps, metrics, count = map(int, sys.argv[1:5]) if sys.argv[1:] else (5, 2000, 40, 20_000)
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        folders = [history(here / f"run-{k}", k, steps, metrics) for k in range(runs)]
        rollouts = folders[0] / "rollouts" / "step_000001.jsonl"
        texts = completions(rollouts, 0, count // 2, steps, tokenizer(folders[0]))
        files = [here / f"{model}.jsonl" for model in ("base", "zero")]
        for model in files:
            texts += completions(model, 0, count // 4, steps, model=model.stem)
        page, start = here / "page.html", time.monotonic()
        report.run((*folders, *files), html=page)
        print(f"written in {time.monotonic() - start:.1f} s")
        size = page.stat().st_size
        print(f"{size / 1e6:.1f} MB, {(size - texts) / 1e6:.1f} MB beyond the texts")
        if CHROMIUM:
            _watch(page)
        else:
            print("no Chromium here: nothing else was measured")


def _watch(page: Path) -> None:
    with Browser() as browser:
        browser.open(page)
        print(f"first paint after {browser.run(PAINT):.0f} ms")
        browser.until("traces.texts.length === traces.count", 60)
        print(f"all texts read after {browser.run('performance.now()'):.0f} ms at most")
        for what, field, value in ASKED:
            milliseconds, found = browser.run(TYPED % (json.dumps(field), json.dumps(value)))
            print(f"{what}: {milliseconds:.0f} ms, {found}")
        for what, script in SHOWN:
            taken = sorted(browser.run(OPENED % script) for _ in range(5))
            print(f"{what}: {taken[2]:.0f} ms, the median of 5; {taken[-1]:.0f} ms at most")
        drawn = browser.run(
            "(() => { const start = performance.now(); curves.smoothing = 0.9;"
            " curves.charts.forEach((chart) => chart.change()); return performance.now() - start; })()"
        )
        print(f"curves in view smoothed anew: {drawn:.0f} ms")
        print(
            f"console: {browser.said or 'nothing'}; requests beside the file: {browser.asked[1:] or 'none'}"
        )
        if os.environ.get("AXE"):
            _look(browser, page, Path(os.environ["AXE"]))


def _look(browser: Browser, page: Path, axe: Path) -> None:
    """What axe-core finds, light and dark, with two completions beside each other and their tokens."""
    for dark in (False, True):
        browser.colours(dark=dark)
        browser.open(page)
        browser.until("traces.texts.length === traces.count", 60)
        browser.run(f"heat.by = 'logprob'; showTrace({WARM}[0], {WARM}[1])")
        browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        # A call of the protocol is not held back by the page's policy, as a script in the page would be.
        browser.run(axe.read_text("utf-8") + "; 0")
        found = browser.run(
            "axe.run().then(({violations}) =>"
            " violations.map((each) => [each.impact, each.id, each.nodes[0].html]))"
        )
        print(f"axe-core, {'dark' if dark else 'light'}: {found or 'nothing'}")


if __name__ == "__main__":
    main()
