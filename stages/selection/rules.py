"""Which records to keep: the rules of `filter`, which `distill` shares.

Rules on one record stream. A pass-rate band and `--keep best` or `shortest` hold the records of one
problem at a time; with these, and with `--dedup` and `--max-per-group`, the records of a problem
must follow one another. A null reward is never correct, and no part of a pass rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from stages.language.identification import longest_paragraph, mixing, target_language
from stages.language.prose import code_share
from stages.records.groups import groups
from stages.records.jsonl import read_file
from stages.records.record import Record, group_of, named_of, need, reward_of
from stages.records.turns import in_words
from stages.records.where import Where
from stages.selection.decontamination import Overlap, problems, prompt_text
from stages.selection.faults import fault_of_completion, fault_of_prompt
from stages.selection.near_duplicates import Problems
from stages.settings.criteria import Selection, check

Reject = Callable[[Record, str], None]
Rule = Callable[[Record], str | None]  # why to drop the record, or None


def select(records: Iterable[Record], selection: Selection, reject: Reject) -> Iterator[Record]:
    """The records to keep, in order; `reject(record, why)` is called for each other one.

    `why` begins with the name of the rule and a colon. Raises UsageError for options that make no
    sense, BadInput for a record that lacks what a rule needs.
    """
    check(selection)
    where = Where(selection.where) if selection.where else None
    rules = _rules(selection, where)
    banded = not selection.pass_of and (selection.min_pass is not None or selection.max_pass is not None)
    if banded or selection.keep in ("best", "shortest"):
        kept = _by_group(records, selection, rules, reject)
    else:
        kept = _by_record(records, selection, rules, reject)
    yield from kept
    if where is not None:
        where.check()


def check_rules(selection: Selection) -> None:
    """Raises what the rules say against their options, and what is wrong with the files that they read.

    The index of what a benchmark's problems have in them is not made for it.
    """
    check(selection)
    _rules(replace(selection, decontaminate=()), Where(selection.where) if selection.where else None)
    if selection.decontaminate:
        Overlap((), selection.ngram, selection.overlap)
        for path in selection.decontaminate:
            deque(problems(path), maxlen=0)


def judges_records(selection: Selection) -> bool:
    """Whether a rule looks at prompts or completions, and not at fields that the user names alone."""
    return replace(selection, where=None) != Selection()


def correct(record: Record, selection: Selection) -> bool | None:
    """Whether the completion is correct; None where its reward is null. BadInput where it has none."""
    name = named_of(record, selection.reward_name)
    value = reward_of(record, name, f"run r1 score --reward {name} first")
    return None if value is None else value >= selection.threshold


def length_of(record: Record) -> int:
    """Tokens of the completion where the record has them, else its characters."""
    ids = record.get("completion_ids")
    return len(ids) if isinstance(ids, list) else len(completion_of(record))


def completion_of(record: Record) -> str:
    """The completion's text, or BadInput."""
    text: str = need(
        in_words(record), "completion", str, "this rule is for completions: run r1 generate first"
    )
    return text


def _rules(selection: Selection, where: Where | None) -> list[Rule]:
    """The rules on one record, the cheapest first."""
    rules: list[Rule] = []
    if where is not None:
        condition = where
        rules.append(lambda record: None if condition(record) else "where: the condition is not met")
    if selection.keep in ("correct", "shortest"):
        rules.append(lambda record: _incorrect(record, selection))
    if selection.keep == "best":
        rules.append(_unjudged)
    if selection.min_length is not None or selection.max_length is not None:
        rules.append(lambda record: _length(record, selection))
    if (most_code := selection.max_code) is not None:
        rules.append(lambda record: _above("code", code_share(completion_of(record)), most_code))
    if (words := selection.max_paragraph) is not None:
        rules.append(lambda record: _above("paragraph", longest_paragraph(completion_of(record)), words))
    if (most_mixed := selection.max_mixing) is not None:
        rules.append(lambda record: _above("mixing", _mixing(record), most_mixed))
    if selection.well_formed:
        rules.append(_malformed)
    for path in selection.pass_of:
        rules.append(_of_another(path, selection))
    if selection.decontaminate:
        known = Overlap(
            (problem for path in selection.decontaminate for problem in problems(path)),
            selection.ngram,
            selection.overlap,
        )
        rules.append(lambda record: _contaminated(record, known))
    if selection.near_duplicates is not None:
        rules.append(_near_duplicate(Problems(selection.near_duplicates)))
    return rules


def _incorrect(record: Record, selection: Selection) -> str | None:
    right = correct(record, selection)
    name = named_of(record, selection.reward_name)
    if right is None:
        return f"null: {name} could not be judged"
    return None if right else f"incorrect: {name} is {record['rewards'][name]:g}"


def _unjudged(record: Record) -> str | None:
    if record.get("reward", "") is not None:
        need(record, "reward", (int, float), "run r1 score first")
    return "null: the reward could not be judged" if record["reward"] is None else None


def _length(record: Record, selection: Selection) -> str | None:
    size = length_of(record)
    if selection.min_length is not None and size < selection.min_length:
        return f"short: {size} is below {selection.min_length}"
    return _above("long", size, selection.max_length)


def _above(rule: str, value: float | None, limit: float | None) -> str | None:
    if value is None or limit is None or value <= limit:
        return None
    return f"{rule}: {value:.3g} is above {limit:g}" if value < 1 else f"{rule}: {value:g} is above {limit:g}"


