"""Shows a run until it ends: a picture on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from stages.runtime.report import Report
from stages.watch.view import frame, summary
from stages.watch.watched import Watched

BETWEEN = 1.0  # seconds between two looks


def follow(path: Path, report: Report) -> Path:
    """Returns the run's folder once it has finished, or nobody works on it any more.

    Raises BadInput where there is no run, or it has written what is no JSON.
    """
    run = Watched(path)
    run.look()
    steps = _step(run)
    report.start(max(run.total - steps, 0) or None, "steps")
    while True:
        drawn = report.picture(lambda columns, rows: frame(run, columns, rows))
        if run.history and not drawn:
            report.advance(_step(run) - steps, **summary(run))
            steps = _step(run)
        if run.state != "running":
            break
        time.sleep(BETWEEN)
        run.look()
    report.note(
        f"{run.folder} " + ("is finished" if run.state == "finished" else "was stopped: nobody works on it")
    )
    return run.folder


def _step(run: Watched) -> int:
    return int(run.history[-1]["step"]) if run.history else 0
