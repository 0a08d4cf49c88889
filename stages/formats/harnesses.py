"""What lm-eval and lighteval keep of an evaluation: the prompt, the reference and the completions.

A line of lm-eval's `samples_*.jsonl` stands once for each of its filters, which differ in their verdict and
not in the completion: the first is read. A question that was answered by the likelihood of its options has
no completion, and becomes a problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.records.notes import Notes
from stages.records.record import Record, bad_record, need, object_of
from stages.records.references import reference_in

# What a line of lm-eval says again, or by a hash.
HIDDEN = frozenset(
    ["id", "doc", "arguments", "resps", "filtered_resps", "target", "doc_hash", "prompt_hash", "target_hash"]
)


def lm_eval(fields: Record, notes: Notes) -> Iterator[Record]:
    """`doc_id`, `doc`, `target`, `arguments`, `resps` as a problem and one record for each response."""
    prompts = _prompts(fields)
    if not prompts or not isinstance(prompts[0], str):
        what = "arguments hold no prompt"
        raise bad_record(fields, what, "a line of samples_*.jsonl has them")
    name, target = fields["id"], fields.get("target")
    problem = Record({"id": name, "prompt": prompts[0]}, place=fields.place)
    problem.update({key: value for key, value in fields.items() if key not in HIDDEN})
    responses = need(fields, "resps", list, "a list of responses for each request")
    said = [text for each in responses for text in (each if isinstance(each, list) else [each])]
    if len(prompts) > 1 or not all(isinstance(text, str) for text in said):
        notes.add("answered by likelihood, so it has no completion and is read as a problem", fields)
        choices = object_of(fields.get("doc")).get("choices")
        if isinstance(target, str) and target.isdigit():
            target = int(target)
        yield problem.adding(answer=target, **({"choices": choices} if choices else {}))
        return
    found = reference_in({"target": target})
    if found is not None:
        problem["answer"] = found.answer
    for k, text in enumerate(said):
        yield problem.adding(id=f"{name}#{k}", group=name, sample=k, completion=text)


def _prompts(fields: Record) -> list[Any]:
    """The first argument of each request: lists of pairs, or {gen_args_0: {arg_0: …}}."""
    arguments = fields.get("arguments")
    if isinstance(arguments, dict):
        return [each.get("arg_0") for each in arguments.values() if isinstance(each, dict)]
    if isinstance(arguments, list):
        return [each[0] for each in arguments if isinstance(each, list) and each]
    return []


def lighteval(fields: Record) -> Iterator[Record]:
    """`doc`, `model_response`, `metric` of the details as completions of one problem."""
    doc = need(fields, "doc", dict, "lighteval's {query, choices, gold_index}")
    response = need(fields, "model_response", dict, "lighteval's {text}")
    query = need(Record(doc, place=fields.place), "query", str, "what was asked")
    problem = Record({"id": fields["id"], "prompt": query}, place=fields.place)
    answer = _gold(doc.get("choices"), doc.get("gold_index"))
    if answer is not None:
        problem["answer"] = answer
    for key in ("task_name", "specific"):
        if doc.get(key):
            problem[key] = doc[key]
    problem["metric"] = fields.get("metric") or {}
    yield from _completions(problem, response.get("text"))


def lighteval_old(fields: Record) -> Iterator[Record]:
    """Details of lighteval before 0.10: `full_prompt`, `predictions`, `gold`."""
    problem = Record({"id": fields["id"], "prompt": fields["full_prompt"]}, place=fields.place)
    gold = fields.get("gold")
    answer = _gold(fields.get("choices"), fields.get("gold_index"))
    if answer is None and gold not in (None, "", []):
        answer = gold[0] if isinstance(gold, list) else gold
    if answer is not None:
        problem["answer"] = answer
    if fields.get("metrics"):
        problem["metric"] = fields["metrics"]
    yield from _completions(problem, fields["predictions"])


def _gold(choices: Any, index: Any) -> str | None:
    place = index[0] if isinstance(index, list) and index else index
    if isinstance(choices, list) and isinstance(place, int) and 0 <= place < len(choices):
        return str(choices[place]).strip()
    return None


def _completions(problem: Record, texts: Any) -> Iterator[Record]:
    said = [texts] if isinstance(texts, str) else texts
    if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
        what = "the model's answers are no texts"
        raise bad_record(problem, what, "details of a task that generates")
    name = problem["id"]
    if not said:  # by likelihood
        yield problem
    for k, text in enumerate(said):
        yield problem.adding(id=f"{name}#{k}", group=name, sample=k, completion=text)
