"""Verdicts on pairs of answers, in each form that they are written in.

AlpacaEval's: `model`, `baseline` and `preference`, from 1 for the baseline to 2 for the model, 1.5 a tie.
Arena-Hard's and Chatbot Arena's: `model_a`, `model_b`, and `verdict`, one of A>>B, A>B, A=B, B>A and B>>A, or
`winner`, one of model_a, model_b and tie. `index`, else `group`, else `id` names the question; both orders of
one question are two records. Completions that were scored by `alpaca_eval` or `arena_hard` hold one verdict
or two, with the answers themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from stages.language.thinking import split_thinking
from stages.ratings.style import Style, apart, style_in, style_of
from stages.records.record import Record, bad_record, group_of, kind_of, object_of, place_of, said_by

# How much of each the second model gets, and whether the verdict is a strong one.
VERDICTS = {
    "A>>B": (0.0, True),
    "A>B": (0.0, False),
    "A=B": (0.5, False),
    "B>A": (1.0, False),
    "B>>A": (1.0, True),
}
WINNERS = {"model_a": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "model_b": 1.0}
GAMES = ("arena_hard/second", "arena_hard/first")
SCORES = {1.0: (1.0, True), 0.75: (1.0, False), 0.5: (0.5, False), 0.25: (0.0, False), 0.0: (0.0, True)}
LONGEST = 1e9  # characters of an answer
REMEDY = "a verdict has model, baseline and preference, or model_a, model_b and verdict or winner"


class Verdict(NamedTuple):
    """What a judge said: `share` of it is the model's, the rest the opponent's; None where nothing was said.

    `apart` is the opponent's length less the model's, `longer` that over their sum with the other sign; None
    without lengths. `style` are the differences of style.apart; None where not all are known.
    """

    model: str
    opponent: str
    share: float | None
    strong: bool
    question: str
    apart: float | None
    longer: float | None
    place: str
    style: tuple[float, ...] | None = None


def verdicts(record: Record) -> Iterator[Verdict]:
    """The verdicts that a record holds: one, or the two games of a completion that `arena_hard` judged.

    Raises BadInput, with its place, where it holds none.
    """
    rewards = object_of(record.get("rewards"))
    if "completion" not in record or not {"alpaca_eval", "arena_hard"} & set(rewards):
        yield verdict(record)
        return
    named, answers = _models(record), _styles(record)
    if "alpaca_eval" in rewards:
        share = rewards["alpaca_eval"]
        if share is not None and not _within(share):
            raise bad_record(record, f"reward 'alpaca_eval' is {share!r}", "a preference is from 0 to 1")
        yield _of_answers(record, named, answers, share, False)
        return
    whole = rewards["arena_hard"] is not None  # as there, one game without a verdict takes the other along
    for game in GAMES:
        score = rewards.get(game)
        said = SCORES.get(score) if isinstance(score, (int, float)) else None
        if whole and said is None:
            raise bad_record(record, f"reward {game!r} is {score!r}", "score it by arena_hard")
        yield _of_answers(record, named, answers, *(said if whole and said else (None, False)))


def _of_answers(
    record: Record, named: tuple[str, str], answers: tuple[Style, Style], share: float | None, strong: bool
) -> Verdict:
    own, other = answers
    question = str(record["index"]) if "index" in record else group_of(record)
    style = apart(own, other)
    apart_by = other.length - own.length
    return Verdict(*named, share, strong, question, apart_by, style[0], place_of(record), style)


def _models(record: Record) -> tuple[str, str]:
    """Who wrote the completion, and whose answer it was compared with."""
    model = str(said_by(record, "generate").get("model") or record.get("model") or "")
    baseline = record.get("baseline")
    if not model or not isinstance(baseline, str) or not baseline:
        raise bad_record(record, "it does not say whose answers were compared", "it needs model and baseline")
    if model == baseline:
        raise bad_record(record, f"model and baseline are both {model!r}", "a verdict is on two models")
    return model, baseline


def _styles(record: Record) -> tuple[Style, Style]:
    """Of the completion, without its thinking, and of the baseline's answer."""
    texts: list[Any] = [record.get("completion"), record.get("baseline_answer")]
    if not all(isinstance(each, str) for each in texts):
        raise bad_record(
            record, "no text in 'completion' or 'baseline_answer'", "score what r1 generate made"
        )
    answer = split_thinking(texts[0], str(record.get("prefill") or "")).answer
    return style_of(answer.strip()), style_of(texts[1].strip())


def _within(share: Any) -> bool:
    return isinstance(share, (int, float)) and not isinstance(share, bool) and 0 <= share <= 1


def verdict(record: Record) -> Verdict:
    """The verdict that a record holds. Raises BadInput, with its place, where it holds none."""
    named = ("model", "baseline") if "baseline" in record else ("model_b", "model_a")
    model, opponent = (_text(record, name) for name in named)
    if model == opponent:
        raise bad_record(
            record, f"{named[0]} and {named[1]} are both {model!r}", "a verdict is on two models"
        )
    share, strong = _share(record)
    own, other = _length(record, named[0]), _length(record, named[1])
    apart_by = longer = None
    if own is not None and other is not None:
        apart_by = other - own
        longer = -apart_by / (own + other) if own + other else 0.0
    question = str(record["index"]) if "index" in record else group_of(record)
    style = _style(record, named)
    return Verdict(model, opponent, share, strong, question, apart_by, longer, place_of(record), style)


def _share(record: Record) -> tuple[float | None, bool]:
    if "preference" in record:
        value = record["preference"]
        if value is None:
            return None, False
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not (value == 0 or 1 <= value <= 2)
        ):
            raise bad_record(record, f"preference {value!r} is not from 1 to 2", REMEDY)
        return (0.5 if value == 0 else value - 1), False
    for name, known in (("verdict", VERDICTS), ("winner", {key: (v, False) for key, v in WINNERS.items()})):
        if name in record:
            value = record[name]
            if value is None:
                return None, False
            said = value.strip("[] ") if isinstance(value, str) else value
            if not isinstance(said, str) or said not in known:
                raise bad_record(record, f"{name} {value!r} is none of {', '.join(known)}", REMEDY)
            return known[said]
    raise bad_record(record, "no field 'preference', 'verdict' or 'winner'", REMEDY)


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        what = f"field {name!r} is {kind_of(value)}" if name in record else f"field {name!r} is missing"
        raise bad_record(record, what, REMEDY)
    return value


def _style(record: Record, named: tuple[str, str]) -> tuple[float, ...] | None:
    """`style_model` and `style_baseline`, or `style_b` and `style_a`; None where neither is there."""
    names = ["style_" + each.removeprefix("model_") for each in named]
    if not any(record.get(name) is not None for name in names):
        return None
    found = []
    for name in names:
        style = style_in(record.get(name))
        if style is None or max(style) > LONGEST:
            remedy = "a style has the numbers length, headers, lists and bold"
            raise bad_record(record, f"field {name!r} is no style", remedy)
        found.append(style)
    return apart(found[0], found[1])


def _length(record: Record, model: str) -> float | None:
    """`length_model`, `length_baseline`, `length_a` or `length_b`: characters of the answer."""
    name = "length_" + model.removeprefix("model_")
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
        raise bad_record(record, f"field {name!r} is {value!r}", "a length is a number of characters")
    return float(value)