def _mixing(record: Record) -> float | None:
    """A text without words passes, and so does one whose language nobody can tell."""
    target = target_language(record)
    return None if target is None else mixing(completion_of(record), target)


def _malformed(record: Record) -> str | None:
    why = fault_of_prompt(prompt_text(record)) if "prompt" in record else ""
    if not why and "completion" in record:
        prefill, finish = str(record.get("prefill") or ""), str(record.get("finish") or "")
        why = fault_of_completion(completion_of(record), prefill, finish)
    return f"malformed: {why}" if why else None


def _of_another(path: str, selection: Selection) -> Rule:
    """A rule that drops problems by the share of correct completions that they have in a file.

    It holds two numbers for each problem of the file.
    """
    counts: dict[str, list[int]] = {}
    for record in read_file(path):
        count = counts.setdefault(group_of(record), [0, 0])
        right = correct(record, selection)
        count[0] += bool(right)
        count[1] += right is not None

    def rule(record: Record) -> str | None:
        right, judged = counts.get(group_of(record), (0, 0))
        if not judged:
            return f"null: {path} has no completion of the problem that could be judged"
        why = _off_band(right, judged, selection)
        return f"{why} in {path}" if why else None

    return rule


def _contaminated(record: Record, known: Overlap) -> str | None:
    found = known.repetition(prompt_text(record))
    if found is None:
        return None
    return f"contaminated: the prompt repeats {found.name}, {found.share:.2f} of it: {found.words}"


def _near_duplicate(known: Problems) -> Rule:
    """A rule that drops all records of a problem that is nearly one which the other rules have kept."""
    verdicts: dict[int, str | None] = {}  # by the hash of the problem's name

    def rule(record: Record) -> str | None:
        name = group_of(record)
        mark = hash(name)
        if mark not in verdicts:
            like = known.like(prompt_text(record), name)
            verdicts[mark] = like and f"near-duplicate: {like[1]:.2f} like problem {like[0]!r}"
        return verdicts[mark]

    return rule


def _by_record(
    records: Iterable[Record], selection: Selection, rules: list[Rule], reject: Reject
) -> Iterator[Record]:
    if selection.dedup == "none" and selection.max_per_group is None:
        for record in records:
            why = _first(rules, record)
            if why is None:
                yield record
            else:
                reject(record, why)
        return
    for name, record in _named(records):
        if name:
            seen: set[Any] = set()
            count = 0
        why = _first(rules, record) or _repeated(record, selection, seen)
        if why is None and selection.max_per_group is not None:
            why = _above("per group", count + 1, selection.max_per_group)
        if why is None:
            count += 1
            yield record
        else:
            reject(record, why)


def _named(records: Iterable[Record]) -> Iterator[tuple[bool, Record]]:
    """Each record, and whether it is the first of its problem."""
    for batch in groups(records):
        for k, record in enumerate(batch):
            yield k == 0, record


def _by_group(
    records: Iterable[Record], selection: Selection, rules: list[Rule], reject: Reject
) -> Iterator[Record]:
    for batch in groups(records):
        why = _outside(batch, selection)
        if why is not None:
            for record in batch:
                reject(record, why)
            continue
        seen: set[Any] = set()
        left: list[Record] = []
        dropped: list[tuple[Record, str]] = []
        for record in batch:
            why = _first(rules, record) or _repeated(record, selection, seen)
            if why is None:
                left.append(record)
            else:
                dropped.append((record, why))
        chosen = {id(record) for record in _best(left, selection)}
        dropped += [(r, f"not {selection.keep}: another is") for r in left if id(r) not in chosen]
        for record, why in dropped:
            reject(record, why)
        yield from (record for record in left if id(record) in chosen)


def _first(rules: list[Rule], record: Record) -> str | None:
    for rule in rules:
        why = rule(record)
        if why is not None:
            return why
    return None


def _repeated(record: Record, selection: Selection, seen: set[Any]) -> str | None:
    if selection.dedup == "none":
        return None
    text = completion_of(record)
    if selection.dedup == "normalised":
        text = "".join(letter for letter in text.casefold() if letter.isalnum())
    if text in seen:
        return "duplicate: the completion repeats one of its problem"
    seen.add(text)
    return None


def _outside(batch: list[Record], selection: Selection) -> str | None:
    """Why the problem's pass rate drops it, or None."""
    if selection.pass_of or (selection.min_pass is None and selection.max_pass is None):
        return None
    judged = [right for record in batch if (right := correct(record, selection)) is not None]
    if not judged:
        return "null: no completion of the problem could be judged"
    return _off_band(sum(judged), len(judged), selection)


def _off_band(right: int, judged: int, selection: Selection) -> str | None:
    """Why a share of correct completions is too small or too great, or None."""
    if selection.min_pass is not None and right / judged < selection.min_pass:
        return f"too hard: {right} of {judged} correct"
    if selection.max_pass is not None and right / judged > selection.max_pass:
        return f"too easy: {right} of {judged} correct"
    return None


def _best(left: list[Record], selection: Selection) -> list[Record]:
    """What `keep` leaves of a problem; the first of equals."""
    if selection.keep == "best":
        ranked = sorted(left, key=lambda record: -record["reward"])
    elif selection.keep == "shortest":
        ranked = sorted(left, key=length_of)
    else:
        return left if selection.max_per_group is None else left[: selection.max_per_group]
    return ranked[: selection.max_per_group or 1]
