"""The figures of `r1 rank` beside those of the programs that the field uses, from the same verdicts.

    python tests/bench/open_answers.py PYTHON [FILE...]

PYTHON is an interpreter that has choix, pandas, patsy, huggingface_hub, scikit-learn 1.5 and, installed with
--no-deps, alpaca_eval 0.6.6. FILE are verdicts of AlpacaEval's form, by default those of the data folder. The
length-controlled win rate is compared on a made-up table of difficulties (tests/calibration_table.py), or on
AlpacaEval's own where R1_CALIBRATION names it. Style control is compared with scikit-learn's regression
on the features that Arena-Hard's program makes of the same counts.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))

# alpaca_eval's file on its own: the package around it imports clients of a dozen servers.
ALPACA = """
import importlib, importlib.util, json, sys, types, warnings
import pandas as pd
warnings.filterwarnings("ignore")
folder = importlib.util.find_spec("alpaca_eval").submodule_search_locations[0]
def module(name, **fields):
    made = types.ModuleType(name)
    made.__dict__.update(fields)
    sys.modules[name] = made
    return made
constants = module("alpaca_eval.constants", DATASETS_TOKEN=None, DATASETS_FORCE_DOWNLOAD=False,
                   DEFAULT_CACHE_DIR=None)
kinds = module("alpaca_eval.types", AnyLoadableDF=object)
tools = module("alpaca_eval.utils", convert_to_dataframe=lambda frame: frame)
module("alpaca_eval", __path__=[folder], constants=constants, types=kinds, utils=tools)
module("alpaca_eval.metrics", __path__=[folder + "/metrics"])
module("alpaca_eval.metrics.winrate", get_winrate=lambda frame: {"win_rate": 0.0})
rate = importlib.import_module("alpaca_eval.metrics.glm_winrate")
rate.hf_hub_download = lambda **asked: sys.argv[1]
rate.get_is_extreme_changes = lambda *given, **more: False
for path in sys.argv[2:]:
    frame = pd.DataFrame([json.loads(line) for line in open(path)])
    frame["output_1"] = ["x" * n for n in frame["length_baseline"]]
    frame["output_2"] = ["x" * n for n in frame["length_model"]]
    frame["generator_1"], frame["generator_2"] = frame["baseline"], frame["model"]
    print(rate.get_length_controlled_winrate(frame, save_weights_dir=None)["length_controlled_winrate"])
