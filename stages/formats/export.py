"""Records in the forms that other trainers read: the way back from stages/formats/rows.py.

Only what the other program reads is written, in a fixed set of columns, so that every line has the same type
as parquet and `datasets` demand it. What a template had opened (`prefill`) is part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stages.records.groups import groups
from stages.records.notes import Notes
from stages.records.patches import patch_of
from stages.records.record import Record, bad_record, group_of, need, said_by
from stages.records.turns import Turn, answer_turns, plain, turns_of, whole_words, words_of
from stages.runtime.errors import UsageError

GENERATE_FIRST = "it takes completions: run r1 generate first"


def exported(
    records: Iterable[Record], form: str, model: str = "", *, margin: float = 0.0, notes: Notes | None = None
) -> Iterator[Record]:
    """The records as rows of `form`, one of FORMS; the requests of openai-batch name the `model`.

    Rows of PROBLEMS are problems, so the completions of one problem become one row; a row of open-r1 has them
    all, one of preference the best and the worst, where their rewards differ, and by `margin` at least;
    `notes` gets the problems without such a pair. Raises BadInput for a record that lacks what the form
    needs, and there for completions of a problem that stand apart; UsageError for a batch without a model.
    """
    if form == "openai-batch" and not model:
        raise UsageError("--to openai-batch needs --model NAME: each request says which model answers")
    if form == "preference":
        for batch in groups(records):
            pair = _preference(batch, margin)
            if pair is not None:
                yield Record(pair, place=batch[0].place)
            elif notes is not None:
                notes.add(
                    f"no two completions of the problem have rewards that differ{_by(margin)}", batch[0]
                )
        return
    if form == "open-r1":
        for batch in groups(records):
            yield Record(_open_r1(batch), place=batch[0].place)
        return
    rows = (batch[0] for batch in groups(records)) if form in PROBLEMS else records
    for number, record in enumerate(rows):
        row = FORMS[form](record, number)
        if form == "openai-batch":
            row["body"] = {"model": model, **row["body"]}
        yield Record(row, place=record.place)


def _messages(record: Record, number: int) -> dict[str, Any]:
    turns = [*turns_of(record), *answer_turns(record, GENERATE_FIRST)]
    return {"id": _id(record, number), "messages": turns, **_besides(record), **_reference(record)}


def _besides(record: Record) -> dict[str, Any]:
    """What TRL gives the chat template besides, where the record has it."""
    return {key: record[key] for key in ("tools", "chat_template_kwargs") if record.get(key)}


def _prompt_completion(record: Record, number: int) -> dict[str, Any]:
    """TRL wants both as strings, or both as chat turns."""
    prompt = need(record, "prompt", (str, list), "a string, or a list of {role, content} messages")
    turns = answer_turns(record, GENERATE_FIRST)
    if isinstance(prompt, str) and isinstance(record["completion"], str):
        texts = {"id": _id(record, number), "prompt": prompt, "completion": words_of(turns[0])}
        return {**texts, **_reference(record)}
    row = {"id": _id(record, number), "prompt": turns_of(record), "completion": turns}
    return {**row, **_besides(record), **_reference(record)}


def _reference(record: Record) -> dict[str, Any]:
    """The reference, where the record has one: trainers leave the column out, and a verifier needs it."""
    return {"answer": record["answer"]} if record.get("answer") is not None else {}


def _sharegpt(record: Record, number: int) -> dict[str, Any]:
    speakers = {"user": "human", "assistant": "gpt"}
    turns = [
        {"from": speakers.get(turn["role"], turn["role"]), "value": _value(turn, record)}
        for turn in [*turns_of(record), *answer_turns(record, GENERATE_FIRST)]
    ]
    return {"id": _id(record, number), "conversations": turns, **_reference(record)}


def _value(turn: Turn, record: Record) -> str:
    if turn.get("tool_calls"):
        raise bad_record(record, "a turn has tool_calls", "ShareGPT has no place for them: use --to messages")
    return whole_words(turn)


def _swe_bench(record: Record, number: int) -> dict[str, Any]:
    """A prediction of SWE-bench's harness; an empty patch is one, and is not resolved."""
    need(record, "completion", str, GENERATE_FIRST)
    name = need(record, "instance_id", str, "it is as `r1 prompts swe_bench` gives it")
    model = str(said_by(record, "generate").get("model") or record.get("model") or "r1")
    return {"instance_id": name, "model_name_or_path": model, "model_patch": patch_of(record)}


def _verl(record: Record, number: int) -> dict[str, Any]:
    answer = record.get("answer")
    if answer is None:
        raise bad_record(record, "field 'answer' is missing", "verl scores by ground_truth")
    origin = said_by(record, "prompts")
    return {
        "data_source": str(origin.get("source", "r1")),
        "prompt": turns_of(record),
        "ability": str(record.get("ability", "math")),
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {"split": origin.get("split"), "index": number, "id": group_of(record)},
    }


def _prompt(record: Record, number: int) -> dict[str, Any]:
    """TRL's prompt-only: its rewards, and open-r1's, read `solution`, in which they look for LaTeX."""
    prompt = need(record, "prompt", (str, list), "a string, or a list of {role, content} messages")
    asked = prompt if isinstance(prompt, str) else turns_of(record)
    return {"id": group_of(record), "prompt": asked, **_besides(record), **_solved(record)}


