"""Ask a model one question, and read its thinking and its answer.

Several models answer under their names, one after the other. Without a question each line of stdin is one: a
terminal's, as it is typed. The template is the one that the checkpoint was trained with, else its chat
template, else none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from stages.checkpoints.contents import check_files
from stages.checkpoints.template import Choice, choose_template
from stages.language.thinking import split_thinking
from stages.records import templates
from stages.records.record import Record
from stages.runtime import shown, stdin
from stages.runtime.errors import BadInput
from stages.runtime.report import SILENT, Report
from stages.settings.groups import Adapter, Endpoint, Engine, Sampling
from stages.settings.options import Alias, Doc, Flag
from stages.settings.training import GeneratedSamples, Seed

if TYPE_CHECKING:
    from stages.inference.complete import Plan

EXAMPLES = (
    "r1 ask -m ckpt/sft '12+30=?'",
    "r1 ask -m ckpt/base -m ckpt/sft -n 2 --temperature 1 < questions.txt",
)

Answers = Callable[[Record], Iterator[Record]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who is asked, and how the answers are sampled."""

    model: Annotated[
        tuple[str, ...],
        Doc("Checkpoint directory, hub name, or what the server calls it. Repeatable."),
        Flag("-m", "--model"),
        Alias("--model-name-or-path"),
    ]
    samples: Annotated[GeneratedSamples, Doc("Answers to each question.")] = 1
    adapter: Adapter = None
    template: Annotated[
        str | None,
        Doc(
            "r1-zero, r1, chat, none or a file. By default the one the checkpoint was trained with, else "
            "chat if it has a chat template, else none."
        ),
        Flag("-t", "--template"),
    ] = None
    prefill: Annotated[str | None, Doc("Begin each answer with this text instead of the template's.")] = None
    seed: Seed = 0
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95)
    engine: Engine = Engine()
    endpoint: Endpoint = Endpoint()


def run(
    question: Annotated[str | None, Doc("What is asked; without it, each line of stdin.")] = None,
    *,
    settings: Settings,
    report: Report = SILENT,
) -> Iterator[str]:
    """Yields the text of each question and of each answer to it.

    Raises Unavailable for a model that is not there, UsageError for an unknown template, BadInput for a
    question that is too long or, on stdin, not UTF-8.
    """
    choices = [_chosen(model, settings, report) for model in settings.model]
    told = _Told()
    if question is not None:
        asked = Record({"id": "question", "prompt": question}, place="the question")
        yield _paragraph("Prompt", question)
        for model, choice in zip(settings.model, choices, strict=True):  # one after the other in memory
            with _opened(model, choice, settings, report) as answers:
                yield from told.of(asked, [(model, answers)], settings)
    else:
        with contextlib.ExitStack() as stack:
            every = [
                (model, stack.enter_context(_opened(model, choice, settings, report)))
                for model, choice in zip(settings.model, choices, strict=True)
            ]
            for asked in _lines(report):
                if not stdin.is_terminal():  # where it stands as it was typed
                    yield _paragraph("Prompt", asked["prompt"])
                yield from told.of(asked, every, settings)
    many = "" if told.answers == 1 else "s"
    report.summary(f"{told.answers} answer{many}, {told.tokens} tokens")


def _chosen(model: str, settings: Settings, report: Report) -> Choice:
    """The template for `model`, which is looked at before any model is loaded; says which, and why."""
    from stages.inference.complete import check_plan

    if settings.engine.backend not in ("openai", "echo"):
        check_files(model)
    if settings.template is None:
        choice = choose_template(model, "none", settings.adapter)
        report.note(f"{model}: template {choice.name}, {choice.why}")
    else:
        choice = Choice(settings.template, None, "")
    if settings.prefill is not None:
        choice = choice._replace(prefill=settings.prefill)
    check_plan(_plan(model, choice, settings), settings.endpoint, settings.adapter)
    return choice


def _plan(model: str, choice: Choice, settings: Settings) -> Plan:
    """How `model` is asked."""
    from stages.inference.complete import Plan

    template = templates.load(choice.name, prefill=choice.prefill)
    return Plan(model, template, settings.sampling, settings.seed, settings.samples, settings.engine)


@contextlib.contextmanager
def _opened(model: str, choice: Choice, settings: Settings, report: Report) -> Iterator[Answers]:
    """The model, loaded: a function from a question to the records of its answers."""
    from stages.inference.backends import open_backend, resolved
    from stages.inference.complete import run_plan

    engine = resolved(settings.engine)
    plan = replace(_plan(model, choice, settings), engine=engine)
    with contextlib.closing(
        open_backend(engine, model, endpoint=settings.endpoint, adapter=settings.adapter, report=report)
    ) as backend:
        yield lambda asked: run_plan([asked], plan, backend)


def _lines(report: Report) -> Iterator[Record]:
    """A question for each line of stdin that is not blank."""
    if stdin.is_terminal():
        report.note("type a question and Return; Ctrl-D ends")
    with stdin.opened() as stream:
        for number, line in enumerate(iter(stream.readline, b""), 1):
            place = f"stdin:{number}"
            try:
                text = line.decode().strip()
            except UnicodeDecodeError as error:
                raise BadInput(
                    f"not UTF-8 ({error.reason})", place=place, remedy="save it as UTF-8"
                ) from None
            if text:
                yield Record({"id": f"question-{number}", "prompt": text}, place=place)


class _Told:
    """Answers as text, with a count of what was told."""

    def __init__(self) -> None:
        self.answers = self.tokens = 0

    def of(self, asked: Record, models: Iterable[tuple[str, Answers]], settings: Settings) -> Iterator[str]:
        """What each of the `models` answers, as it comes."""
        several = len(settings.model) > 1 or settings.samples > 1
        for model, answers in models:
            for record in answers(asked):
                self.answers += 1
                self.tokens += record["meta"]["generate"]["tokens"]
                number = f" ({record['sample'] + 1} of {settings.samples})" if settings.samples > 1 else ""
                yield (f"== {shown.line(model)}{number}\n\n" if several else "") + _text(record)


def _text(record: Record) -> str:
    """What a completion says before its thinking, the thinking, and the answer."""
    said, prefill = record["completion"], record.get("prefill") or ""
    thinking, answer = split_thinking(said, prefill)
    first, opened, _ = (prefill + said).partition("<think>")
    text = _paragraph("First", first) if opened and first.strip() else ""
    if thinking is not None:
        text += _paragraph("Thinking", thinking)
    if record["finish"] == "length":
        answer += f" (cut off after {record['meta']['generate']['tokens']} tokens)"
    return text + _paragraph("Answer", answer)


def _paragraph(name: str, text: str) -> str:
    return f"{name}: {shown.block(text).strip()}\n\n"
