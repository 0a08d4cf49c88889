"""What the rewards share that ask a language model: the question, the model, and how its verdict is read.

The question is a file of text with `{prompt}`, `{completion}` and, where it is wanted, `{answer}`. The
verdict is a line of its own at the end of the model's reply, `Verdict: N`; anything else is no verdict, and
the model is asked again under another seed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.checkpoints.checkpoint import revision
from stages.checkpoints.contents import check_files
from stages.language.thinking import split_thinking
from stages.records.jsonl import Journal
from stages.records.record import Record, digest, need
from stages.records.templates import load, messages_of
from stages.records.verdict import Value, Verdict
from stages.runtime import text_file
from stages.runtime.errors import BadInput, R1Error, UsageError
from stages.runtime.reward_options import in_options_of
from stages.settings.groups import Engine, Sampling, check_device
from stages.settings.options import Range

FIELD = re.compile(r"\{(prompt|answer|completion)\}")
VERDICT = re.compile(r"Verdict: (-?[0-9]+(?:\.[0-9]+)?)")
PATIENCE = 60.0  # seconds to go on asking a server that fails
WARMER = 0.7  # temperature of the second and later attempts of a model that is asked greedily


@dataclass(frozen=True)
class Judge:
    """A model, what it is asked, and how its verdict counts: `low` becomes 0 and `high` 1."""

    model: str = ""
    url: str = ""
    prompt: str = ""  # a file; "" for the reward's own
    part: Literal["summary", "whole"] = "summary"
    low: Value = 0.0
    high: Value = 1.0
    max_tokens: Annotated[int, Range(low=1)] = 512
    temperature: Annotated[float, Range(low=0, high=100)] = 0.0
    retries: Annotated[int, Range(low=0, high=1000)] = 2
    votes: Annotated[int, Range(low=1, high=1000)] = 1
    jobs: Annotated[int, Range(low=1, high=1024)] = 16
    backend: Literal["transformers", "vllm"] = "transformers"
    device: str = "auto"
    cache: str = ""
    trust_remote_code: bool = False

    def judge(self, batch: Sequence[Record], reward: str) -> list[Verdict]:
        """A verdict of `reward` for each record: null where there is no reference, or none was given.

        Raises UsageError for options that make no sense, Unavailable for a model that cannot be had,
        BadInput for a record without a completion.
        """
        self.check(reward)
        questions = [self._ask(record, reward) for record in batch]
        each = [self._vote(questions, reward, vote * (1 + self.retries)) for vote in range(self.votes)]
        return each[0] if self.votes == 1 else [_mean(votes) for votes in zip(*each, strict=True)]

    def _vote(self, questions: Sequence[str | Verdict], reward: str, first: int) -> list[Verdict]:
        """A verdict on each question; its attempts are numbered from `first`, which names their seeds."""
        verdicts = {k: each for k, each in enumerate(questions) if isinstance(each, Verdict)}
        why = dict.fromkeys(range(len(questions)), "")
        for attempt in range(first, first + 1 + self.retries):
            open_ = [k for k in range(len(questions)) if k not in verdicts]
            if not open_:
                break
            asked = [str(questions[k]) for k in open_]
            with in_options_of(reward, OPTIONS):
                replies = self._replies(asked, attempt)
            for k, reply in zip(open_, replies, strict=True):
                verdict = self.read(reply)
                if verdict.value is not None:
                    verdicts[k] = verdict
                else:
                    why[k] = verdict.reason
        return [verdicts.get(k, Verdict(None, why[k])) for k in range(len(questions))]

    def check(self, reward: str) -> None:
        """Raises what options and files say against the judge, with no model loaded and no server asked."""
        if not self.model:
            raise UsageError(f"--reward {reward}: needs model=CHECKPOINT, or model=NAME,url=SERVER")
        if self.high <= self.low:
            raise UsageError(f"--reward {reward}: high={self.high:g} must be above low={self.low:g}")
        if self.votes > 1 and not self.temperature:
            raise UsageError(
                f"--reward {reward}: votes={self.votes} needs temperature=X, or all are the same"
            )
        _question(self.prompt, reward)
        if not self.url and self.model != "echo":
            check_model(reward, OPTIONS, self.model, self.device)

    def read(self, reply: str) -> Verdict:
        """The verdict that a reply ends with; null, with the reply's end, where it gives none."""
        lines = [line.strip() for line in reply.splitlines() if line.strip()]
        match = VERDICT.fullmatch(lines[-1]) if lines else None
        if match is None:
            return Verdict(None, f"no verdict: the judge ends with {reply.strip()[-80:]!r}")
        said = float(match[1])
        if not self.low <= said <= self.high:
            return Verdict(None, f"no verdict: {match[1]} is outside {self.low:g} to {self.high:g}")
        reason = " ".join(lines[:-1])[-200:] or lines[-1]
        return Verdict((said - self.low) / (self.high - self.low), reason)

    def _ask(self, record: Record, reward: str) -> str | Verdict:
        """The question about one record, or the verdict where there is nothing to ask."""
        text = _question(self.prompt, reward)
        remedy = f"{reward} judges completions: run r1 generate first"
        completion: str = need(record, "completion", str, remedy)
        if self.part == "summary":
            completion = split_thinking(completion, str(record.get("prefill") or "")).answer
        fields = {"completion": completion.strip()}
        if "{prompt}" in text:
            fields["prompt"] = "\n".join(turn["content"] for turn in messages_of(record))
        if "{answer}" in text:
            answer = record.get("answer")
            if answer is None or answer == "":
                return Verdict(None, f"no reference: {reward} compares with `answer`")
            fields["answer"] = str(answer)
        if not fields["completion"]:
            return Verdict(0.0, "nothing was answered")
        return FIELD.sub(lambda match: fields[match[1]], text)

    def _replies(self, asked: Sequence[str], attempt: int) -> list[str]:
        """The model's words, from the cache where they are in it."""
        cache = _cache(self.cache) if self.cache else None
        version = "" if self.url else revision(self.model)
        about = (self.model, self.url, version, self.max_tokens, self.temperature, attempt)
        keys = [digest(text, about) for text in asked]
        known = [cache.get(key) if cache is not None else None for key in keys]
        missing = [k for k, held in enumerate(known) if held is None]
        fresh = self._fresh([asked[k] for k in missing], attempt) if missing else []
        replies = [str(held["reply"]) if held is not None else "" for held in known]
        for k, reply in zip(missing, fresh, strict=True):
            replies[k] = reply
            if cache is not None and self.read(reply).value is not None:
                cache.put(keys[k], {"reply": reply})
        return replies

    def _fresh(self, asked: Sequence[str], attempt: int) -> list[str]:
        temperature = max(self.temperature, WARMER) if attempt else self.temperature
        if self.url:
            from stages.inference.server.client import Servers
            from stages.inference.server.faults import Refused

            with Servers(_fleet(self.url), patience=PATIENCE) as servers:
                answers = servers.chat(
                    asked,
                    model=self.model,
                    max_tokens=self.max_tokens,
                    temperature=temperature,
                    seed=attempt,
                    jobs=self.jobs,
                )
            return [each.why if isinstance(each, Refused) else each for each in answers]
        sampling = Sampling(temperature=temperature, max_tokens=self.max_tokens)
        return _local(asked, self.model, self._engine(), sampling, attempt)

    def _engine(self) -> Engine:
        backend = "echo" if self.model == "echo" else self.backend
        return Engine(backend=backend, device=self.device, trust_remote_code=self.trust_remote_code or None)


