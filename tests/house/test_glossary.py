"""The glossary's words of other libraries are those that the installed versions use. Read as text: importing
would take seconds.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"
# Where a library says what its options and figures are called.
SOURCES = {
    "TRL": ("trl", ["trainer/*.py"]),
    "vLLM": ("vllm", ["sampling_params.py", "outputs.py", "entrypoints/openai/chat_completion/protocol.py"]),
    "transformers": ("transformers", ["trainer*.py", "tokenization_utils_base.py"]),
    "DeepSpeed": ("deepspeed", ["runtime/zero/partition_parameters.py"]),
}
WORDS = re.compile(rf"((?:(?:{'|'.join(SOURCES)})(?: and )?)+): ((?:`[^`]+`(?:, | and )?)+)")


def named(library: str) -> list[str]:
    """What the glossary says that `library` calls things."""
    text = " ".join(GLOSSARY.read_text().split())
    rows = [words for libraries, words in WORDS.findall(text) if library in libraries]
    return [word for row in rows for word in re.findall("`([^`]+)`", row)]


@pytest.mark.parametrize("library", SOURCES)
def test_a_word_of_another_library_is_its_word(library: str) -> None:
    package, places = SOURCES[library]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed here")
    folder = Path(spec.origin).parent
    text = "\n".join(path.read_text() for place in places for path in sorted(folder.glob(place)))
    words = named(library)
    assert words
    assert [word for word in words if not re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", text)] == []
