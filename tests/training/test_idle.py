"""Runs that teach nothing end, or say why with an example; a run that learns is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_training import SHORT, Heard, assert_same_run, distilled, metrics, problems, reinforced

from stages.records.record import Record
from stages.runtime.errors import BadInput, R1Error
from stages.settings.grpo import Settings
from stages.training.grpo.idle import _unjudged, _why

CUT = replace(SHORT, max_tokens=1)


def unanswered(count: int) -> list[Record]:
    rows = ({key: value for key, value in record.items() if key != "answer"} for record in problems(count))
    return [Record(row, place=f"p.jsonl:{n}", worked="Count.") for n, row in enumerate(rows, 1)]


def rule(folder: Path, body: str) -> str:
    """The spec of a reward that returns what `body` says of the record's prompt `p`."""
    path = folder / f"rule{abs(hash(body))}.py"
    path.write_text(f"def mine(record):\n    p = record['prompt']\n    return {body}\n")
    return f"{path}:mine"


def test_problems_without_references_end_the_run_with_the_remedy(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = (
        r"p\.jsonl:1: cannot be judged, nor any of the 2 after it: accuracy: the record has no reference "
        r"answer; "
        r"its fields are id, prompt, worked; `r1 prompts FILE --map answer=FIELD` says which holds it"
    )
    with pytest.raises(BadInput, match=said):
        reinforced(tiny, out, "accuracy", unanswered(3), sampling=CUT)
    assert not out.exists()


def test_a_solution_that_ends_in_marks_is_learned_from(tiny: Path, tmp_path: Path) -> None:
    report = Heard()
    marked = [record.adding(solution=f"So it is.\n#### {n}") for n, record in enumerate(unanswered(3))]
    reinforced(tiny, tmp_path / "out", "accuracy", marked, sampling=CUT, steps=1, report=report)
    (line,) = metrics(tmp_path / "out")
    assert line["completions/unjudged"] == 0
    assert any("the reference answer is what follows #### in 'solution'" in note for note in report.notes)


def test_a_reward_that_judges_nothing_ends_the_run_with_its_reason(tiny: Path, tmp_path: Path) -> None:
    spec = rule(tmp_path, "(None, 'too odd')")
    with pytest.raises(R1Error, match=r"step 3: .*mine: too odd; the first is .*: '\d\+\d=' -> ") as caught:
        reinforced(tiny, tmp_path / "out", spec, sampling=CUT, steps=9)
    assert caught.value.code == 1


def test_a_run_that_judges_some_later_goes_on(tiny: Path, tmp_path: Path) -> None:
    """Only the last problem of the first pass is judged; nothing else depends on the limit."""
    given = problems(3)
    reinforced(tiny, tmp_path / "probe", rule(tmp_path, "0.5"), given, problems=1, steps=3, sampling=CUT)
    rollouts = sorted((tmp_path / "probe" / "rollouts").glob("*"))
    last = rollouts[-1].read_text().partition('"prompt":"')[2].partition('"')[0]
    spec = rule(tmp_path, f"len(record['completion']) if p == {last!r} else None")
    for name, limit in (("limited", 10), ("never", 0)):
        options = {"problems": 1, "steps": 4, "samples": 2, "sampling": SHORT, "idle_steps": limit}
        reinforced(tiny, tmp_path / name, spec, given, **options)
    assert_same_run(tmp_path / "limited", tmp_path / "never")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("1", "all completions are right; harder problems"),
        ("0", "every completion was cut off at --max-tokens 1; raise it"),
    ],
)
def test_steps_that_teach_nothing_say_why(body: str, why: str, tiny: Path, tmp_path: Path) -> None:
    report = Heard()
    options = {"sampling": CUT, "steps": 4, "samples": 2, "problems": 2, "idle_steps": 2, "report": report}
    reinforced(tiny, tmp_path / "out", rule(tmp_path, body), **options)
    told = [note for note in report.notes if "taught nothing: " in note]
    assert [note.partition(" had")[0] for note in told] == [
        "no problem of the last 2 steps",
        "no problem of the last 4 steps",
    ]
    assert why in told[0]
    assert "; the first is record s" in told[0]


def test_what_problems_have_in_common_is_said_of_all_of_their_completions() -> None:
    def why(*rewards: dict[str, float | None]) -> str:
        settings = Settings(model="m", out=Path("out"))
        given = {"group": "a", "finish": "stop", "completion": "x", "reward": None}
        return _why([Record(given, rewards=each) for each in rewards], settings)

    assert why({"accuracy": None}, {"accuracy": 1.0}).startswith("all completions are right")
    assert why({"accuracy": 1.0, "format": 0.0}, {"accuracy": 0.0, "format": 1.0}) == (
        "1 of 1 problems of equal sums, in all of their completions"
    )
    assert why({}, {}) == "1 of 1 problems unjudged, in all of their completions"
    assert _unjudged([Record(rewards={"accuracy": 1.0})])[1] == "null, though each of its rewards is known"


def test_no_trace_kept_says_why(tiny: Path, tmp_path: Path) -> None:
    spec = rule(tmp_path, "(None, 'too odd')")
    with pytest.raises(R1Error, match=r"the first is s0#0, null: .* \(mine: too odd\); see .*rejected.jsonl"):
        distilled(tiny, tiny, tmp_path / "out", spec)
