"""Two answers before a judge behind a real server: what it is asked, how it is read, counted and kept."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import R1
from served import Served, says

from stages.grading.judged import judges
from stages.grading.judged.forms import form_of
from stages.grading.judged.judges import Judge
from stages.grading.judged.pairs import PLACES, score_by_label, share_by_weight, switched
from stages.inference.server import client
from stages.inference.server.protocol import Reply, reply_of
from stages.records.record import Record
from stages.rewards.alpaca_eval import check
from stages.runtime.errors import Unavailable, UsageError
from stages.scoring.scorer import Scorer

OWN, OTHER = "An own fig.", "The other plum."
TOKENS = {"m": math.log(0.2), "M": math.log(0.6), "Both": math.log(0.1)}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(client, "FIRST", 0.01)
    made = Served()
    yield made
    made.stop()


def asked(k: int = 0, completion: str = f"<think>hm</think>{OWN}", **fields: Any) -> Record:
    about = {"index": k, "baseline": "base", "baseline_answer": OTHER, "meta": {"generate": {"model": "new"}}}
    return Record(id=f"a-{k}#0", prompt=f"Fruit {k}?", completion=completion, **{**about, **fields})


def scored(records: list[Record], spec: str, served: Served) -> tuple[list[Record], list[Any]]:
    """The records judged by the server, and what that cost."""
    colon = "," if ":" in spec else ":"
    with Scorer([f"{spec}{colon}model=m,url={served.url}"], workers=1) as scorer:
        return list(scorer.score(records)), scorer.spent()


def words_of(body: dict[str, Any]) -> str:
    return "".join(turn["content"] for turn in body["messages"])


def likes_ours(body: dict[str, Any]) -> tuple[int, Any]:
    """Names the own answer, with probabilities of 0.2 for m and 0.6 for M where they are asked for."""
    words = words_of(body)
    status, answer = says("m" if words.index(OWN) < words.index(OTHER) else "M")
    if body.get("logprobs"):
        top = [{"token": token, "logprob": value} for token, value in TOKENS.items()]
        answer["choices"][0]["logprobs"] = {"content": [{"token": "M", "top_logprobs": top}]}
    return status, answer


def verdicts(labels: Callable[[bool], str]) -> Callable[[dict[str, Any]], tuple[int, Any]]:
    """A judge of Arena-Hard that says a label by whether the own answer stands first."""

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        words = words_of(body)
        return says(f"My own answer is pear.\nSo: [[{labels(words.index(OWN) < words.index(OTHER))}]]")

    return reply


def test_the_order_is_the_one_that_the_published_program_draws() -> None:
    """By random_seeded_choice of alpaca_eval 0.6.2, from is_switched_outputs, the instruction and seed 0."""
    assert [switched(f"Fruit {k}?") for k in range(6)] == [False, False, True, True, False, True]


def test_the_preference_is_the_probability_of_a_letter_in_either_order(served: Served) -> None:
    served.reply = likes_ours
    records = [asked(1), asked(2)]
    found, (spent,) = scored(records, "alpaca_eval:price_in=10,price_out=30", served)
    # Letter M, the second answer, has 0.6 / 0.8, whoever wrote it: the own answer was second, then first.
    assert [each["rewards"]["alpaca_eval"] for each in found] == pytest.approx([0.75, 0.25])
    assert [each["rewards"]["alpaca_eval/won"] for each in found] == [1, 0]
    assert [(body["logprobs"], body["top_logprobs"]) for body in served.asked] == [(True, 5)] * 2
    assert [turn["role"] for turn in served.asked[0]["messages"]] == ["system", "user"]
    assert all("hm" not in words_of(body) for body in served.asked)
    assert (spent.asked, spent.tokens_in, spent.tokens_out) == (2, 10, 6)
    assert spent.cost == pytest.approx((10 * 10 + 6 * 30) / 1e6)
    found, _ = scored(records, "alpaca_eval:weighted=false", served)
    assert [each["rewards"]["alpaca_eval"] for each in found] == [1, 1]
    assert "logprobs" not in served.asked[-1]


def test_a_server_that_refuses_probabilities_is_asked_for_the_letter(served: Served) -> None:
    refusal = (400, {"error": {"message": "logprobs are not supported by this model"}})
    served.reply = lambda body: refusal if "logprobs" in body else likes_ours(body)
    found, _ = scored([asked()], "alpaca_eval", served)
    assert found[0]["rewards"]["alpaca_eval"] == 1


@pytest.mark.parametrize("reply", ["", "Both", "m or M", "M is better", "model_m", "mM"])
def test_what_is_no_letter_is_null_and_never_a_tie(reply: str, served: Served) -> None:
    assert isinstance(share_by_weight(Reply(reply)), str)
    served.reply = lambda body: says(reply)
    (found,), (spent,) = scored([asked()], "alpaca_eval:retries=1", served)
    assert found["rewards"]["alpaca_eval"] is None
    assert found["reward"] is None
    assert (spent.asked, len(served.asked)) == (2, 2)


def test_letters_among_the_likeliest_count_and_others_do_not() -> None:
    assert share_by_weight(Reply("The", {"m": math.log(0.3), "The": -0.1})) == (0.0,)
    assert isinstance(share_by_weight(Reply("m", {"The": -0.1})), str)
    thought = Reply("<think>M</think>m", {"M": -0.1}, {"m": math.log(0.9), "M": math.log(0.1)})
    assert share_by_weight(thought) == (pytest.approx(0.1),)
    assert share_by_weight(Reply(' "M"\n')) == (1.0,)


def test_a_token_that_ends_the_turn_is_not_the_last_of_the_text() -> None:
    """vLLM lists it among the tokens, after a blank maybe."""
    top = {
        "</think>": {"x": -0.1},
        "M": {"m": math.log(0.2), "M": math.log(0.8)},
        "\n": {"\n": -0.1},
        "<|e|>": {},
    }
    places = [
        {
            "token": token,
            "top_logprobs": [{"token": name, "logprob": value} for name, value in likely.items()],
        }
        for token, likely in top.items()
    ]
    _, answer = says("<think>m</think>M\n")
    answer["choices"][0]["logprobs"] = {"content": places}
    reply = reply_of(answer)
    assert isinstance(reply, Reply)
    assert share_by_weight(reply) == (pytest.approx(0.8),)


def test_a_question_is_asked_once_and_a_verdict_of_any_attempt_is_kept(
    served: Served, tmp_path: Path
) -> None:
    """Also where the first attempt gave none, which is asked for no more."""
    served.reply = lambda body: says("M" if body["seed"] == 1 else "Hm.")
    spec = f"alpaca_eval:weighted=false,cache={tmp_path / 'verdicts'}"
    first, (spent,) = scored([asked(1), asked(1), asked(1)], spec, served)
    assert ([body["seed"] for body in served.asked], spent.asked, spent.kept) == ([0, 1], 2, 2)
    served.reply = lambda body: says("m")
    again, (spent,) = scored([asked(1)], spec, served)
    assert (len(served.asked), spent.asked, spent.kept) == (2, 0, 1)
    assert [each["rewards"]["alpaca_eval"] for each in first + again] == [1, 1, 1, 1]


def test_an_address_that_is_none_is_told_before_anything_is_judged() -> None:
    with pytest.raises(Unavailable, match="alpaca_eval: nowhere: no address; write http"):
        check(Judge(model="m", url="http://a/v1 nowhere"))


def test_both_orders_are_two_games_with_five_verdicts(served: Served) -> None:
    served.reply = verdicts(lambda first: "A>>B" if first else "A>B")
    (found,), _ = scored([asked()], "arena_hard", served)
    parts = (found["rewards"]["arena_hard/second"], found["rewards"]["arena_hard/first"])
    assert (found["rewards"]["arena_hard"], *parts) == (0.5, 0.25, 1.0)
    served.reply = verdicts(lambda first: "A=B" if first else "none")
    (found,), _ = scored([asked()], "arena_hard:retries=0", served)
    assert (found["rewards"]["arena_hard"], found["rewards"]["arena_hard/first"]) == (None, 0.5)
    assert found["rewards"]["arena_hard/second"] is None


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("so [[B>>A]]", 1.0), ("[[a<b]]", 0.75), ("[[A=B]] and again [[A=B]]", 0.5), ("[[A>B]]", 0.25),
        ("<think>[[A>B]]</think>[[B>A]]", 0.75), ("[[A>B]] or [[B>A]]", None), ("A>B", None),
        ("[[A>]]", None), ("<think>[[A>B]]", None),
    ],
)  # fmt: skip
def test_a_label_is_read_where_it_is_one(reply: str, score: float | None) -> None:
    found = score_by_label(Reply(reply))
    assert isinstance(found, str) if score is None else found == (score,)


@pytest.mark.parametrize(
    ("reply", "value", "attempted"),
    [
        ("It is.\nVerdict: correct", 1, 1), ("No.\nVerdict: incorrect", 0, 0),
        ("It says nothing.\nVerdict: not attempted", 0, None), ("A", 1, 1), ("B", 0, 0), ("C", 0, None),
        ("correct", None, None), ("Verdict: maybe", None, None),
    ],
)  # fmt: skip
def test_facts_have_three_classes(
    reply: str, value: float | None, attempted: float | None, served: Served
) -> None:
    served.reply = lambda body: says(reply)
    (found,), _ = scored([asked(answer="fig")], "facts:retries=0", served)
    assert (found["rewards"]["facts"], found["rewards"].get("facts/given_attempted")) == (value, attempted)


def test_published_texts_are_taken_as_they_are(tmp_path: Path, served: Served) -> None:
    file = tmp_path / "clf.txt"
    file.write_text(
        '<|im_start|>system\nBe good.\n<|im_end|>\n<|im_start|>user\n{\n"instruction": """{instruction}""",\n'
        '"m": """{output_1}"""\n"M": """{output_2}"""\n<|im_end|>'
    )
    served.reply = likes_ours
    scored([asked(1, "Braces {output_1} of An own fig.")], f"alpaca_eval:prompt={file}", served)
    system, user = served.asked[0]["messages"]
    assert (system["content"], system["role"]) == ("Be good.", "system")
    shown = '"instruction": """Fruit 1?""",\n"m": """The other plum."""\n"M": """Braces'
    assert shown in user["content"]
    assert "Braces {output_1} of" in user["content"]
    file = tmp_path / "half.txt"
    file.write_text("{ANSWER_A}")
    with pytest.raises(UsageError, match=r"arena_hard: prompt=.* holds no \{second\}"):
        form_of(str(file), "arena_hard", PLACES)


