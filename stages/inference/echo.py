"""A backend without a model: each completion repeats the end of its prompt, for trying out a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stages.data.options import Sampling
from stages.inference.backend import Completion, Request


class Echo:
    """Deterministic: the tokens are the UTF-8 bytes of the text, each certain."""

    def generate(
        self, requests: Iterable[Request | None], sampling: Sampling
    ) -> Iterator[Completion | None]:
        for request in requests:
            if request is None:
                yield None
                continue
            prompt = request.prompt.text or request.prompt.messages[-1]["content"]
            ids = list(prompt.encode())
            said = prompt.splitlines()[-1].removesuffix(request.prompt.prefill).encode()
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
