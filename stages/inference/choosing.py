"""Problems that are answered by choosing: how likely is each text that may follow the prompt?

They are those with the field `continuations`. Nothing is sampled: the likeliest text is the completion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.inference.interface import Backend, Completion, Likelihood, Request, unasked
from stages.records.record import bad_record
from stages.records.templates import Rendered
from stages.runtime.errors import TooLong, UsageError

FORM = 'write texts, or pairs of a prompt and a text: [" yes", " no"]'


def continuations_of(record: dict[str, Any], prompt: Rendered) -> list[tuple[str, str]]:
    """The texts to compare, each after the prompt that it follows.

    Raises BadInput where the record holds none, UsageError for a template that is the model's own.
    """
    given = record["continuations"]
    if not isinstance(given, list) or not given:
        raise bad_record(record, "field 'continuations' holds no texts to compare", FORM)
    if prompt.text is None:
        raise UsageError("texts are compared after a prompt that is a text: give --template none")
    pairs = []
    for each in given:
        before, after = each if isinstance(each, list) and len(each) == 2 else (prompt.text, each)
        if not isinstance(before, str) or not isinstance(after, str) or not after:
            raise bad_record(record, f"field 'continuations' holds {each!r}", FORM)
        pairs.append((before, after))
    return pairs


def chosen(
    backend: Backend, request: Request, pairs: list[tuple[str, str]], name: str
) -> Iterator[Completion]:
    """The likeliest text, the first of equal ones, as each sample of the request.

    Raises UsageError where the backend, called `name`, cannot say how likely a text is, and where the tokens
    that were drawn are asked for; TooLong where the request must fit.
    """
    if request.logprobs:
        raise UsageError("--tokens: nothing is drawn where given texts are compared; leave it out")
    likelihoods = getattr(backend, "likelihoods", None)
    if likelihoods is None:
        raise UsageError(
            f"--backend {name} cannot say how likely a given text is, by which multiple-choice tasks of "
            "lm-eval are answered: give --backend transformers"
        )
    try:
        found: list[Likelihood] = likelihoods(pairs, request.place)
    except TooLong as error:
        yield from unasked(request, error)
        return
    best = max(range(len(pairs)), key=lambda k: found[k].logp)
    for sample in request.samples:
        yield Completion(
            request.key,
            sample,
            pairs[best][1],
            "stop",
            request.prompt.prefill,
            [],
            [],
            [],
            counts=(found[best].prompt_tokens, found[best].tokens),
            likelihoods=tuple(found),
        )
