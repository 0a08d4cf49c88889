"""A task's own metric of an answer, by the filters and the scoring of lm-eval.

For the problems of `lm_eval:TASK`. The value is the first metric of the first filter, or `metric` of
`filter`; all stand apart beside it, named METRIC,FILTER as in lm-eval's results. `task` is needed for a YAML
file of your own.
"""

from __future__ import annotations

from typing import Any

from stages.harness.asking import digest_of
from stages.harness.judging import judged
from stages.harness.tasks import is_file, judge, library, load
from stages.records.record import bad_record, need
from stages.records.verdict import Counts, Example, Verdict

EXAMPLES: list[Example] = [
    ({"prompt": "1+1=?", "completion": "2"}, {}, None),
    ({"lm_eval": {"task": "own.yaml", "item": 0}, "completion": "2"}, {}, None),
    ({"lm_eval": {"task": "arc_easy", "item": 0}, "continuations": [" A"], "completion": " A"}, {}, None),
]
TOLD = "the field lm_eval is as `r1 prompts lm_eval:TASK` gives it"


def lm_eval(
    record: dict[str, Any], *, task: str = "", metric: str = "", filter: str = ""
) -> Verdict | Counts:
    """Null for a problem of another source, and where the data of the task has changed since."""
    verdict = quick(record, task=task)
    if verdict is not None:
        return verdict
    item = record["lm_eval"]
    row = item.get("row")
    if row is not None:
        found = judge(task or item["task"], row)
    else:
        found = load(task or item["task"])
        if not 0 <= item["item"] < len(found.task_docs):
            return Verdict(None, "the task has no such item now")
        row = found.task_docs[item["item"]]
        if item.get("digest") != digest_of(row):
            return Verdict(None, "the data of the task is not what it was when the problem was made")
    given = record.get("loglikelihoods")
    try:
        made = judged(found, row, record["completion"] if given is None else list(map(tuple, given)))
    except Exception as error:  # of the task's own functions
        if "row" not in item:
            raise
        raise bad_record(record, f"its row is none of the task: {type(error).__name__}", TOLD) from error
    named = [
        name
        for name in made.values
        if (not metric or name.rpartition(",")[0] == metric) and (not filter or name.endswith(f",{filter}"))
    ]
    said = [made.taken] if made.taken else []
    if made.whole:
        said.append(f"figures of the whole set alone: {', '.join(made.whole)}")
    if not named:
        return Verdict(None, "; ".join([f"no such metric: it has {', '.join(made.values) or 'none'}", *said]))
    return Counts(made.values[named[0]], "; ".join([named[0], *said]), made.values)


def quick(record: dict[str, Any], *, task: str = "", metric: str = "", filter: str = "") -> Verdict | None:
    """Null for what is not to be judged; the rest is judged in a worker, under a deadline."""
    need(record, "completion", str, "lm_eval judges completions: run r1 generate first")
    item = record.get("lm_eval")
    if not isinstance(item, dict):
        return Verdict(None, "not a problem of lm-eval: it has no lm_eval field")
    if not isinstance(item.get("task"), str) or type(item.get("item")) is not int:
        raise bad_record(record, "the field lm_eval names no task and item", TOLD)
    if not isinstance(item.get("row", {}), dict):
        raise bad_record(record, "the field lm_eval has a row that is no object", TOLD)
    if is_file(item["task"]) and not task:
        return Verdict(
            None, f"a task of a file: say that you trust it, with the reward lm_eval:task={item['task']}"
        )
    given = record.get("loglikelihoods")
    if "continuations" in record and given is None and record["completion"]:
        return Verdict(
            None, "no log-likelihoods of its continuations: let r1 generate or r1 eval -m answer it"
        )
    if given is not None and not _pairs(given):
        raise bad_record(record, "the field loglikelihoods holds no pairs of number and boolean", TOLD)
    return None


def prepare() -> None:
    """Loads the package in a worker before the clock of the first record starts."""
    library()


def deadline(**_: Any) -> float:
    """Seconds: the first answer waits until its task's data is read."""
    return 60.0


def _pairs(given: Any) -> bool:
    return isinstance(given, list) and all(
        isinstance(each, list) and len(each) == 2 and isinstance(each[0], float | int) for each in given
    )
