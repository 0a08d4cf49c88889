"""Win rates of models against a baseline, as AlpacaEval gives them: in percent, ties half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from stages.ratings.length_control import Calibration, controlled, minimal
from stages.ratings.verdicts import Verdict
from stages.runtime.errors import BadInput


def win_rate(verdicts: Sequence[Verdict], table: Calibration | None) -> dict[str, Any]:
    """The figures of one model against one baseline. Raises BadInput where the table lacks an instruction.

    What was not judged is counted and left out, but by the length-controlled rate, which predicts it.
    """
    judged = [each.share for each in verdicts if each.share is not None]
    count = len(judged)
    made: dict[str, Any] = {
        "model": verdicts[0].model,
        "against": verdicts[0].opponent,
        "win_rate": 100 * fmean(judged) if judged else None,
        "standard_error": 100 * stdev(judged) / math.sqrt(count) if count > 1 else None,
        "discrete_win_rate": 100 * fmean([_whole(share) for share in judged]) if judged else None,
        "wins": sum(share > 0.5 for share in judged),
        "losses": sum(share < 0.5 for share in judged),
        "ties": sum(share == 0.5 for share in judged),
        "length_controlled_win_rate": None,
        "length_controlled_minimal": None,
        "verdicts": len(verdicts),
        "unjudged": len(verdicts) - count,
    }
    apart = [each.apart for each in verdicts if each.apart is not None]
    if len(apart) == len(verdicts) and len(set(apart)) > 1 and 0 < sum(judged) < count:
        shares = [each.share for each in verdicts]
        made["length_controlled_minimal"] = minimal(shares, apart)
        if table is not None:
            found = controlled(shares, apart, [_difficulty(each, table) for each in verdicts], table)
            made["length_controlled_win_rate"] = found.win_rate
            made["weights"] = found.weights._asdict()
    return made


def _whole(share: float) -> float:
    return 0.5 if share == 0.5 else float(share > 0.5)


def _difficulty(each: Verdict, table: Calibration) -> float:
    try:
        return table.difficulty[int(each.question)]
    except (ValueError, KeyError):
        raise BadInput(
            f"instruction {each.question} is not in the table",
            place=each.place,
            remedy="`index` numbers AlpacaEval's instructions from 0 to 804",
        ) from None
