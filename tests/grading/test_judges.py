"""Judges that are models: what they are asked, how their verdict is read, what a bad server may cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import R1
from served import Served, says

from stages.grading.judged import judges
from stages.grading.judged.judges import Judge
from stages.grading.judged.scales import Scale, check_scale
from stages.grading.judged.scales import judged as judged_on
from stages.inference.server import client
from stages.inference.server.protocol import Reply
from stages.records.record import Record
from stages.records.verdict import Verdict
from stages.rewards import helpfulness as helping
from stages.rewards import judge as judging
from stages.rewards.reward_model import reward_model
from stages.runtime.errors import BadInput, Unavailable, UsageError
from stages.scoring.scorer import Scorer
from stages.scoring.spec import arguments


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(client, "FIRST", 0.01)
    made = Served()
    yield made
    made.stop()


def judge(batch: list[Record], **options: Any) -> list[Verdict]:
    return judging.judge(batch, **arguments(judging.judge, options))


def helpfulness(batch: list[Record], **options: Any) -> list[Verdict]:
    return helping.helpfulness(batch, **arguments(helping.helpfulness, options))


def answered(text: str, answer: str | None = "Paris", **fields: Any) -> Record:
    record = Record(id="a#0", prompt="Capital of France?", completion=text, **fields)
    return record if answer is None else record.adding(answer=answer)


def test_it_sees_problem_reference_and_summary_but_not_the_thinking(served: Served) -> None:
    [verdict] = judge([answered("<think>London?</think> It is Paris.")], model="m", url=served.url)
    assert verdict == (1.0, "The two are equal.")
    [body] = served.asked
    said = body["messages"][0]["content"]
    assert all(part in said for part in ("Capital of France?", "\nParis\n", "\nIt is Paris.\n"))
    assert "London" not in said
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 512)


def test_braces_in_the_texts_are_left_alone(served: Served) -> None:
    record = answered("\\boxed{{prompt}} {answer} {0}", "{completion}")
    judge([record], model="m", url=served.url)
    said = served.asked[0]["messages"][0]["content"]
    assert "\\boxed{{prompt}} {answer} {0}" in said
    assert "\n{completion}\n" in said


def test_helpfulness_has_a_scale_and_needs_no_reference(served: Served) -> None:
    served.reply = lambda body: says("Good.\n\nVerdict: 7.75\n")
    [verdict] = helpfulness([answered("Paris", None)], model="m", url=served.url)
    assert verdict.value == pytest.approx(0.75)


def test_what_is_not_there_is_not_asked_for(served: Served) -> None:
    batch = [answered("Paris", None), answered("<think>hm"), answered("<think>x</think>  ")]
    verdicts = judge(batch, model="m", url=served.url)
    assert [each.value for each in verdicts] == [None, 0.0, 0.0]
    assert not served.asked


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Yes.",
        "Verdict: 2",
        "Verdict: yes",
        "verdict: 1",
        "**Verdict: 1**",
        "Verdict: 1.",
        "Verdict: 1\nor not",
        "Verdict: 1 Verdict: 0",
        "The verdict is Verdict: 1",
        "Verdict: -0.1",
        "Verdict: 1e0",
        "Verdict: nan",
        "Verdict: ١",
    ],
)
def test_a_verdict_is_read_strictly(reply: str) -> None:
    assert isinstance(Scale().read(reply), str)
    assert Scale().read("Verdict: 0\nNo: they are equal.\nVerdict: 1")[0] == 1


def test_without_a_verdict_it_asks_again_and_then_gives_null(served: Served) -> None:
    served.reply = lambda body: says("Verdict: 1" if body["seed"] == 1 else "Hm.")
    assert judge([answered("Paris")], model="m", url=served.url)[0].value == 1
    assert [(body["seed"], body["temperature"]) for body in served.asked] == [(0, 0.0), (1, 0.7)]
    served.reply = lambda body: says("I cannot say.")
    [verdict] = judge([answered("Paris")], model="m", url=served.url)
    assert verdict.value is None
    assert "I cannot say." in verdict.reason
    assert len(served.asked) == 5


def test_a_server_that_stumbles_is_asked_again(served: Served) -> None:
    troubles = iter([(429, {}), (503, {"error": {"message": "busy"}}), (0, {}), (200, {"choices": []})])
    served.reply = lambda body: next(troubles, says("Verdict: 1"))
    assert judge([answered("Paris")], model="m", url=served.url)[0].value == 1
    assert len(served.asked) == 5


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "OPENAI_API_KEY"), (404, "refuses model"), (500, "is the server up")],
)
def test_a_server_that_will_not_ends_the_run(
    served: Served, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges, "PATIENCE", 0.2)
    served.reply = lambda body: (status, {"error": {"message": "so there"}})
    with pytest.raises(Unavailable, match=words) as caught:
        judge([answered("Paris")] * 40, model="m", url=served.url)
    assert "so there" in str(caught.value)


def test_a_refused_request_is_null_and_the_others_are_judged(served: Served) -> None:
    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        too_long = "x" * 99 in body["messages"][0]["content"]
        return (400, {"error": {"message": "too long"}}) if too_long else says("Verdict: 0")

    served.reply = reply
    verdicts = judge([answered("x" * 99), answered("Rome")], model="m", url=served.url)
    assert [each.value for each in verdicts] == [None, 0.0]
    assert "too long" in verdicts[0].reason


def test_no_server_and_no_address() -> None:
    with pytest.raises(Unavailable, match="no address"):
        judge([answered("Paris")], model="m", url="localhost")
    with pytest.raises(UsageError, match="model=CHECKPOINT"):
        judge([answered("Paris")])


def test_the_key_is_sent(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    judge([answered("Paris")], model="m", url=served.url)
    assert served.keys == ["Bearer s3cret"]


def test_verdicts_are_kept_and_others_are_not(served: Served, tmp_path: Path) -> None:
    served.reply = lambda body: says("Verdict: 1" if "is Paris" in body["messages"][0]["content"] else "?")
    options: dict[str, Any] = {"model": "m", "url": served.url, "cache": str(tmp_path / "c")}
    batch = [answered("It is Paris"), answered("Rome")]
    first = judge(batch, retries=0, **options)
    assert judge(batch, retries=0, **options) == first
    assert len(served.asked) == 3  # the one without a verdict is asked for again


def test_a_question_of_ones_own(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text("Is {completion} rude?")
    judge([answered("Oi")], model="m", url=served.url, prompt=str(file))
    assert served.asked[0]["messages"][0]["content"] == "Is Oi rude?"
    (tmp_path / "none.txt").write_text("Is it?")
    for wrong in ("none.txt", "absent.txt"):
        with pytest.raises(UsageError, match=wrong):
            judge([answered("Oi")], model="m", url=served.url, prompt=str(tmp_path / wrong))


def test_it_works_in_batches_beside_rules_and_in_order(served: Served) -> None:
    served.reply = lambda body: says(f"Verdict: {int('7' in body['messages'][0]['content'])}")
    records = [Record(id=f"{k}#0", prompt="?", answer=str(k), completion=f"so {k}") for k in range(150)]
    with Scorer(["accuracy", f"judge:model=m,url={served.url}*0.5"], workers=1) as scorer:
        scored = list(scorer.score(records))
    assert [record["id"] for record in scored] == [record["id"] for record in records]
    assert [record["rewards"]["judge"] for record in scored] == [float("7" in str(k)) for k in range(150)]
    assert scored[7]["reward"] == 1.5
    assert len(served.asked) == 150


def test_resuming_asks_for_nothing_twice(served: Served, tmp_path: Path, r1: R1) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [{"id": f"{k}#0", "prompt": "?", "answer": "1", "completion": f"is {k}"} for k in range(130)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (401, {}) if "is 129" in body["messages"][0]["content"] else says("Verdict: 1")

    served.reply = reply
    line = ("score", source, "-o", out, "--reward", f"judge:model=m,url={served.url}")
    assert r1(*line).returncode == 69
    before = len(served.asked)
    served.reply = lambda body: says("Verdict: 1")
    done = r1(*line, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 130
    assert len(served.asked) - before == 2  # of the last batch, which was not finished


@pytest.mark.full
def test_a_real_model_is_asked(smollm2: Path) -> None:
    batch = [answered("It is Paris."), answered("It is Rome.")]
    verdicts = judge(batch, model=str(smollm2), max_tokens=48, retries=1, device="cpu")
    assert len(verdicts) == 2
    assert all(each.value in (0.0, 1.0, None) and each.reason for each in verdicts)


@pytest.fixture
def classifier(tmp_path: Path, tiny: Path) -> Path:
    """A reward model of random weights over the tiny model."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    automatic: Any = AutoModelForSequenceClassification
    automatic.from_pretrained(tiny, num_labels=1).save_pretrained(tmp_path / "reward")
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "reward")
    return tmp_path / "reward"