"""
CHOIX = """
import json, sys
import choix
data = json.load(sys.stdin)
found = choix.opt_pairwise(data["models"], data["wins"], alpha=0.0, method="Newton-CG", tol=1e-12)
print(json.dumps([float(each - found[0]) for each in found]))
"""
STYLE = """
import json, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
games, models = json.load(sys.stdin)
repeated = [game for game in games for _ in range(3 if game["strong"] else 1)]
own, other = (np.array([game[side] for game in repeated], float) for side in ("own", "other"))
style = np.empty_like(own)
style[:, 0] = (own[:, 0] - other[:, 0]) / (own[:, 0] + other[:, 0])
dense, sparse = own[:, 1:] / own[:, :1], other[:, 1:] / other[:, :1]
style[:, 1:] = (dense - sparse) / (dense + sparse + 1)
style = (style - style.mean(0)) / style.std(0, ddof=1)
hot = np.array([[float(game["model"] == name) for name in models] for game in repeated])
x, won = np.concatenate([hot, style], axis=1), np.array([game["score"] for game in repeated])
fit = LogisticRegression(penalty=None, fit_intercept=False, tol=1e-10, solver="newton-cg", max_iter=1000)
both = np.concatenate([np.ones(len(x)), np.zeros(len(x))])
fit.fit(np.concatenate([x, x]), both, sample_weight=np.concatenate([won, 1 - won]))
print(json.dumps(fit.coef_[0].tolist()))
"""


def ranked(*arguments: Any) -> list[dict[str, Any]]:
    """The lines that `r1 rank` gives."""
    line = [sys.executable, "-m", "r1cli", "rank", "-q", *map(str, arguments)]
    done = subprocess.run(line, stdout=subprocess.PIPE, check=True)
    return [json.loads(each) for each in done.stdout.splitlines()]


def alpaca(python: str, files: list[str], table: str) -> None:
    """Prints, of each model, what both programs say."""
    done = subprocess.run([python, "-c", ALPACA, table, *files], stdout=subprocess.PIPE, check=True)
    theirs = [float(line) for line in done.stdout.decode().split()]
    for path, other in zip(files, theirs, strict=True):
        (line,) = ranked("--calibration", table, path)
        own = line["length_controlled_win_rate"]
        print(
            f"{line['model']}: win rate {line['win_rate']:.3f}; length-controlled {own:.4f}, "
            f"alpaca_eval {other:.4f}, apart by {abs(own - other):.4f}",
            flush=True,
        )


def bradley_terry(python: str, folder: Path, models: int = 12, questions: int = 200) -> None:
    """Prints how far the strengths of both programs are apart, on verdicts with ties."""
    rng = random.Random(5)
    strength = [rng.gauss(0, 1) for _ in range(models)]
    records, wins = [], []
    for question in range(questions):
        for _ in range(6):
            a, b = rng.sample(range(models), 2)
            right = rng.random() < 1 / (1 + math.exp(strength[a] - strength[b]))
            said = "A=B" if rng.random() < 0.15 else "B>A" if right else "A>B"
            records.append({"model_a": f"m{a:02}", "model_b": f"m{b:02}", "verdict": said, "index": question})
            wins += {"A=B": [(a, b), (b, a)], "B>A": [(b, a)] * 2, "A>B": [(a, b)] * 2}[said]
    path = folder / "verdicts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    asked = json.dumps({"models": models, "wins": wins}).encode()
    done = subprocess.run([python, "-c", CHOIX], input=asked, stdout=subprocess.PIPE, check=True)
    theirs = json.loads(done.stdout)
    lines = ranked("--by", "bradley-terry", "--baseline", "m00", path)
    own = {line["model"]: (line["rating"] - 1000) * math.log(10) / 400 for line in lines}
    apart = max(abs(own[f"m{k:02}"] - theirs[k]) for k in range(models))
    print(f"Bradley-Terry, {models} models, {len(records)} verdicts: apart from choix by {apart:.1e} at most")


def style_control(python: str, folder: Path, questions: int = 500) -> None:
    """Prints how far strengths and coefficients of style are apart, on both orders of questions."""
    rng = random.Random(7)
    models = [f"m{k}" for k in range(1, 7)]
    scores = {"A>>B": 0.0, "A>B": 0.0, "A=B": 0.5, "B>A": 1.0, "B>>A": 1.0}
    records: list[dict[str, Any]] = []
    games: list[dict[str, Any]] = []
    for question in range(questions):
        counts = {
            name: [rng.randint(200, 4000), rng.randint(0, 6), rng.randint(0, 30), rng.randint(0, 12)]
            for name in ("m0", *models)
        }
        for k, name in enumerate(models):
            for first, second in (("m0", name), (name, "m0")):
                lean = 0.3 * (k - 2) + (counts[name][0] - counts["m0"][0]) / 4000
                chance = 1 / (1 + math.exp(lean if second == "m0" else -lean))
                label = rng.choices(list(scores), [1 - chance, 1 - chance, 0.3, chance, chance])[0]
                records.append(
                    {"index": question, "model_a": first, "model_b": second, "verdict": label}
                    | {f"style_{side}": styled(counts[n]) for side, n in (("a", first), ("b", second))}
                )
                score = scores[label] if second == name else 1 - scores[label]
                game = {"model": name, "score": score, "strong": len(label) == 4}
                games.append({**game, "own": counts[name], "other": counts["m0"]})
    path = folder / "styled.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    asked = json.dumps([games, models]).encode()
    done = subprocess.run([python, "-c", STYLE], input=asked, stdout=subprocess.PIPE, check=True)
    theirs = json.loads(done.stdout)
    options = ("--by", "bradley-terry", "--baseline", "m0", "--control-style", "--rounds", "0")
    lines = {line["model"]: line for line in ranked(*options, path)}
    own = [(lines[name]["rating"] - 1000) * math.log(10) / 400 for name in models]
    own += [lines["m0"][name] for name in ("length", "headers", "lists", "bold")]
    apart = max(abs(a - b) for a, b in zip(own, theirs, strict=True))
    print(f"Style control, {len(records)} verdicts: apart from scikit-learn by {apart:.1e} at most")


def styled(counts: list[int]) -> dict[str, int]:
    return dict(zip(("length", "headers", "lists", "bold"), counts, strict=True))


def main() -> None:
    """Prints all three."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from calibration_table import write

    python = sys.argv[1]
    files = sys.argv[2:] or sorted(map(str, (DATA / "eval").glob("alpaca_*.jsonl")))
    with tempfile.TemporaryDirectory() as name:
        table = os.environ.get("R1_CALIBRATION") or str(write(Path(name) / "df_gamed.csv"))
        if files:
            alpaca(python, files, table)
        style_control(python, Path(name))
        bradley_terry(python, Path(name))


if __name__ == "__main__":
    main()