def test_a_judge_that_dies_and_a_slow_one_lose_nothing_that_was_paid(
    served: Served, tmp_path: Path, r1: R1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before the server died is kept, and only the rest is asked in the next run."""
    monkeypatch.setattr(judges, "PATIENCE", 0.3)
    source, cache = tmp_path / "in.jsonl", tmp_path / "verdicts"
    source.write_text("".join(json.dumps(asked(k)) + "\n" for k in range(30)))

    def dying(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.01)
        return likes_ours(body) if len(served.asked) <= 20 else (401, {"error": {"message": "no money"}})

    served.reply = dying
    spec = f"alpaca_eval:model=m,url={served.url},cache={cache},price_in=1,jobs=4"
    line = ("score", "-o", tmp_path / "out.jsonl", "-r", spec, source)
    done = r1(*line)
    assert (done.returncode, b"no money" in done.stderr) == (69, True)
    kept = len(cache.read_text().splitlines())
    assert 15 <= kept <= 20
    served.reply = likes_ours
    before = len(served.asked)
    done = r1(*line, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(served.asked) - before == 30 - kept
    said = f"the judge m: {30 - kept} replies and {kept} from the cache; {5 * (30 - kept)} tokens in"
    assert said in done.stderr.decode()
    ranked = r1("rank", tmp_path / "out.jsonl")
    (found,) = map(json.loads, ranked.stdout.splitlines())
    assert (found["model"], found["against"], found["verdicts"], found["unjudged"]) == ("new", "base", 30, 0)