def test_a_reward_model_gives_the_same_number_in_any_batch(classifier: Path) -> None:
    texts = ["7", "it is seven, as 3 and 4 make it", "no", "", "3+4=7"]
    batch = [Record(prompt="3+4?", completion=text) for text in texts]
    alone = [reward_model([record], model=str(classifier))[0].value for record in batch]
    assert len(set(alone)) == len(alone)
    together = reward_model(batch, model=str(classifier), size=3)
    assert [each.value for each in together] == pytest.approx(alone, rel=1e-5)


def test_a_reward_model_is_the_head_of_the_last_state(classifier: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    automatic: Any = AutoModelForSequenceClassification
    model = automatic.from_pretrained(classifier).eval()
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    record = Record(prompt="3+4?", prefill="<think>", completion="so</think> 7")
    text = "3+4?\n\n<think>so</think> 7"  # no chat template
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model.score(model.model(ids).last_hidden_state[0, -1]).item()
    [verdict] = reward_model([record], model=str(classifier))
    assert verdict.value == pytest.approx(expected, rel=1e-5)
    [squashed] = reward_model([record], model=str(classifier), squash="sigmoid")
    assert squashed.value == pytest.approx(1 / (1 + math.exp(-expected)))


def test_a_text_longer_than_the_reward_model_reads_is_null(classifier: Path) -> None:
    batch = [Record(prompt="?", completion="7" * 100_000), Record(prompt="?", completion="7")]
    long, short = reward_model(batch, model=str(classifier))
    assert long.value is None
    assert "tokens" in long.reason
    assert short.value is not None


def test_a_language_model_is_no_reward_model(tiny: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        reward_model([Record(prompt="?", completion="7")], model=str(tiny))


def test_several_votes_are_asked_apart_and_their_mean_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with seeds of its own; a vote that is not given does not count, and none at all is null."""
    asked: list[int] = []
    said = {0: "Verdict: 4", 3: "Verdict: 7", 6: "?", 7: "?", 8: "?"}

    def replies(self: Judge, texts: list[Any], attempt: int, likely: bool) -> Iterator[tuple[int, Reply]]:
        asked.append(attempt)
        return enumerate([Reply(said[attempt])] * len(texts))

    monkeypatch.setattr(Judge, "_fresh", replies)
    by, on = Judge(model="echo", temperature=0.7), Scale(low=1, high=10, votes=3)
    record = Record(prompt="?", completion="7")
    [verdict] = judged_on([record], "helpfulness", by, on)
    assert asked == [0, 3, 6, 7, 8]
    assert verdict.value == pytest.approx((3 / 9 + 6 / 9) / 2)
    assert verdict.reason.startswith("the mean of 0.333333, 0.666667")
    said.update({0: "?", 1: "?", 2: "?", 3: "?", 4: "?", 5: "?"})
    assert judged_on([record], "helpfulness", by, on)[0].value is None
    with pytest.raises(UsageError, match="votes=2 needs temperature=X"):
        check_scale(Judge(model="echo"), Scale(votes=2), "judge")


def test_a_server_that_stands_aside_is_not_asked_again_for_each_batch(served: Served) -> None:
    bad = Served()
    try:
        bad.reply = lambda body: (500, {})
        for batch in range(4):
            asked = len(bad.asked)
            [verdict] = judge([answered("Paris")], model="m", url=f"{bad.url} {served.url}")
            assert verdict.value == 1
            assert len(bad.asked) - asked == (batch < 3)
    finally:
        bad.stop()
