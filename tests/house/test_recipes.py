"""The four stages of R1 as recipes run to their end, at a size that shows nothing, and go on from there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "smollm2-r1.sh"
SIZES = {"EXAMPLE": "", "FINAL_STEPS": "2", "PLEASING": "1", "TRAIN": "96", "TESTED": "16"}
WORLD = ("world:sum=2+fact+chat", "--split", "train", "--set", "difficulty=2-4", "--set", "chinese=0")


def run(path: str, *command: str, text: str = "", **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **SIZES, "OMP_NUM_THREADS": "1", "PATH": path, **environment},
        input=text,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_four_stages_with_all_their_rewards(tmp_path: Path, path: str) -> None:
    fresh, base, config, out = (str(tmp_path / name) for name in ("fresh", "base", "sizes.toml", "made"))
    Path(config).write_text(SCRIPT.with_suffix(".toml").read_text().replace("steps = 12", "steps = 2"))
    texts = ""
    for worked in ("clean", "noisy"):
        made = run(path, "r1", "prompts", "-q", *WORLD, "-n", "2000", "--set", f"worked={worked}")
        for record in map(json.loads, made.splitlines()):
            texts += json.dumps({**record, "prompt": record["prompt"] + "\n"}) + "\n"
    read = tmp_path / "texts.jsonl"
    read.write_text(texts)
    run(path, "r1", "init", "-q", "-o", fresh, "--words-of", str(read), "--hidden", "64", "--layers", "2")
    learning = ("--epochs", "2", "--batch", "16", "--lr", "6e-3", "--row-tokens", "8192")
    run(path, "r1", "sft", "-t", "none", "-m", fresh, "-o", base, *learning, str(read))

    run(path, str(SCRIPT), OUT=out, MODEL=base, CONFIG=config)
    rows = [json.loads(line) for line in (Path(out) / "results.jsonl").read_text().splitlines()]
    models = {row["model"].rpartition("/")[2] for row in rows if row["benchmark"] == "all"}
    assert {"base", "zero", "dev1", "dev2", "dev3", "r1"} <= models
    before = {each: each.stat().st_mtime_ns for each in Path(out).rglob("*.safetensors")}
    run(path, str(SCRIPT), OUT=out, MODEL=base, CONFIG=config)
    assert before == {each: each.stat().st_mtime_ns for each in Path(out).rglob("*.safetensors")}
