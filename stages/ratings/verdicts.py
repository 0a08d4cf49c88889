"""Verdicts on pairs of answers, in either form that they are written in.

AlpacaEval's: `model`, `baseline` and `preference`, from 1 for the baseline to 2 for the model, 1.5 a tie.
Arena-Hard's and Chatbot Arena's: `model_a`, `model_b`, and `verdict`, one of A>>B, A>B, A=B, B>A and B>>A, or
`winner`, one of model_a, model_b and tie. `index`, else `group`, else `id` names the question; both orders of
one question are two records.
"""

from __future__ import annotations

from typing import NamedTuple

from stages.records.record import Record, bad_record, group_of, kind_of, place_of

# How much of each the second model gets, and whether the verdict is a strong one.
VERDICTS = {
    "A>>B": (0.0, True),
    "A>B": (0.0, False),
    "A=B": (0.5, False),
    "B>A": (1.0, False),
    "B>>A": (1.0, True),
}
WINNERS = {"model_a": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "model_b": 1.0}
LONGEST = 1e9  # characters of an answer
REMEDY = "a verdict has model, baseline and preference, or model_a, model_b and verdict or winner"


class Verdict(NamedTuple):
    """What a judge said: `share` of it is the model's, the rest the opponent's; None where nothing was said.

    `apart` is the opponent's length less the model's, `longer` that over their sum; None without lengths.
    """

    model: str
    opponent: str
    share: float | None
    strong: bool
    question: str
    apart: float | None
    longer: float | None
    place: str


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
    apart = longer = None
    if own is not None and other is not None:
        apart = other - own
        longer = -apart / (own + other) if own + other else 0.0
    question = str(record["index"]) if "index" in record else group_of(record)
    return Verdict(model, opponent, share, strong, question, apart, longer, place_of(record))


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


def _length(record: Record, model: str) -> float | None:
    """`length_model`, `length_baseline`, `length_a` or `length_b`: characters of the answer."""
    name = "length_" + model.removeprefix("model_")
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
        raise bad_record(record, f"field {name!r} is {value!r}", "a length is a number of characters")
    return float(value)
