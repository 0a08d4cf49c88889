"""Share of the words of the thinking that are in the target language, 0 to 1.

The paper's language consistency reward. The target is `lang`, else the record's own `lang`, else
the language of its prompt. Digits, formulas and code are no words; a completion without any is null,
or `empty` where that is given.
"""

from __future__ import annotations

from typing import Any

from stages.language.identification import is_language, language_share, target_language
from stages.language.tables import remedy
from stages.language.thinking import split_thinking
from stages.records.record import need
from stages.records.verdict import Example, Value, Verdict
from stages.runtime.errors import UsageError

EXAMPLES: list[Example] = [
    ({"completion": "<think>We add three and four</think> 7", "lang": "en"}, {}, 1.0),
    ({"completion": "we add 三加四</think> 7", "prefill": "<think>", "lang": "en"}, {}, 0.4),
    ({"completion": "<think>3+4=7</think> 7", "lang": "en"}, {}, None),
    ({"completion": "<think>3+4=7</think> 7", "lang": "en"}, {"empty": 1.0}, 1.0),
    ({"completion": "我们先算三加四", "prompt": "三加四等于多少？"}, {}, 1.0),
]


def language(record: dict[str, Any], *, lang: str = "auto", empty: Value | None = None) -> Verdict:
    """Null where the target language is unknown, or no word counts. No thinking: the whole text."""
    completion = need(record, "completion", str, "language judges completions: run r1 generate first")
    if lang != "auto" and not is_language(lang):
        raise UsageError(f"--reward language:lang={lang}: no such language; {remedy()}")
    target = target_language(record) if lang == "auto" else lang
    if target is None:
        return Verdict(None, "no target language: give lang=en, or a record with lang")
    parts = split_thinking(completion, str(record.get("prefill") or ""))
    text = parts.answer if parts.thinking is None else parts.thinking
    share = language_share(text, target)
    if share is None:
        return Verdict(empty, "no words to judge")
    return Verdict(round(share, 6), f"{share:.1%} of the words are {target}")


def probes(problem: dict[str, Any], **_: Any) -> list[tuple[str, float]]:
    """Words of any language: null where the target is unknown."""
    return [("We add three and four.", 0.0)]
