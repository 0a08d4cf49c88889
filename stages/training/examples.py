"""Records to training examples: the prompt as `generate` would render it, then what was said.

Prompt and completion are tokenised apart, as in generation, so a model is trained on the very
tokens it will see. A completion that was cut at the limit gets no end of text.
"""

from __future__ import annotations

from collections.abc import Iterator

from stages.data.errors import BadInput
from stages.data.formats import understood
from stages.data.record import Record, need, place_of
from stages.data.templates import Template
from stages.inference.transformers import TransformersBackend
from stages.training.rows import Sample


def example(record: Record, template: Template, backend: TransformersBackend) -> Sample:
    """The sample that teaches `record`, each token with weight 1.

    The record has `prompt` and `completion`, and its `prefill` where it has one. Raises BadInput where a
    field is missing or nothing is left to learn.
    """
    said = need(record, "completion", (str, list), "a text, or a list of messages")
    if isinstance(said, list):  # the conversational form of prompt and completion
        said = "\n".join(need(Record(turn), "content", str, "a text") for turn in said)
    rendered = template.render(record)
    spoken = str(record.get("prefill") or "") + said
    prompt_ids, opened = backend.encode(rendered, place_of(record))
    if spoken.startswith(opened):
        spoken = spoken[len(opened) :]
    else:  # the completion does not begin as the templates would have it: do not force it
        prompt_ids, _ = backend.encode(rendered, place_of(record), prefilled=False)
    completion_ids: list[int] = backend.tokenizer(spoken, add_special_tokens=False)["input_ids"]
    if record.get("finish") != "length":
        completion_ids = [*completion_ids, backend.tokenizer.eos_token_id]
    if not prompt_ids or not completion_ids:
        raise BadInput(
            "prompt or completion is empty", place=place_of(record), remedy="drop the record"
        )
    return Sample(prompt_ids, completion_ids, [1.0] * len(completion_ids))


def lessons(line: Record) -> Iterator[Record]:
    """The records with `prompt` and `completion` in a line of any form that `prompts` reads."""
    if "prompt" in line and "completion" in line:
        yield line
        return
    for record in understood(line, name=str(line.get("id") or place_of(line))):
        need(
            record,
            "completion",
            (str, list),
            "sft reads prompt and completion, messages that end with the assistant's, or a data set's "
            "own form; see docs/records.md",
        )
        yield record