def _mean(votes: Sequence[Verdict]) -> Verdict:
    """The mean of those that were given; null where none was."""
    known = [vote.value for vote in votes if vote.value is not None]
    if not known:
        return votes[0]
    said = ", ".join(f"{value:g}" for value in known)
    return Verdict(sum(known) / len(known), f"the mean of {said}: {votes[0].reason}")


def check_model(reward: str, options: Collection[str], model: str, device: str) -> None:
    """Raises, in the words of the reward's own `options`, what its model's files and its device show."""
    with in_options_of(reward, options):
        check_device(device)
        check_files(model)


OPTIONS = frozenset(each.name for each in fields(Judge))


def _local(asked: Sequence[str], model: str, engine: Engine, sampling: Sampling, seed: int) -> list[str]:
    from stages.inference.complete import Plan, run_plan

    backend = _backend(model, engine)
    plan = Plan(model, load("chat"), sampling, seed, 1, engine, revision(model))
    records = [Record(id=str(k), prompt=text) for k, text in enumerate(asked)]
    try:
        return [made["completion"] for made in run_plan(records, plan, backend)]
    except BadInput as error:  # longer than the model reads: that record's fault alone
        if len(asked) == 1:
            return [error.what]
        return [_local([text], model, engine, sampling, seed)[0] for text in asked]


@lru_cache(maxsize=4)
def _backend(model: str, engine: Engine) -> Any:
    from stages.inference.backends import open_backend

    return open_backend(engine, model)


@lru_cache(maxsize=4)
def _fleet(urls: str) -> Any:
    """The servers at `urls`, with what earlier batches learned of them."""
    from stages.inference.server.fleet import Fleet

    return Fleet(urls.split())


@lru_cache(maxsize=16)
def _question(file: str, reward: str) -> str:
    path = Path(file) if file else Path(__file__).parent / "prompts" / f"{reward}.txt"
    try:
        text = text_file.read(path)
    except R1Error as error:
        raise UsageError(f"--reward {reward}: prompt={path}: {error}") from error
    if "{completion}" not in text:
        raise UsageError(f"--reward {reward}: prompt={path} holds no {{completion}}")
    return text


@lru_cache(maxsize=4)
def _cache(path: str) -> Journal:
    return Journal(path, resume=True)
