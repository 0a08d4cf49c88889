"""What is wrong with the form of a problem or a completion: it breaks off, or shows what is not there.

The quality filter of s1 (arXiv 2501.19393, section 2.2): images that are not there, drawings made of
characters, numbers of questions that come from another list. Beside them, what a chain of thought itself may
have: an end that was cut off, thinking or code that never closes, marks of a wrong encoding.
"""

from __future__ import annotations

import re

from stages.language.thinking import split_thinking

IMAGE = re.compile(
    r"!\[[^\]\n]{0,200}\]\(|<img\b|\\includegraphics\b|\[asy\]|<image>"
    r"|\b(?:figure|diagram|picture|image|graph)s? (?:(?:is |are )?shown |given )?(?:below|above)\b"
    r"|\b(?:shown|given|seen|pictured) in the (?:figure|diagram|picture|image|graph)\b"
    r"|[如见]下?图",
    re.IGNORECASE,
)
NUMBER = re.compile(r"^[ \t]*(\d{1,3})[.)] ", re.MULTILINE)
ENTITY = re.compile(
    r"&(?:amp|lt|gt|quot|nbsp|#\d{1,6});|\N{REPLACEMENT CHARACTER}|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)
DRAWING = frozenset("|-_/\\+*=<>^~.:#─│┌┐└┘├┤┬┴┼")
LINES = 3  # in a row that make a drawing
STROKES = 0.8  # share of their characters that are strokes


def fault_of_prompt(text: str) -> str:
    """Why the problem is not well formed; "" where it is."""
    if found := IMAGE.search(text):
        return f"an image that is not there: {found[0]}"
    if _drawn(text):
        return "a drawing made of characters"
    numbers = [int(number) for number in NUMBER.findall(text)]
    if numbers and numbers != list(range(1, len(numbers) + 1)):
        return f"its numbered lines begin with {', '.join(map(str, numbers[:4]))}"
    return _encoding(text)


def fault_of_completion(text: str, prefill: str, finish: str) -> str:
    """Why the completion is not well formed; "" where it is."""
    if finish == "length":
        return "it was cut off at the limit"
    whole = prefill[max(prefill.rfind("<think>"), 0) :] + text if "<think>" in prefill else text
    opened, closed = whole.count("<think>"), whole.count("</think>")
    if opened != closed or opened > 1:
        return f"{opened} times <think>, {closed} times </think>"
    if not split_thinking(text, prefill).answer.strip():
        return "it has no answer"
    if text.count("```") % 2:
        return "a block of code does not end"
    if text.count("<answer>") != text.count("</answer>"):
        return "an answer tag does not close"
    return _encoding(text)


def _encoding(text: str) -> str:
    found = ENTITY.search(text)
    return f"marks of a wrong encoding: {ascii(found[0])[1:-1]}" if found else ""


def _drawn(text: str) -> bool:
    """Whether some lines in a row are strokes for the most part; one, as in a table, is no drawing."""
    row = 0
    for line in text.splitlines():
        signs = [sign for sign in line if not sign.isspace()]
        strokes = sum(sign in DRAWING for sign in signs)
        row = row + 1 if len(signs) > 1 and strokes >= STROKES * len(signs) else 0
        if row >= LINES:
            return True
    return False
