"""`r1 doctor`: a sound machine is found sound, and each planted fault is named with a command that mends it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from stages import doctor
from stages.data.errors import Unavailable
from stages.sandbox.box import Box


def finding(name: str, **options: Any) -> dict[str, Any]:
    found = {record["check"]: record for record in doctor.run(**options).records}
    return found[name]


def test_this_machine_works_and_a_checkpoint_too(r1: R1, tiny: Path) -> None:
    done = r1("doctor", "-m", tiny, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    states = {line["check"]: line["state"] for line in lines}
    assert states["torch computes"] == states["transformers computes"] == "works"
    assert states["model"] == "works"
    assert states["tokenizer"] == "warning", "it has no chat template"
    assert [
        line for line in lines if line["state"] in ("broken", "absent") and not line["remedy"]
    ] == []
    assert done.returncode == (1 if "broken" in states.values() else 0)


def test_a_library_of_another_version_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "4.57.0" if name == "transformers" else real(name)
    )
    (found,) = [f for f in doctor._packages() if f.check == "transformers"]
    assert found.state == "broken"
    assert "4.57.0" in found.found
    assert found.remedy.startswith("python -m pip install 'transformers<5.20,>=5.16")


def test_a_torchvision_that_cannot_be_imported_is_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise ImportError('libcudart.so.13')")
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = [f for f in doctor._vision() if f.check == "torchvision"]
    assert found.state == "broken"
    assert "libcudart" in found.found
    assert found.remedy == "python -m pip uninstall --yes torchvision"


def test_without_user_namespaces_the_sandbox_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise Unavailable("programs cannot be isolated here (unshare: EPERM); let user namespaces be made")  # fmt: skip

    monkeypatch.setattr(Box, "run", refused)
    (found,) = doctor._sandbox()
    assert (found.state, found.remedy) == ("broken", "let user namespaces be made")


def test_a_library_that_crashes_is_named_by_its_signal() -> None:
    found = doctor._tried("crash", "import os; os.abort()", "reinstall it")
    assert (found.state, found.found) == ("broken", "it was ended by signal 6")


def test_a_checkpoint_without_weights_is_broken(tmp_path: Path) -> None:
    (found,) = doctor._model(str(tmp_path))
    assert found.state == "broken"
    assert "no config.json" in found.found
