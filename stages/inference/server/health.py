"""Whether a server is up, slow, gone, or up with a dead engine.

vLLM's server outlives its engine where it is told to, and for a moment in any case: it answers each request
with an EngineDeadError, and /health with 503.
"""

from __future__ import annotations

import http.client
import re
from typing import Literal, NamedTuple

from stages.inference.server.connection import Connections
from stages.inference.server.faults import BROKEN
from stages.records.jsonl import decode

MISSING = {401, 403, 404, 405, 501}  # HTTP: there is no such page for us
ANSWER = 20.0  # seconds for an answer to /health, which no work delays
DEAD = re.compile(
    r"EngineDeadError|EngineCore encountered an issue|engine (is|has) (dead|died)", re.IGNORECASE
)


class Health(NamedTuple):
    """How a server is, and what shows it. A `mute` one is slow, or hangs, or its line is broken; of one
    `without` such a page nothing is known but that it is there. An `unclear` answer may be a proxy's.
    """

    kind: Literal["up", "without", "unclear", "dead", "refused", "mute"]
    why: str = ""


def look(root: str) -> Health:
    """How the server at `root`, an address without /v1, is now."""
    line = Connections(root, timeout=ANSWER)
    try:
        status, _, _ = line.ask("GET", "/health", None, {})
        if status == 503 and _is_vllm(line):
            return Health("dead", "its engine is dead, as /health says")
        if status == 200:
            return Health("up")
        return Health("without" if status in MISSING else "unclear")
    except ConnectionRefusedError as error:
        return Health("refused", str(error))
    except (OSError, http.client.HTTPException) as error:
        return Health("mute", f"no answer to /health: {error or type(error).__name__}")
    finally:
        line.close()


def says_dead(status: int, said: str) -> bool:
    """Whether an answer says that the engine is dead."""
    return status in BROKEN and DEAD.search(said) is not None


def _is_vllm(line: Connections) -> bool:
    """Whether it is vLLM that answers, and not a proxy, or a server that still loads its model."""
    status, _, data = line.ask("GET", "/version", None, {})
    try:
        return status == 200 and "version" in decode(data)
    except (ValueError, TypeError):
        return False
