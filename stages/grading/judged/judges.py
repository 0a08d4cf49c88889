"""What the rewards share that ask a language model: the model, and its replies, which are kept and counted.

What is asked, and how a verdict is read from a reply, is each reward's own. Where a reply has no verdict the
model is asked again under another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from stages.checkpoints.checkpoint import revision
from stages.checkpoints.contents import check_files
from stages.grading.judged.forms import Turns
from stages.records.jsonl import Journal
from stages.records.record import Record, digest
from stages.records.templates import load
from stages.records.verdict import Spent
from stages.runtime.errors import BadInput, UsageError
from stages.runtime.reward_options import in_options_of
from stages.settings.groups import Engine, Sampling, check_device
from stages.settings.options import Range

if TYPE_CHECKING:
    from stages.inference.server.client import Servers
    from stages.inference.server.protocol import Reply

T = TypeVar("T")
PATIENCE = 60.0  # seconds to go on asking a server that fails
WARMER = 0.7  # temperature of the second and later attempts of a model that is asked greedily


@dataclass(frozen=True)
class Judge:
    """A model that judges, and how it is asked. `price_in` and `price_out` are of a million tokens."""

    model: str = ""
    url: str = ""
    max_tokens: Annotated[int, Range(low=1)] = 512
    temperature: Annotated[float, Range(low=0, high=100)] = 0.0
    retries: Annotated[int, Range(low=0, high=1000)] = 2
    jobs: Annotated[int, Range(low=1, high=1024)] = 16
    backend: Literal["transformers", "vllm"] = "transformers"
    device: str = "auto"
    cache: str = ""
    price_in: Annotated[float, Range(low=0, high=10**9)] = 0.0
    price_out: Annotated[float, Range(low=0, high=10**9)] = 0.0
    trust_remote_code: bool = False

    def ask(
        self,
        questions: Sequence[Turns],
        reward: str,
        read: Callable[[Reply], T | str],
        *,
        first: int = 0,
        likely: bool = False,
    ) -> list[T | str]:
        """What `read` makes of the reply to each question; a text says why there is no verdict.

        Attempts are numbered from `first`, which names their seeds. With `likely` a server is asked for the
        likeliest tokens, too. Raises Unavailable for a model or server that cannot be had.
        """
        attempts = range(first, first + 1 + self.retries)
        with in_options_of(reward, OPTIONS):
            found = self._known(questions, attempts, read, likely)
            for attempt in attempts:
                waiting = [k for k, each in enumerate(found) if isinstance(each, str)]
                if not waiting:
                    break
                asked = [questions[k] for k in waiting]
                for place, verdict in self._verdicts(asked, attempt, read, likely):
                    found[waiting[place]] = verdict
        return found

    def check(self, reward: str) -> None:
        """Raises what options and files say against the judge, with no model loaded and no server asked."""
        if not self.model:
            raise UsageError(f"--reward {reward}: needs model=CHECKPOINT, or model=NAME,url=SERVER")
        if not self.url and self.model != "echo":
            check_model(reward, OPTIONS, self.model, self.device)
        if self.url:
            with in_options_of(reward, OPTIONS), self._servers():
                pass

    def spent(self) -> Spent:
        """What was asked of it since this was last called."""
        account = _account(self.model, self.url, self.price_in, self.price_out)
        return account.closed(self.model, self.price_in, self.price_out)

    def _known(
        self,
        questions: Sequence[Turns],
        attempts: Sequence[int],
        read: Callable[[Reply], T | str],
        likely: bool,
    ) -> list[T | str]:
        """The verdict on each question that the cache has, from any of the attempts; "" where it has none."""
        from stages.inference.server.protocol import Reply

        found: list[T | str] = [""] * len(questions)
        cache = self._cache()
        if cache is None or not len(cache):
            return found
        for attempt in attempts:
            waiting = [k for k, each in enumerate(found) if isinstance(each, str)]
            for k, key in zip(
                waiting, self._keys([questions[k] for k in waiting], attempt, likely), strict=True
            ):
                held = cache.get(key)
                if held is not None:
                    found[k] = read(Reply.of(held))
        account = _account(self.model, self.url, self.price_in, self.price_out)
        account.kept += sum(not isinstance(each, str) for each in found)
        return found

    def _verdicts(
        self, asked: Sequence[Turns], attempt: int, read: Callable[[Reply], T | str], likely: bool
    ) -> Iterator[tuple[int, T | str]]:
        """The verdict on each question by its place, as replies come.

        Each reply that has a verdict is kept at once, so what was paid for outlives a server that dies.
        """
        account = _account(self.model, self.url, self.price_in, self.price_out)
        cache = self._cache()
        keys = self._keys(asked, attempt, likely)
        alike: dict[str, list[int]] = {}  # with a cache the places of one question, which is asked once
        for place, key in enumerate(keys):
            alike.setdefault(key if cache is not None else str(place), []).append(place)
        groups = list(alike.values())
        for number, reply in self._fresh([asked[group[0]] for group in groups], attempt, likely):
            verdict: T | str = reply if isinstance(reply, str) else read(reply)
            if not isinstance(reply, str):
                account.add(reply)
                if cache is not None and not isinstance(verdict, str):
                    cache.put(keys[groups[number][0]], reply.record())
                    account.kept += len(groups[number]) - 1
            for place in groups[number]:
                yield place, verdict

    def _cache(self) -> Journal | None:
        return _cache(self.cache) if self.cache else None

    def _keys(self, asked: Sequence[Turns], attempt: int, likely: bool) -> list[str]:
        """What each reply hangs on."""
        version = "" if self.url else revision(self.model)
        more = ("likely",) if likely else ()
        about = (self.model, self.url, version, self.max_tokens, self.temperature, attempt, *more)
        return [digest(turns[0][1] if _plain(turns) else turns, about) for turns in asked]

    def _fresh(self, asked: Sequence[Turns], attempt: int, likely: bool) -> Iterator[tuple[int, Reply | str]]:
        """The model's replies by their places, in the order they come; a text says why there is none."""
        if not asked:
            return
        from stages.inference.server.protocol import Reply

        temperature = max(self.temperature, WARMER) if attempt else self.temperature
        if not self.url:
            sampling = Sampling(temperature=temperature, max_tokens=self.max_tokens)
            for number, text in enumerate(_local(asked, self.model, self._engine(), sampling, attempt)):
                yield number, Reply(text)
            return
        from stages.inference.server.faults import Refused

        refused: list[int] = []
        with self._servers() as servers:
            for number, reply in servers.chat(
                asked,
                model=self.model,
                max_tokens=self.max_tokens,
                temperature=temperature,
                seed=attempt,
                jobs=self.jobs,
                likely=likely,
            ):
                if likely and isinstance(reply, Refused) and "logprob" in reply.why:
                    refused.append(number)
                else:
                    yield number, reply.why if isinstance(reply, Refused) else reply
        for place, reply_or_why in self._fresh([asked[number] for number in refused], attempt, False):
            yield refused[place], reply_or_why

    def _servers(self) -> Servers:
        from stages.inference.server.client import Servers

        return Servers(_fleet(self.url), patience=PATIENCE)

    def _engine(self) -> Engine:
        backend = "echo" if self.model == "echo" else self.backend
        return Engine(backend=backend, device=self.device, trust_remote_code=self.trust_remote_code or None)


