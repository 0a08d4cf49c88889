"""A sample has the size that was asked for, its domains are alike, and long chains come before short ones."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages import filter as stage
from stages.records.record import Record
from stages.runtime.errors import BadInput, UsageError
from stages.selection.faults import fault_of_completion, fault_of_prompt
from stages.selection.rules import select
from stages.selection.sampling import Entry, Sample, draw, sampled
from stages.settings.criteria import Selection


def records(**counts: int) -> list[Record]:
    """So many records of each domain; the k-th has a completion of k characters."""
    return [
        Record(id=f"{domain}-{k}#0", completion="x" * k, kind=domain)
        for domain, count in counts.items()
        for k in range(1, count + 1)
    ]


def drawn(given: list[Record], **options: Any) -> list[str]:
    sample = Sample(**{"domain": "kind", **options})
    return [record["id"] for record in sampled(given, sample, lambda *_: None)]


def first(favour: str, *, times: int, **counts: int) -> Counter[tuple[str, int]]:
    """How often each record of domains of so many, with the lengths 1, 2, 3 …, is drawn first."""
    found: Counter[tuple[str, int]] = Counter()
    for seed in range(times):
        names = {name: [Entry(k, "", k) for k in range(1, count + 1)] for name, count in counts.items()}
        before = {name: list(entries) for name, entries in names.items()}
        (place,) = draw(names, 1, random.Random(seed), favour)
        name = next(name for name in names if len(names[name]) < len(before[name]))
        found[name, place] += 1
    return found


def test_domains_are_as_likely_as_each_other_however_large() -> None:
    found = first("long", times=3000, a=2, b=20, c=60)
    for domain in "abc":
        assert sum(found[domain, k] for k in range(61)) == pytest.approx(1000, abs=103)  # four deviations


def test_of_a_domain_the_longest_is_twice_as_likely_as_the_next() -> None:
    found = first("long", times=7000, a=3)  # 2^-rank among three: 4/7, 2/7, 1/7
    assert found["a", 3] == pytest.approx(4000, abs=166)
    assert found["a", 2] == pytest.approx(2000, abs=151)
    assert found["a", 1] == pytest.approx(1000, abs=117)
    # Those that are left are ranked anew: 3 and 2 are drawn with the chance 4/7 * 2/3 + 2/7 * 2/3.
    pairs = Counter(
        tuple(sorted(draw({"": [Entry(k, "", k) for k in (1, 2, 3)]}, 2, random.Random(seed), "long")))
        for seed in range(7000)
    )
    assert pairs[2, 3] == pytest.approx(4000, abs=166)


def test_without_favour_all_are_alike() -> None:
    ids = Counter(drawn(records(a=3), sample=1, seed=seed, favour="none")[0] for seed in range(1500))
    assert all(420 < count < 580 for count in ids.values())  # 500 each, sd 18


@pytest.mark.parametrize("favour", ["long", "none"])
def test_a_sample_is_exact_in_order_and_hangs_on_the_seed_alone(favour: str) -> None:
    given = records(a=3, b=30, c=1)
    for size in (1, 5, 33, 34):
        chosen = drawn(given, sample=size, favour=favour)
        assert len(set(chosen)) == size
        assert chosen == [record["id"] for record in given if record["id"] in chosen]
        shuffled = random.Random(size).sample(given, len(given))
        assert set(drawn(shuffled, sample=size, favour=favour)) == set(chosen)
    assert len({tuple(drawn(given, sample=5, favour=favour, seed=seed)) for seed in range(5)}) > 1


def test_equal_lengths_are_drawn_by_their_digests_and_not_by_their_place() -> None:
    given = [Record(id=f"{k}", completion="x", kind="a") for k in range(20)]
    assert len({drawn(given, sample=1, seed=seed)[0] for seed in range(40)}) > 10


def test_a_large_domain_is_drawn_from_in_a_moment() -> None:
    domains = {"a": [Entry(k, "", k) for k in range(20_000)], "b": [Entry(1, "", -1)]}
    assert len(draw(domains, 1000, random.Random(0), "long")) == 1000


def test_too_few_records_and_a_domain_that_is_missing_end_the_run() -> None:
    with pytest.raises(UsageError, match="leave 3 records"):
        drawn(records(a=3), sample=4)
    with pytest.raises(UsageError, match="leave 0 records"):
        drawn([], sample=1)
    for value in (None, {}, []):
        with pytest.raises(BadInput, match="field 'kind' is"):
            drawn([Record(id="a", completion="x", kind=value)], sample=1)
    nested = [Record(id="a", completion="x", meta={"kind": 3})]
    assert drawn(nested, sample=1, domain="meta.kind") == ["a"]
    for sample in (Sample(domain="kind"), Sample(seed=3), Sample(sample=1, domain="a..b"), Sample(sample=0)):
        with pytest.raises(UsageError):
            list(stage.run(records(a=1), sample=sample))


def test_the_stage_counts_what_is_not_drawn_and_says_what_was_asked(tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.jsonl"
    sample = Sample(sample=2, domain="kind")
    kept = list(
        stage.run(records(a=3, b=3), selection=Selection(min_length=2), sample=sample, rejects=rejects)
    )
    assert [record["meta"]["filter"]["sample"] for record in kept] == [2, 2]
    why = Counter(json.loads(line)["dropped"] for line in rejects.read_text("utf-8").splitlines())
    assert why == {"short: 1 is below 2": 2, "not drawn: others were": 2}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("What is 3+4?", False), ("Find x in the figure below.", True), ("As shown in the diagram, x", True),
        ("![graph](a.png) What is its slope?", True), ("[asy] draw((0,0)); [/asy]", True),
        ("如图所示,", True),
        ("见下图,求x.", True), ("Figure out how many.", False),
        ("1. Find x.\n2. Find y.", False),
        ("7. Find x.", True), ("1. Find x.\n3. Find y.", True), ("It costs 3.5 dollars.", False),
        ("Find 3 &lt; x", True), ("It is 5\ufffd", True), ("+--+\n|  |\n+--+", True),
        ("| a | b |\n|---|---|\n| 1 | 2 |", False), ("x\n---\ny", False), ("a & b; c", False),
    ],
)  # fmt: skip
def test_a_problem_that_needs_what_is_not_there_is_not_well_formed(text: str, wrong: bool) -> None:
    assert bool(fault_of_prompt(text)) == wrong


@pytest.mark.parametrize(
    ("text", "prefill", "finish", "wrong"),
    [
        ("<think>a</think>7", "", "stop", False), ("a</think>7", "<think>\n", "stop", False),
        ("7", "", "stop", False),
        ("<think>a", "", "stop", True), ("a</think>7", "", "stop", True),
        ("<think>a</think>", "", "stop", True),
        ("<think>a</think>7", "", "length", True), ("<think>a</think>7<think>b</think>8", "", "stop", True),
        ("```py\n1\n```", "", "", False), ("```py\n1", "", "", True), ("<answer>7", "", "", True),
        ("<answer>7</answer>", "", "", False), ("7\ufffd", "", "", True), ("", "", "", True),
    ],
)  # fmt: skip
def test_a_completion_that_breaks_off_is_not_well_formed(
    text: str, prefill: str, finish: str, wrong: bool
) -> None:
    assert bool(fault_of_completion(text, prefill, finish)) == wrong


def test_the_pass_rate_may_be_that_of_other_models(tmp_path: Path) -> None:
    files = []
    for name, values in {"small": "a100 b000 c11- e---", "large": "a000 b001 c111 e000"}.items():
        lines = [
            json.dumps({"id": f"{word[0]}#{k}", "rewards": {"accuracy": None if each == "-" else int(each)}})
            for word in values.split()
            for k, each in enumerate(word[1:])
        ]
        files.append(str(tmp_path / name))
        Path(files[-1]).write_text("\n".join(lines), "utf-8")
    given = [Record(id=f"{name}#{k}", completion="x") for k in (0, 1) for name in "abcde"]

    def kept(*paths: str, **options: Any) -> tuple[set[str], dict[str, str]]:
        why: dict[str, str] = {}
        selection = Selection(pass_of=paths, **options)
        left = select(given, selection, lambda record, reason: why.update({record["id"]: reason}))
        return {record["id"][0] for record in left}, why

    assert kept(files[0], max_pass=0.5)[0] == {"a", "b"}
    left, why = kept(*files, max_pass=0.0)
    assert left == set()
    assert why["a#1"] == f"too easy: 1 of 3 correct in {files[0]}"
    assert why["b#0"] == f"too easy: 1 of 3 correct in {files[1]}"
    assert why["d#0"] == f"null: {files[0]} has no completion of the problem that could be judged"
    assert kept(*files, min_pass=0.1, max_pass=1.0)[0] == {"c"}
    with pytest.raises(UsageError, match="needs --min-pass"):
        kept(files[0])
