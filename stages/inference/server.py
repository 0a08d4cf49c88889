"""Chat answers from a server that speaks the OpenAI protocol: `vllm serve`, llama.cpp, a company's.

    server = Server("http://localhost:8000/v1", "Qwen/Qwen3-8B")
    answers = server.chat(["What is 3+4?"], temperature=0.0, max_tokens=64, seed=0)

OPENAI_API_KEY is sent as the bearer token where it is set.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from stages.data.errors import Unavailable

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # HTTP: the same request may do better later
LONGEST = 30.0  # seconds between two attempts


@dataclass(frozen=True)
class Refused:
    """Why the server answered this request with no text; the next one may do better."""

    why: str


class Server:
    """`model` behind `url`, which ends in /v1. `jobs` requests at once, each tried `attempts` times.

    `timeout` is in seconds, for one attempt.
    """

    def __init__(
        self, url: str, model: str, *, jobs: int = 16, attempts: int = 6, timeout: float = 600.0
    ) -> None:
        self.url, self.model = url.rstrip("/"), model
        self.jobs, self.attempts, self.timeout = jobs, attempts, timeout

    def chat(
        self, texts: Sequence[str], *, temperature: float, max_tokens: int, seed: int
    ) -> list[str | Refused]:
        """An answer to each of `texts`, each a message of the user, in their order.

        Raises Unavailable where the server cannot be reached, or refuses everything (401, 403, 404).
        """
        bodies = [
            {
                "model": self.model,
                "messages": [{"role": "user", "content": text}],
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed,
            }
            for text in texts
        ]
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = [pool.submit(self._ask, body) for body in bodies]
            try:
                return [each.result() for each in waiting]
            except BaseException:
                for each in waiting:
                    each.cancel()
                raise

    def _ask(self, body: dict[str, Any]) -> str | Refused:
        why = ""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(min(LONGEST, 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0))
            try:
                return _text_of(self._post(body))
            except urllib.error.HTTPError as error:
                why = f"{error.code} {_said(error)}"
                if error.code in (401, 403, 404):
                    raise Unavailable(
                        f"{self.url} refuses model {self.model}: {why}; "
                        "see the address, the model's name and OPENAI_API_KEY"
                    ) from error
                if error.code not in PASSING:
                    return Refused(f"the server refused it: {why}")
            except (OSError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", "") or error) or type(error).__name__
            except (ValueError, KeyError, IndexError, TypeError):
                why = "its answer is no chat completion"
        raise Unavailable(f"{self.url}: {why}, {self.attempts} times; is the server up?")

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        try:
            request = urllib.request.Request(
                f"{self.url}/chat/completions", json.dumps(body).encode(), headers
            )
        except ValueError as error:
            raise Unavailable(f"{self.url}: no address; write http://HOST:PORT/v1") from error
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
            return json.load(response)


def _text_of(reply: Any) -> str | Refused:
    choice = reply["choices"][0]
    text = choice["message"]["content"]
    return text if isinstance(text, str) else Refused(f"no text: {choice.get('finish_reason')}")


def _said(error: urllib.error.HTTPError) -> str:
    """The first words of the server's reason."""
    try:
        said = json.loads(error.read(10_000))
        said = said.get("error", said)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, OSError, AttributeError):
        said = error.reason
    return " ".join(str(said).split())[:200]
