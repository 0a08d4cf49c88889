"""What the site needs beside mkdocs: tables as GitHub reads them, and a link to the repository."""

from __future__ import annotations

import os
import re
from typing import Any

CODE = re.compile(r"`[^`]+`")


def on_config(config: Any) -> Any:
    """Where REPOSITORY_URL names it, each page links to the repository."""
    if address := os.environ.get("REPOSITORY_URL"):
        config.extra["social"] = [{"icon": "material/source-repository", "link": address, "name": "Source"}]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """In code within a table GitHub takes `\\|` for a bar, and mkdocs for two characters."""
    lines = markdown.split("\n")
    return "\n".join(CODE.sub(_bars, line) if line.startswith("|") else line for line in lines)


def _bars(match: re.Match[str]) -> str:
    return match[0].replace(r"\|", "|")
