"""What the rewards share that ask a language model: the question, the model, and how its verdict is read.

The question is a file of text with `{prompt}`, `{completion}` and, where it is wanted, `{answer}`. The verdict is a
line of its own at the end of the model's reply, `Verdict: N`; anything else is no verdict, and the
model is asked again under another seed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from stages.data.checkpoint import revision
from stages.data.errors import BadInput, UsageError
from stages.data.jsonl import Journal
from stages.data.options import Engine, Sampling
from stages.data.record import Record, digest, need
from stages.data.templates import load, messages_of
from stages.data.text import split_thinking
from stages.rewards.verdict import Verdict

FIELD = re.compile(r"\{(prompt|answer|completion)\}")
VERDICT = re.compile(r"Verdict: (-?[0-9]+(?:\.[0-9]+)?)")
PATIENCE = 60.0  # seconds to go on asking a server that fails
WARMER = 0.7  # temperature of the second and later attempts of a model that is asked greedily


@dataclass(frozen=True)
class Judge:
    """A model, what it is asked, and how its verdict counts: `low` becomes 0 and `high` 1."""

    question: str  # a file; "" for the reward's own
    own: str  # name of the reward
    model: str
    url: str
    part: Literal["summary", "whole"]
    low: float
    high: float
    max_tokens: int
    temperature: float
    retries: int
    jobs: int
    backend: Literal["transformers", "vllm"]
    device: str
    cache: str

    def judge(self, batch: Sequence[Record]) -> list[Verdict]:
        """A verdict for each record: null where there is no reference, or no verdict was given.

        Raises UsageError for options that make no sense, Unavailable for a model that cannot be had,
        BadInput for a record without a completion.
        """
        if not self.model:
            raise UsageError(
                f"--reward {self.own}: needs model=CHECKPOINT, or model=NAME,url=SERVER"
            )
        if self.high <= self.low or self.retries < 0:
            raise UsageError(
                f"--reward {self.own}: high must be above low, and retries not below 0"
            )
        questions = [self._ask(record) for record in batch]
        verdicts = {k: each for k, each in enumerate(questions) if isinstance(each, Verdict)}
        why = dict.fromkeys(range(len(batch)), "")
        for attempt in range(1 + self.retries):
            open_ = [k for k in range(len(batch)) if k not in verdicts]
            if not open_:
                break
            asked = [str(questions[k]) for k in open_]
            for k, reply in zip(open_, self._replies(asked, attempt), strict=True):
                verdict = self.read(reply)
                if verdict.value is not None:
                    verdicts[k] = verdict
                else:
                    why[k] = verdict.reason
        return [verdicts.get(k, Verdict(None, why[k])) for k in range(len(batch))]

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

    def _ask(self, record: Record) -> str | Verdict:
        """The question about one record, or the verdict where there is nothing to ask."""
        text = _question(self.question, self.own)
        remedy = f"{self.own} judges completions: run r1 generate first"
        completion: str = need(record, "completion", str, remedy)
        if self.part == "summary":
            completion = split_thinking(completion, str(record.get("prefill") or "")).answer
        fields = {"completion": completion.strip()}
        if "{prompt}" in text:
            fields["prompt"] = "\n".join(turn["content"] for turn in messages_of(record))
        if "{answer}" in text:
            answer = record.get("answer")
            if answer is None or answer == "":
                return Verdict(None, f"no reference: {self.own} compares with `answer`")
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
            from stages.inference.server import Refused, Server

            with Server(self.url, patience=PATIENCE) as server:
                answers = server.chat(
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
        return Engine(backend="echo" if self.model == "echo" else self.backend, device=self.device)


def _local(
    asked: Sequence[str], model: str, engine: Engine, sampling: Sampling, seed: int
) -> list[str]:
    from stages.inference.complete import Plan, run_plan

    plan = Plan(model, revision(model), load("chat"), sampling, seed, 1, engine)
    records = [Record(id=str(k), prompt=text) for k, text in enumerate(asked)]
    try:
        return [made["completion"] for made in run_plan(records, plan, _backend(model, engine))]
    except BadInput as error:  # longer than the model reads: that record's fault alone
        if len(asked) == 1:
            return [error.what]
        return [_local([text], model, engine, sampling, seed)[0] for text in asked]


@lru_cache(maxsize=4)
def _backend(model: str, engine: Engine) -> Any:
    from stages.inference.backend import open_backend

    return open_backend(engine, model)


@lru_cache(maxsize=16)
def _question(file: str, own: str) -> str:
    path = Path(file) if file else Path(__file__).parent / "prompts" / f"{own}.txt"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--reward {own}: cannot read prompt={path}: {error}") from error
    if "{completion}" not in text:
        raise UsageError(f"--reward {own}: prompt={path} holds no {{completion}}")
    return text


@lru_cache(maxsize=4)
def _cache(path: str) -> Journal:
    return Journal(path, resume=True)
