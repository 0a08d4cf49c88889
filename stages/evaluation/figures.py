"""The figures of one model on one benchmark, gathered completion by completion.

Per problem only counts are kept, and the votes, so memory grows with the problems and not with the text.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from stages.evaluation import statistics
from stages.records.record import (
    Record,
    bad_record,
    digest,
    group_of,
    named_of,
    object_of,
    reward_of,
    said_by,
)
from stages.scoring import spec

ONLY_HERE = (
    "tokens",
    "prompt_tokens",
    "thinking_tokens",
)  # of meta.generate: about one completion, not the run
INTERVAL = "Wilson at the effective sample size, problems as clusters"


@dataclass
class Problem:
    """Counts of one problem. `votes` is answer → [votes, of them correct]."""

    content: str
    text: str = ""  # in words, where a training file is looked through for it
    judged: int = 0
    correct: int = 0
    unjudged: int = 0
    samples: set[str] = field(default_factory=set)
    votes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def completions(self) -> int:
        return self.judged + self.unjudged


class Figures:
    """Gathers scored records of one benchmark, model and setting; `figures` says what they come to.

    The first of `deciding` that a record has says whether it is correct: a value of at least `threshold`.
    `apart` are those of the file that others are compared with; `text_of` gives the words of a problem,
    where they are to be kept.
    """

    def __init__(
        self,
        origin: dict[str, Any],
        deciding: Sequence[str],
        threshold: float,
        apart: bool = False,
        text_of: Callable[[Record], str] | None = None,
    ) -> None:
        self.origin, self.deciding, self.threshold, self.apart = origin, deciding, threshold, apart
        self.text_of = text_of
        self.problems: dict[str, Problem] = {}
        self.rewards: dict[str, list[float]] = {}
        self.lengths: Counter[str] = Counter()
        self.measured: Counter[str] = Counter()
        self.finishes: Counter[str] = Counter()
        self.mixings: list[float] = []
        self.by_length: dict[str, array[int]] = {unit: array("q") for unit in ("tokens", "characters")}
        self.right = array("b")  # beside these lengths: whether the completion is correct, -1 unjudged
        self.unasked = self.ended_early = 0  # completions, as a prompt was too long for the model's context
        self.seconds: float | None = None  # that the completions took, where they were made here and now
        self.repeated: frozenset[str] | None = (
            None  # the problems that a training file has, where one is given
        )

    def add(self, record: Record, *, vote: str | None, mixing: float | None) -> None:
        """Counts one completion. Raises BadInput where it is not scored, or was counted before."""
        remedy = "pipe it through r1 score first, or say which reward decides: `r1 eval --decide NAME`"
        decided = reward_of(record, named_of(record, self.deciding), remedy)
        group = group_of(record)
        problem = self.problems.get(group)
        if problem is None:
            content = digest(group, record.get("prompt"), record.get("answer"))
            text = self.text_of(record) if self.text_of is not None else ""
            problem = self.problems[group] = Problem(content, text)
        name = str(record.get("sample", record.get("id")))
        if name in problem.samples:
            raise bad_record(
                record,
                f"sample {name} of problem {group!r} came before",
                "each completion counts once; give each file once",
            )
        problem.samples.add(name)
        if record.get("unasked"):  # no text, of which no length or reward is known
            problem.unjudged += 1
            self.unasked += 1
            return
        self.ended_early += bool(record.get("ended_early"))
        self.right.append(-1)
        self._judge(problem, decided, vote)
        for key in record["rewards"]:
            value = reward_of(record, key, remedy)
            if value is not None:
                total = self.rewards.setdefault(key, [0.0, 0.0])
                total[0] += value
                total[1] += 1
        self._measure(record)
        if mixing is not None:
            self.mixings.append(mixing)

    def _judge(self, problem: Problem, value: float | None, vote: str | None) -> None:
        if value is None:
            problem.unjudged += 1
            return
        right = value >= self.threshold
        self.right[-1] = right
        problem.judged += 1
        problem.correct += right
        # The reward says that all right answers are one, however they are written.
        ballot = "\0right" if right else vote
        if ballot is not None:
            count = problem.votes.setdefault(ballot, [0, 0])
            count[0] += 1
            count[1] += right

    def _measure(self, record: Record) -> None:
        tokens = _tokens(record)
        if tokens is not None:
            self.lengths["tokens"] += tokens
            self.measured["tokens"] += 1
        prompt = said_by(record, "generate").get("prompt_tokens")
        if isinstance(prompt, int):
            self.lengths["prompts"] += prompt
            self.measured["prompts"] += 1
        thinking = said_by(record, "generate").get("thinking_tokens")
        if isinstance(thinking, int):
            self.lengths["thinking"] += thinking
            self.measured["thinking"] += 1
        characters = len(record.get("completion", ""))
        self.by_length["tokens"].append(-1 if tokens is None else tokens)
        self.by_length["characters"].append(characters)
        self.lengths["characters"] += characters
        self.measured["characters"] += 1
        if "finish" in record:
            self.finishes[str(record["finish"])] += 1

    @property
    def unit(self) -> str:
        """What lengths are in: tokens where all completions have them, else characters."""
        return "tokens" if self.measured["tokens"] == self.measured["characters"] else "characters"

    @property
    def thinking(self) -> float | None:
        """Tokens of thinking, the mean of all completions; None unless each says how many it has."""
        total = self.measured["characters"]
        return self.lengths["thinking"] / total if total and self.measured["thinking"] == total else None

    def figures(self, pass_k: Sequence[int] = (), price: Sequence[float] = ()) -> dict[str, Any]:
        """Everything measured, with what it cost at a `price` of a million tokens in and out.

        A figure that the completions cannot give is None.

        Completions that could not be judged are counted as `unjudged` and left out of the rates;
        `pass@1_if_unjudged_wrong` is what pass@1 comes to if none of them is right.
        """
        problems = list(self.problems.values())
        counts = [(each.judged, each.correct) for each in problems if each.judged]
        sizes = [each.completions for each in problems]
        total, unjudged = sum(sizes), sum(each.unjudged for each in problems)
        answered = total - self.unasked
        interval = statistics.clustered_interval(counts) if counts else None
        made: dict[str, Any] = {
            **{
                name: self.origin.get(name)
                for name in ("benchmark", "split", "protocol", "model", "revision")
            },
            **({"step": self.origin["step"]} if "step" in self.origin else {}),
            "pass@1": statistics.pass_at_1(counts) if counts else None,
            "pass@1_low": interval.low if interval else None,
            "pass@1_high": interval.high if interval else None,
            "interval": f"95 %, {INTERVAL}",
        }
        if unjudged:
            made["pass@1_if_unjudged_wrong"] = fmean([each.correct / each.completions for each in problems])
        for k in pass_k:
            enough = counts and min(n for n, _ in counts) >= k
            made[f"pass@{k}"] = statistics.pass_at_k(counts, k) if enough else None
        k = max(sizes)
        if k > 1:
            shares = [statistics.majority(each.votes) for each in problems if each.judged]
            made[f"cons@{k}"] = fmean(shares) if shares else None
        made |= {
            "problems": len(problems),
            "completions": total,
            "k": k,
            "k_min": min(sizes),
            "unjudged": unjudged,
            "problems_unjudged": len(problems) - len(counts),
            "decides": ", ".join(self.deciding),
            "threshold": self.threshold,
            **{f"rewards/{name}/mean": value for name, value in self._means().items()},
            **{name: n for name in ("unasked", "ended_early") if (n := getattr(self, name))},
            **self._lengths(answered),
            **self._cost(answered, price),
            **self._overlap(),
            "mixing": fmean(self.mixings) if self.mixings else None,
            "digest": digest(sorted(each.content for each in problems)),
            "settings": self.origin.get("settings"),
            "versions": self.origin.get("versions"),
        }
        return made

    def _means(self) -> dict[str, float]:
        """Of each reward and its parts; after them what a reward makes of them."""
        means = {name: total / count for name, (total, count) in self.rewards.items()}
        for name in [each for each in means if each in spec.names()]:
            own = f"{name}/"
            parts = {each.removeprefix(own): value for each, value in means.items() if each.startswith(own)}
            made = spec.overall(name, means[name], parts)
            means |= {own + part: value for part, value in made.items()}
        return means

    def _lengths(self, total: int) -> dict[str, Any]:
        """In tokens only if all completions have them: a mean of two units would mean nothing."""
        unit = self.unit
        finished = self.finishes.total()
        return {
            "completions/mean_length": self.lengths[unit] / total if total else None,
            "length_unit": unit,
            **({} if self.thinking is None else {"completions/mean_thinking": self.thinking}),
            "completions/clipped_ratio": self.finishes["length"] / finished if finished else None,
        }

    def _cost(self, total: int, price: Sequence[float]) -> dict[str, Any]:
        """Tokens in are those of a prompt for each of its completions, as servers count them."""
        counted = {"tokens_in": "prompts", "tokens_out": "tokens"}
        made: dict[str, Any] = {
            name: self.lengths[unit] if self.measured[unit] == total else None
            for name, unit in counted.items()
        }
        spent = list(made.values())
        if price:
            known = None not in spent
            made["cost"] = sum(n * per for n, per in zip(spent, price, strict=True)) / 1e6 if known else None
            made["price"] = list(price)
        if self.seconds is not None:
            made["seconds"] = self.seconds
            out = made["tokens_out"]
            made["tokens_per_second"] = out / self.seconds if out is not None and self.seconds else None
        return made

    def _overlap(self) -> dict[str, Any]:
        """pass@1 of the problems that a training file has, and of the others."""
        if self.repeated is None:
            return {}
        made: dict[str, Any] = {"contaminated": len(self.repeated & set(self.problems))}
        made["contamination"] = made["contaminated"] / len(self.problems)
        for name, wanted in (("contaminated", True), ("clean", False)):
            counts = [
                (each.judged, each.correct)
                for key, each in self.problems.items()
                if each.judged and (key in self.repeated) == wanted
            ]
            interval = statistics.clustered_interval(counts) if counts else None
            made[f"pass@1_{name}"] = statistics.pass_at_1(counts) if counts else None
            made[f"pass@1_{name}_low"] = interval.low if interval else None
            made[f"pass@1_{name}_high"] = interval.high if interval else None
        return made


def origin_of(record: Record, benchmark: str | None) -> dict[str, Any]:
    """What a completion was made of: benchmark, model, and every setting in its `meta`.

    Completions of equal origin belong to one row of the results.
    """
    entries = object_of(record.get("meta"))
    source = said_by(record, "prompts")
    settings = {
        key: list(value) if isinstance(value, tuple) else value  # as it reads back from a file
        for key, value in said_by(record, "generate").items()
        if key not in ONLY_HERE
    }
    versions = {
        stage: entry["version"]
        for stage, entry in entries.items()
        if isinstance(entry, dict) and "version" in entry
    }
    if "score" in entries:
        settings["rewards"] = said_by(record, "score").get("rewards")
    asked = object_of(source.get("settings"))
    own = {key: value for key, value in asked.items() if key != "limit"}  # it makes no other problems
    if own:
        settings["set"] = own
    steps = [entry["step"] for entry in entries.values() if isinstance(entry, dict) and "step" in entry]
    return {
        **({"step": steps[-1]} if steps else {}),  # of the training that these are rollouts of
        "benchmark": benchmark or source.get("source"),
        "split": source.get("split"),
        "protocol": source.get("protocol"),
        "model": settings.pop("model", None),
        "revision": settings.pop("revision", None),
        "settings": settings,
        "versions": versions,
    }


def _tokens(record: Record) -> int | None:
    """Tokens of the completion as its maker counted them."""
    ids = record.get("completion_ids")
    if isinstance(ids, list):
        return len(ids)
    tokens = said_by(record, "generate").get("tokens")
    return tokens if isinstance(tokens, int) else None
