"""A backend without a model: each completion repeats the end of its prompt, for trying out a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stages.inference.interface import Completion, Request
from stages.records.turns import words_of
from stages.settings.groups import Sampling


class Echo:
    """Deterministic: the tokens are the UTF-8 bytes of the text, each certain."""

    tokenizer = None
    revision = ""

    def generate(self, requests: Iterable[Request | None], sampling: Sampling) -> Iterator[Completion | None]:
        for request in requests:
            if request is None:
                yield None
                continue
            prompt = request.prompt.text
            if prompt is None:
                prompt = words_of(request.prompt.messages[-1])
            ids = list(prompt.encode())
            said = (prompt.splitlines() or [""])[-1].removesuffix(request.prompt.prefill).encode()
            kept = said[: sampling.max_tokens]
            for sample in request.samples:
                yield Completion(
                    request.key,
                    sample,
                    kept.decode(errors="ignore"),
                    "stop" if kept == said else "length",
                    request.prompt.prefill,
                    ids,
                    list(kept),
                    [0.0] * len(kept),
                )

    def close(self) -> None:
        """Nothing is held."""
