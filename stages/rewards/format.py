"""1 where the completion has the form that its template asks for, 0 where it has not.

`think-answer`: `<think>…</think> <answer>…</answer>` and nothing else but white space. `think`, the
form of the released R1: one thinking block, then the answer. `auto` takes the style that the
template asked for (`meta.generate`), else `think-answer` where an answer tag is in the text, else
`think`. What the template opened (`prefill`) counts as written. What cannot be seen is white space.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from stages.language.letters import blank
from stages.records.record import need, said_by
from stages.records.verdict import Example, Verdict

EXAMPLES: list[Example] = [
    ({"completion": "<think>\n3+4=7\n</think>\n<answer>7</answer>"}, {}, 1.0),
    ({"completion": "3+4=7\n</think>\n\n7", "prefill": "<think>\n"}, {}, 1.0),
    ({"completion": "<think>\n3+4=7\n</think>\n\n7", "prefill": "<think>\n"}, {}, 0.0),
    ({"completion": "<think>3</think> <answer>7</answer> done"}, {}, 0.0),
    ({"completion": "<think>3</think> 7"}, {"style": "think-answer"}, 0.0),
    ({"completion": "<think></think><answer>7</answer>"}, {}, 0.0),
    ({"completion": "<think>\u200b\u2800</think><answer>7</answer>"}, {}, 0.0),
    ({"completion": "7"}, {}, 0.0),
]

TAG = re.compile(r"</?(?:think|answer)>")
STYLES = {
    "think-answer": ["<think>", "</think>", "<answer>", "</answer>"],
    "think": ["<think>", "</think>"],
}
# For records whose template is named but not its style.
STYLE_OF_TEMPLATE = {"r1-zero": "think-answer", "r1": "think"}


def format(record: dict[str, Any], *, style: Literal["auto", "think-answer", "think"] = "auto") -> Verdict:
    """Never null."""
    need(record, "completion", str, "format judges completions: run r1 generate first")
    text = written(record)
    wanted = style_of(record, text) if style == "auto" else style
    tags = TAG.findall(text)
    if tags != STYLES[wanted]:
        return Verdict(0.0, f"{wanted}: {_wrong(tags, STYLES[wanted])}")
    before, thinking, *rest = (not blank(part) for part in TAG.split(text))
    if before:
        return Verdict(0.0, f"{wanted}: text before <think>")
    if not thinking:
        return Verdict(0.0, f"{wanted}: the thinking is empty")
    if wanted == "think":
        if not rest[0]:
            return Verdict(0.0, "think: no answer after </think>")
    else:
        between, answer, after = rest
        if between or after:
            return Verdict(0.0, "think-answer: text outside the two blocks")
        if not answer:
            return Verdict(0.0, "think-answer: the answer is empty")
    return Verdict(1.0, f"{wanted}: well formed")


def written(record: dict[str, Any]) -> str:
    """The completion with the tags that its template opened."""
    prefill = str(record.get("prefill") or "")
    # Only the tags that the template opened belong to the form, not other words before them.
    opened = prefill[prefill.find("<") :] if TAG.search(prefill) else ""
    return opened + str(record["completion"])


def style_of(record: dict[str, Any], text: str) -> str:
    """The form that the record's template asks for, else the one its text is nearer to."""
    origin = said_by(record, "generate")
    style = origin.get("style") or STYLE_OF_TEMPLATE.get(str(origin.get("template")))
    if style in STYLES:
        return str(style)
    return "think-answer" if "<answer" in text else "think"


def _wrong(tags: list[str], wanted: list[str]) -> str:
    for tag in wanted:
        count = tags.count(tag)
        if count != 1:
            return f"{tag} is missing" if not count else f"{tag} stands {count} times"
    extra = [tag for tag in tags if tag not in wanted]
    return f"{extra[0]} does not belong" if extra else "the tags are out of order"


def probes(problem: dict[str, Any], *, style: str = "auto") -> list[tuple[str, float]]:
    """What goes on from the prefill in the form that the template asks for, else the `style`: 1."""
    form = style_of(problem, "<answer" if style == "think-answer" else "")
    after = {"<think>": "3+4=7", "</think>": "\n", "<answer>": "7", "</answer>": ""}
    if form == "think":
        after["</think>"] = "\n7"
    opened = TAG.findall(written({**problem, "completion": ""}))
    rest = "".join(tag + after[tag] for tag in STYLES[form][len(opened) :])
    return [((after[opened[-1]] if opened else "") + rest, 1.0)]
