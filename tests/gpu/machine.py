"""The machine and the libraries, for the head of the page."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from finding import GIB, Bench, Row


def rows(_: str, bench: Bench) -> Iterator[Row]:
    """A row for each fact."""
    yield Row("processor", f"{_processor()}, {torch.get_num_threads()} threads")
    if bench.device == "cuda":
        found = torch.cuda.get_device_properties(0)
        yield Row("GPU", f"{found.name}, {found.total_memory / GIB:.0f} GiB, {found.major}.{found.minor}")
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            driver = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            driver = "unknown"
        yield Row("driver", f"{driver}, CUDA {torch.version.cuda}")
        half = torch.cuda.is_bf16_supported(including_emulation=False)
        yield Row("bfloat16", "in hardware" if half else "emulated: --dtype auto is float32")
    else:
        yield Row("GPU", "none: all of this page was measured on a CPU")
    for name in ("torch", "transformers", "trl", "deepspeed", "peft"):
        try:
            yield Row(name, version(name))
        except PackageNotFoundError:
            yield Row(name, "not installed")
    yield Row("Python", platform.python_version())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.partition(": ")[2] for s in lines if s.startswith("model name")), platform.machine())
