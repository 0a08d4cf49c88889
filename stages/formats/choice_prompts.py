"""A question and its options as a prompt, in the words that each benchmark is asked in.

SIMPLE_EVALS is of openai/simple-evals, ZERO_EVAL of WildEval/ZeroEval, STEPWISE of TIGER-AI-Lab/MMLU-Pro made
zero-shot: those that the DeepSeek-R1 paper (arXiv 2501.12948) names for its table. C_EVAL is C-Eval's own
line before the question, made zero-shot likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stages.formats.multiple_choice import LETTERS
from stages.records.record import Record, bad_record

WHOLE = "take the published file"


class Form(NamedTuple):
    """`text` has places for {question}, {options}, {letters} and {subject}; `option` is one line of them."""

    text: str
    option: str

    def prompt(self, question: str, options: Sequence[str], subject: str = "") -> str:
        """The prompt, with a letter for each option."""
        letters = LETTERS[: len(options)]
        lines = [
            self.option.format(letter=letter, text=text.strip())
            for letter, text in zip(letters, options, strict=True)
        ]
        given = {"question": question.strip(), "options": "\n".join(lines)}
        return self.text.format(**given, letters=letters, subject=subject)


SIMPLE_EVALS = Form(
    "Answer the following multiple choice question. The last line of your response should be of the "
    "following format: 'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. Think step "
    "by step before answering.\n\n{question}\n\n{options}",
    "{letter}) {text}",
)
ZERO_EVAL = Form(
    "## Question: \n\n{question}\n\n## Choices:\n\n{options}\n\n## Instruction \n\nPlease answer this "
    "question by first reasoning and then selecting the correct choice. \nPresent your reasoning and "
    "solution in the following json format. \nPlease show your choice in the `answer` field with "
    'only the choice letter, e.g.,`"answer": "C"`.\n\n```json\n{{'
    '\n    "reasoning": "___",\n    "answer": "___"\n}}\n```',
    "- ({letter}) {text}",
)
STEPWISE = Form(
    "The following are multiple choice questions (with answers) about {subject}. Think step by step and then "
    'output the answer in the format of "The answer is (X)" at the end.\n\nQuestion:\n{question}\nOptions:\n'
    "{options}\nAnswer: Let's think step by step.",
    "{letter}. {text}",
)
C_EVAL = Form(
    "以下是中国关于{subject}考试的单项选择题，请选出其中的正确答案。\n\n{question}\n{options}\n"
    "让我们一步一步思考。\n答案：",
    "{letter}. {text}",
)


def posed(
    row: Record,
    name: str,
    prompt: Form,
    *,
    question: str,
    options: Any,
    right: Any,
    subject: str = "",
    **more: Any,
) -> Record:
    """The problem `name` of a row, with `choices` and the letter of the right one; `more` are other fields.

    `right` is a place from 0. Raises BadInput for options that are not 2 to 26 texts, and for no such place.
    """
    if not isinstance(options, list) or not all(isinstance(text, str) for text in options):
        raise bad_record(row, "its options are no list of texts", WHOLE)
    if not 1 < len(options) <= len(LETTERS):
        raise bad_record(row, f"it has {len(options)} options, not 2 to {len(LETTERS)}", WHOLE)
    if isinstance(right, bool) or right not in range(len(options)):
        what = f"its answer is {right!r}, no place from 0 among {len(options)} options"
        raise bad_record(row, what, WHOLE)
    fields = {
        "prompt": prompt.prompt(question, options, subject),
        "answer": LETTERS[right],
        "choices": options,
    }
    about = {"subject": subject} if subject else {}
    return Record({"id": name, **fields, **about, **more}, place=row.place)


def letter_place(letter: Any) -> int | None:
    """The place from 0 of a capital letter, or None."""
    return (
        LETTERS.index(letter) if isinstance(letter, str) and len(letter) == 1 and letter in LETTERS else None
    )
