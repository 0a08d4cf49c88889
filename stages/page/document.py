"""The page as one HTML file: what it shows as JSON that no browser runs, and our own scripts and styles.

The policy in it (Content-Security-Policy) lets a browser run the scripts and styles whose digests it names,
and nothing else: no other script, and no request to anywhere. Texts of records stand in `<script
type="application/json">`, where `<`, `>` and `&` are escaped, so that none of them can end it; the scripts
put them into the page as text alone.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

import orjson

SCRIPTS = (
    "elements.js", "runs.js", "charts.js", "plots.js", "evaluations.js", "heat.js", "trace.js", "traces.js",
    "funnel.js", "cost.js", "start.js",
)  # fmt: skip
PLOTTING = ("uplot/uPlot.iife.min.js", "uplot/uPlot.min.css", "uplot/LICENSE")
BANNER = re.compile(r"\A/\*!.*?\*/\s*", re.DOTALL)
# What could end a script element or begin another, and what an editor would show in another order or not at
# all; inside a JSON string \uXXXX says the same.
UNSAFE = re.compile("[<>&\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def document(overview: dict[str, Any], index: dict[str, Any], texts: Iterable[Any]) -> Iterator[bytes]:
    """The file, piece by piece: what is drawn first stands first, the texts last."""
    library, library_style, licence = map(_asset, PLOTTING)
    scripts = [_licensed(library, licence), *map(_asset, SCRIPTS)]
    styles = [_licensed(library_style, licence), _asset("page.css")]
    head, mark, rest = _asset("page.html").partition("<!-- styles -->")
    body, second_mark, end = rest.partition("<!-- data and scripts -->")
    if not (mark and second_mark):
        raise AssertionError("page.html lacks a mark")
    yield head.replace("POLICY", _policy(scripts, styles)).encode()
    yield from (f"<style>{style}</style>\n".encode() for style in styles)
    yield body.encode()
    yield from _data("overview", overview)
    yield from (f"<script>{script}</script>\n".encode() for script in scripts)
    yield from _data("traces", index)
    for chunk in texts:
        yield from _data("texts", chunk)
    yield end.encode()


def encoded(value: Any) -> bytes:
    """JSON that may stand in a script element, in ASCII where that matters."""
    text = orjson.dumps(value).decode()
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def _data(kind: str, value: Any) -> Iterator[bytes]:
    yield f'<script type="application/json" class="{kind}">'.encode()
    yield encoded(value)
    yield b"</script>\n"


def _policy(scripts: list[str], styles: list[str]) -> str:
    digests = [" ".join(map(_digest, each)) for each in (scripts, styles)]
    return (
        f"default-src 'none'; script-src {digests[0]}; style-src {digests[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _licensed(library: str, licence: str) -> str:
    """The library's code under its licence, in place of a line that names a host."""
    return f"/* uPlot, {licence.strip()} */\n{BANNER.sub('', library).strip()}\n"


def _asset(name: str) -> str:
    return files("stages.page").joinpath("assets", name).read_text("utf-8")
