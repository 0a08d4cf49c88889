"""What the ranks of one run find is compared before they learn: two processes over gloo, of which one is led
astray, and each is told in one line that names the rank, its machine and both values.
"""

from __future__ import annotations

import copy
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment
from models import fresh
from test_training import sums

from stages.records import jsonl
from stages.runtime.errors import BadInput, R1Error
from stages.training.parallel.agreement import check_alike, check_common
from stages.training.parallel.world import World

HOST = re.escape(socket.gethostname())
# Planted in rank 1, which works in a folder of its own.
PLANTED = """
import os
if os.environ.get("RANK") == "1":
    os.chdir({folder!r})
    exec({fault!r})
if "RANK" in os.environ:
    import stages.training.parallel.agreement as agreement
    agreement.PATIENCE = 0.5
"""
FAULTS = {
    "folder": ("", 2, "rank 1 on {host} does not see what rank 0 on {host} writes into "),
    "model": ("", 65, "the revision of the model is [0-9a-f]{{16}} for rank 1 on {host} and "),
    "records": ("", 65, "the digest of records is [0-9a-f]{{16}} for rank 1 on {host} and "),
    "option": (
        "import sys; sys.argv += ['--save-every', '3']",
        2,
        "--save-every is 3 for rank 1 on {host} and 4 for rank 0 on {host}; give all machines the same",
    ),
    "version": (
        "import stages.checkpoints.checkpoint as c; v = c.versions\n"
        "c.versions = lambda *more: {**v(*more), 'torch': '2.0'}",
        2,
        "torch is 2.0 for rank 1 on {host} and .* for rank 0 on {host}; install the same",
    ),
    # The last MiB of the weights and the first say nothing of what lies between.
    "weights": (
        "import stages.training.policy as p\nload = p.load_model\ndef other(*a):\n    made = load(*a)\n"
        "    made.model.norm.weight.data[3] += 1e-3\n    return made\np.load_model = other",
        65,
        "the checksum of the weights at step 0 is [0-9a-f]{{16}} for rank 1 on {host} and ",
    ),
    "listing": (
        "import stages.training.loop.state as s\ns.appears = lambda path: False",
        65,
        "the saved state is none for rank 1 on {host} and step_000004, digest .* for rank 0 on {host}",
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> tuple[Path, Path]:
    """What each rank finds under the same names: other weights and records for rank 1; a run of rank 0."""
    made = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    for count, folder in zip((20, 21), made, strict=True):
        fresh(folder / "model", seed=count)
        jsonl.write(folder / "sums.jsonl", sums(count))
    return made


def line(folder: Path, out: str, *flags: str, model: str = "", records: str = "") -> list[str]:
    given = ["-m", model or str(folder / "model"), "-o", out, "--template", "none", "--device", "cpu"]
    given += ["--batch", "4", "--epochs", "1", "--save-every", "4", *flags]
    return [sys.executable, "-m", "r1cli", "sft", *given, records or str(folder / "sums.jsonl")]


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
def test_ranks_that_found_other_things_do_not_begin(
    fault: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    here, there = folders
    planted, code, said = FAULTS[fault]
    (tmp_path / "sitecustomize.py").write_text(PLANTED.format(folder=str(there), fault=planted))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    out = "out" if fault == "folder" else str(tmp_path / "out")
    flags = ["--nproc", "2"]
    if fault == "listing":
        flags.append("--resume")
        _stopped_after_a_state(here, out)
    model, records = (fault if fault == name else "" for name in ("model", "records"))
    done = subprocess.run(
        line(here, out, *flags, model=model, records=records and "sums.jsonl"),
        cwd=here, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        env=environment(PYTHONPATH=path),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    # On a slow machine the other rank's turn comes too.
    spoken = {each.replace(": rank 1: ", ": ") for each in done.stderr.splitlines()}
    lines = [each for each in spoken if re.search(said.format(host=HOST), each)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("r1 sft: ")
    assert not (here / out).exists()
    assert (here / f"{out}.partial").exists() == (fault == "listing")


def _stopped_after_a_state(folder: Path, out: str) -> None:
    """A run of one process that has saved its fourth update and come no further."""
    code = "import os, stages.training.loop.run as r\nsave = r.Run.save\n"
    code += "r.Run.save = lambda self: (save(self), os._exit(9))\nfrom r1cli.main import main\nmain()"
    given = [sys.executable, "-c", code, *line(folder, out)[3:]]
    assert subprocess.run(given, env=environment(), timeout=100, check=False).returncode == 9
    assert (Path(f"{out}.partial") / "state" / "step_000004").is_dir()


def test_one_process_compares_nothing(tmp_path: Path) -> None:
    check_alike(World(), "input", {"it": object()})
    check_common(World(), tmp_path / "out.partial")
    assert not list(tmp_path.iterdir())
    with pytest.raises(R1Error, match="as it is"):
        World().agree(R1Error("as it is"))


def test_an_error_reaches_other_processes_whole() -> None:
    error = BadInput("no number", place="a.jsonl:3", remedy="mend it")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(other), other.place, other.remedy) == (str(error), "a.jsonl:3", "mend it")