@dataclass
class Account:
    """Replies of a model: asked for, taken from a cache, and their tokens as the server counts them."""

    asked: int = 0
    kept: int = 0
    uncounted: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, reply: Reply) -> None:
        """Counts a reply that was asked for."""
        self.asked += 1
        if reply.tokens_in is None or reply.tokens_out is None:
            self.uncounted += 1
        else:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out

    def closed(self, model: str, price_in: float, price_out: float) -> Spent:
        """The counts, with what they cost where there is a price. Begins anew."""
        cost = None
        if price_in or price_out:
            cost = (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6
        found = Spent(model, self.asked, self.kept, self.tokens_in, self.tokens_out, self.uncounted, cost)
        self.asked = self.kept = self.uncounted = self.tokens_in = self.tokens_out = 0
        return found


def check_model(reward: str, options: Collection[str], model: str, device: str) -> None:
    """Raises, in the words of the reward's own `options`, what its model's files and its device show."""
    with in_options_of(reward, options):
        check_device(device)
        check_files(model)


OPTIONS = frozenset(each.name for each in fields(Judge))


def _plain(turns: Turns) -> bool:
    return len(turns) == 1 and turns[0][0] == "user"


def _local(asked: Sequence[Turns], model: str, engine: Engine, sampling: Sampling, seed: int) -> list[str]:
    from stages.inference.complete import Plan, run_plan

    backend = _backend(model, engine)
    plan = Plan(model, load("chat"), sampling, seed, 1, engine, revision(model))
    records = [
        Record(
            id=str(k),
            prompt=turns[0][1] if _plain(turns) else [{"role": r, "content": c} for r, c in turns],
        )
        for k, turns in enumerate(asked)
    ]
    try:
        return [made["completion"] for made in run_plan(records, plan, backend)]
    except BadInput as error:  # longer than the model reads: that record's fault alone
        if len(asked) == 1:
            return [error.what]
        return [_local([turns], model, engine, sampling, seed)[0] for turns in asked]


@lru_cache(maxsize=4)
def _backend(model: str, engine: Engine) -> Any:
    from stages.inference.backends import open_backend

    return open_backend(engine, model)


@lru_cache(maxsize=4)
def _fleet(urls: str) -> Any:
    """The servers at `urls`, with what earlier batches learned of them."""
    from stages.inference.server.fleet import Fleet

    return Fleet(urls.split())


@lru_cache(maxsize=64)
def _account(model: str, url: str, price_in: float, price_out: float) -> Account:
    """What one judge is asked, by whichever rewards."""
    return Account()


@lru_cache(maxsize=4)
def _cache(path: str) -> Journal:
    return Journal(path, resume=True)