def _solved(record: Record) -> dict[str, Any]:
    """The reference, and a solution that ends in it."""
    answer = record.get("answer")
    if answer is None:
        return {}
    own = record.get("solution")
    boxed = isinstance(own, str) and "\\boxed" in own
    return {"answer": answer, "solution": own if boxed else f"\\boxed{{{answer}}}"}


def _open_r1(batch: list[Record]) -> dict[str, Any]:
    """A problem with all of its completions; OpenR1-Math has a text for a problem."""
    first = batch[0]
    turns = turns_of(first)
    if len(turns) > 1 or not plain(turns[0]):
        what = f"a prompt of {len(turns)} turns"
        raise bad_record(first, what, "open-r1 has one text: use --to messages")
    made = [record for record in batch if "completion" in record]
    row = {"id": group_of(first), "problem": words_of(turns[0]), **_solved(first)}
    texts = [whole_words(_one_turn(record, "open-r1")) for record in made]
    ends = [record.get("finish") for record in made]
    return {**row, "generations": texts, "finish_reasons": ends}


def _preference(batch: list[Record], margin: float) -> dict[str, Any] | None:
    """TRL's pair, with the two rewards as UltraFeedback calls them; None where they are too near."""
    judged = [(record, _reward(record)) for record in batch]
    known = [(record, value) for record, value in judged if value is not None]
    if not known:
        return None
    best, worst = max(known, key=lambda each: each[1]), min(known, key=lambda each: each[1])
    if best[1] == worst[1] or best[1] - worst[1] < margin:
        return None
    rows = [_prompt_completion(record, 0) for record, _ in (best, worst)]
    if isinstance(rows[0]["completion"], str) != isinstance(rows[1]["completion"], str):  # TRL wants one kind
        rows = [
            {**row, "prompt": turns_of(each), "completion": answer_turns(each, GENERATE_FIRST)}
            for row, (each, _) in zip(rows, (best, worst), strict=True)
        ]
    return {
        "id": group_of(batch[0]),
        "prompt": rows[0]["prompt"],
        "chosen": rows[0]["completion"],
        "rejected": rows[1]["completion"],
        "score_chosen": best[1],
        "score_rejected": worst[1],
        **_besides(batch[0]),
    }


def _reward(record: Record) -> float | None:
    """The record's reward; None where it could not be judged. Raises BadInput where it has none."""
    value = record.get("reward")
    if value is None and "reward" in record:
        return None
    need(record, "reward", (int, float), "it takes scored completions: run r1 score first")
    return float(record["reward"])


def _by(margin: float) -> str:
    return f" by {margin:g} or more" if margin else ""


def _one_turn(record: Record, form: str) -> Turn:
    """The completion where it is one turn. Raises BadInput where it is several."""
    turns = answer_turns(record, GENERATE_FIRST)
    if len(turns) > 1:
        what, remedy = f"a completion of {len(turns)} turns", f"{form} has one text: use --to messages"
        raise bad_record(record, what, remedy)
    return turns[0]


def _alpaca(record: Record, number: int) -> dict[str, Any]:
    """LLaMA-Factory's and axolotl's: the last question, what was said before it, and the answer."""
    turns = turns_of(record)
    system = words_of(turns.pop(0)) if turns[0]["role"] == "system" else ""
    roles = [turn["role"] for turn in turns]
    if roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        what = f"a prompt with turns of {', '.join(roles)}"
        remedy = "alpaca has questions and answers, one after the other: use --to messages"
        raise bad_record(record, what, remedy)
    said = [_value(turn, record) for turn in turns]
    answer = _value(_one_turn(record, "alpaca"), record)
    row = {"id": _id(record, number), "instruction": said[-1], "input": "", "output": answer}
    history = [list(pair) for pair in zip(said[:-1:2], said[1:-1:2], strict=True)]
    return {**row, "system": system, "history": history, **_reference(record)}


def _openai(record: Record, number: int) -> dict[str, Any]:
    """OpenAI's fine-tuning: with a completion supervised, without one for a grader of `reference_answer`."""
    tools = {"tools": record["tools"]} if record.get("tools") else {}
    if "completion" in record:
        return {"messages": [*turns_of(record), *answer_turns(record, GENERATE_FIRST)], **tools}
    reference = {"reference_answer": record["answer"]} if record.get("answer") is not None else {}
    return {"messages": turns_of(record), **tools, **reference}


def _openai_batch(record: Record, number: int) -> dict[str, Any]:
    """A request for each problem, called by its id: of OpenAI's batches, and of vLLM's batch runner."""
    body = {"messages": turns_of(record), **_besides(record)}
    return {"custom_id": group_of(record), "method": "POST", "url": "/v1/chat/completions", "body": body}


PROBLEMS = ("prompt", "openai-batch", "verl")
FORMS: dict[str, Callable[[Record, int], dict[str, Any]]] = {
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "openai": _openai,
    "prompt": _prompt,
    "openai-batch": _openai_batch,
    "verl": _verl,
    "swe-bench": _swe_bench,
}


def _id(record: Record, number: int) -> str:
    return str(record.get("id", number))
