"""What a task of lm-eval asks: its prompts, with its examples, and how it wants them answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.harness.tasks import is_file
from stages.records.record import Record, digest
from stages.runtime.errors import UsageError, said

SEED = 1234  # of the choice of examples: lm-eval's own
TOKENS = 256  # of an answer, where the task does not say
TAKEN = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
PLAIN = {"until", "do_sample", "temperature", "top_p", "top_k", *TAKEN}
NEUTRAL = {
    "num_beams": (1,),
    "repetition_penalty": (1, 1.0),
    "use_cache": (True,),
    "num_return_sequences": (1,),
}


def asked(task: str, shots: int | None, found: Any, *, rows: bool = False) -> Iterator[Record]:
    """The problems of the task, in its order, as it was `found`.

    `lm_eval` names what judges an answer, with its row of the data where `rows`. Where texts are to be
    compared that may follow, `continuations` has them: each a text that follows the prompt, or a pair of
    another prompt and its text.
    """
    examples = found.config.num_fewshot or 0
    if shots is not None:
        if found.config.num_fewshot == 0 and shots:
            raise UsageError(
                f"lm_eval:{task} asks without examples (num_fewshot: 0); leave out shots={shots}"
            )
        examples = shots
    found.set_fewshot_seed(SEED)
    stem = Path(task).stem if is_file(task) else task
    for index, row in enumerate(found.task_docs):
        try:
            requests = _requests(found, row, examples, index)
            answer = _answer(found, row)
        except Exception as error:  # templates and functions of the task, on its data
            raise UsageError(
                f"lm_eval:{task}, item {index}: {type(error).__name__}: {said(error)}"
            ) from error
        prompt = requests[0][0]
        record = Record(
            id=f"{stem}-{index}",
            prompt=prompt,
            answer=answer,
            kind="lm_eval",
            lm_eval={
                "task": task,
                "item": index,
                **({"row": row} if rows else {"digest": digest_of(row)}),
            },
            place=f"lm_eval:{task}[{index}]",
        )
        if found.OUTPUT_TYPE != "generate_until":
            record["continuations"] = [
                after if before == prompt else [before, after] for before, after in requests
            ]
        yield record


def digest_of(row: Any) -> str:
    """Names an item of a task's data."""
    return digest(repr(sorted(row.items())) if isinstance(row, dict) else repr(row))


def sampling(task: str, config: Any) -> dict[str, Any]:
    """How the task wants answers sampled, by the names of r1's options. Raises UsageError for what r1 cannot
    do."""
    if config.output_type != "generate_until":
        return {}
    given = dict(config.generation_kwargs or {})
    for name, value in given.items():
        if name not in PLAIN and value is not None and value not in NEUTRAL.get(name, ()):
            raise UsageError(f"lm_eval:{task} samples with {name}={value}, which r1 does not")
    most = next((given[name] for name in TAKEN if given.get(name) is not None), TOKENS)
    try:
        temperature = float(given.get("temperature") or 0)
        return {
            "temperature": temperature if given.get("do_sample", temperature > 0) else 0.0,
            "top_p": float(given.get("top_p") or 1),
            "top_k": int(given.get("top_k") or 0),
            "max_tokens": int(most),
            "stop": stops(config),
        }
    except (TypeError, ValueError) as error:
        raise UsageError(f"lm_eval:{task}: generation_kwargs: {said(error)}") from None


def stops(config: Any) -> tuple[str, ...]:
    """The texts at which the task ends an answer."""
    until = (config.generation_kwargs or {}).get("until") or ()
    return tuple(str(text) for text in ([until] if isinstance(until, str) else until) if text)


def _requests(found: Any, row: Any, shots: int, index: int) -> list[tuple[str, str]]:
    """Prompts, each with the text whose likelihood is asked; "" where it is to be written."""
    context = found.fewshot_context(row, num_fewshot=shots, gen_prefix=found.doc_to_prefix(row))
    made = found.construct_requests(doc=row, ctx=context, metadata=(found.task_name, index, 1))
    several = made if isinstance(made, list) else [made]
    if found.OUTPUT_TYPE == "generate_until":
        return [(each.args[0], "") for each in several]
    return [(each.args[0], each.args[1]) for each in several]


def _answer(found: Any, row: Any) -> str | None:
    """The reference, for who reads; the task itself judges."""
    target = found.doc_to_target(row)
    if isinstance(target, int) and found.config.doc_to_choice is not None:
        choices = found.doc_to_choice(row)
        return str(choices[target]) if 0 <= target < len(choices) else None
    return target if isinstance(target, str) else None
