"""Rank models by verdicts on their answers, or by the problems that they solve, with intervals.

Reads lines that say whose answer a judge prefers, and completions that alpaca_eval or arena_hard scored.
Gives AlpacaEval's win rate, plain and controlled for length (--by win-rate), or Bradley-Terry ratings with a
bootstrap, as Arena-Hard does (--by bradley-terry). Of scored completions of problems that have a rating, it
gives the model's (--by elo), as Codeforces has it; with --standings by its ranks in contests, --people its
percentile.
docs/open-answers.md has the formulas, and what each figure is equal to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.formats.sources import local
from stages.formats.tables import read_rows
from stages.ratings.bradley_terry import POINTS, Strengths, strengths
from stages.ratings.contests import codeelo, percentile
from stages.ratings.contests import rating as contest_rating
from stages.ratings.elo import Rating, rating
from stages.ratings.length_control import Calibration, calibration
from stages.ratings.solving import Solving
from stages.ratings.standings import Entering, people, read
from stages.ratings.verdicts import Verdict, verdicts
from stages.ratings.win_rates import win_rate
from stages.records.record import Record
from stages.runtime.errors import NoRecords, UsageError, nearest
from stages.runtime.report import SILENT, Report
from stages.runtime.results import Results
from stages.settings.options import Doc, Range

EXAMPLES = (
    "r1 rank judged.jsonl",
    "r1 rank --by bradley-terry --baseline gpt-4 --control-style judged.jsonl",
    "r1 rank --by elo --decide code scored.jsonl",
    "r1 rank --by elo --decide code --standings contests.jsonl --people ratings.csv scored.jsonl",
)
ANCHOR = 1000.0  # the baseline's rating


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What models are ranked by, and what that needs."""

    by: Annotated[
        Literal["win-rate", "bradley-terry", "elo"],
        Doc("Win rates against a baseline, Bradley-Terry ratings, or the rating by problems solved."),
    ] = "win-rate"
    baseline: Annotated[
        str | None, Doc("The model that others are compared with, where records have several or none.")
    ] = None
    calibration: Annotated[
        Path | None,
        Doc("AlpacaEval's df_gamed.csv, for its length-controlled win rate; R1_DATA may have it."),
    ] = None
    control_length: Annotated[
        bool, Doc("Bradley-Terry with a coefficient for the longer answer, so that length is no strength.")
    ] = False
    control_style: Annotated[
        bool, Doc("The same for length, headers, lists and bold text together, as Arena-Hard has it.")
    ] = False
    strong: Annotated[
        float, Doc("Weight of a verdict A>>B in Bradley-Terry; Arena-Hard's is 3."), Range(above=0)
    ] = 3.0
    rounds: Annotated[
        int, Doc("Rounds of the bootstrap over questions; 0: no interval."), Range(0, 100_000)
    ] = 1000
    decide: Annotated[str | None, Doc("Of elo: the reward that says what is solved; else accuracy.")] = None
    standings: Annotated[
        Path | None,
        Doc("Of elo: a file of contests with their people; the rating is then by the ranks in them."),
    ] = None
    people: Annotated[
        Path | None, Doc("Of elo: a file of people's ratings, among which the percentile is.")
    ] = None
    threshold: Annotated[float, Doc("A completion of at least this reward has solved its problem.")] = 1.0
    seed: Annotated[int, Doc("Of the bootstrap."), Range(low=0)] = 0


def run(
    records: Iterable[Record],
    settings: Settings = Settings(),
    *,
    report: Report = SILENT,
) -> Results:
    """Raises BadInput for what is no verdict, or cannot be ranked, UsageError for a baseline that is none."""
    _check(settings)
    report.start(None, "records")
    watched = _watched(records, report)
    if settings.by == "elo":
        return _elo(watched, settings, report)
    file = settings.calibration or local("eval/df_gamed.csv", None)
    table = calibration(read_rows(str(file))) if file is not None and settings.by == "win-rate" else None
    found = [each for record in watched for each in verdicts(record)]
    if not found:
        raise NoRecords("no verdicts", remedy="give records with model, baseline and preference")
    unjudged = sum(each.share is None for each in found)
    report.summary(f"{len(found)} verdicts" + (f", {unjudged} of them null and left out" if unjudged else ""))
    if settings.by == "win-rate":
        return _win_rates(found, table, settings, report)
    return _bradley_terry(found, settings, report)


def _check(settings: Settings) -> None:
    """Raises UsageError for options that do not go together."""
    if settings.decide is not None and settings.by != "elo":
        raise UsageError(f"--decide {settings.decide} says what is solved: add --by elo")
    for option, file in (("--standings", settings.standings), ("--people", settings.people)):
        if file is not None and settings.by != "elo":
            raise UsageError(f"{option} {file} is for the rating by problems solved: add --by elo")
    for given, name in ((settings.control_length, "length"), (settings.control_style, "style")):
        if given and settings.by != "bradley-terry":
            raise UsageError(f"--control-{name} is a part of Bradley-Terry: add --by bradley-terry")
    if settings.control_length and settings.control_style:
        raise UsageError("--control-style controls for length, too: leave out --control-length")
    if settings.calibration is not None and settings.by != "win-rate":
        raise UsageError(f"--calibration {settings.calibration} is for win rates: leave out --by")


def _win_rates(
    found: Sequence[Verdict], table: Calibration | None, settings: Settings, report: Report
) -> Results:
    pairs: dict[tuple[str, str], list[Verdict]] = {}
    for each in found:
        if settings.baseline in (None, each.opponent):
            pairs.setdefault((each.model, each.opponent), []).append(each)
    if not pairs:
        names = sorted({each.opponent for each in found})
        raise UsageError(f"--baseline {settings.baseline}: the baselines are {', '.join(names)}")
    lines = [win_rate(verdicts, table) for verdicts in pairs.values()]
    if table is None and any(line["length_controlled_minimal"] is not None for line in lines):
        report.note(
            "length_controlled_win_rate needs AlpacaEval's table: --calibration df_gamed.csv; "
            "length_controlled_minimal is another figure"
        )
    names = ["win_rate", "standard_error", "length_controlled_win_rate", "length_controlled_minimal"]
    columns = ["model", "against", "win rate", "± s.e.", "length-controlled", "minimal", "verdicts"]
    rows = [
        [line["model"], line["against"], *(_number(line[name], 2) for name in names), str(line["verdicts"])]
        for line in lines
    ]
    return Results(lines, "Win rates in percent", columns, rows)


def _bradley_terry(found: Sequence[Verdict], settings: Settings, report: Report) -> Results:
    models = sorted({name for each in found for name in (each.model, each.opponent)})
    baselines = sorted({each.opponent for each in found})
    baseline = settings.baseline or (baselines[0] if len(baselines) == 1 else None)
    if baseline is None:
        raise UsageError(f"--by bradley-terry needs --baseline, one of {', '.join(models[:8])}")
    if baseline not in models:
        raise UsageError(f"--baseline {baseline}: no verdict is on it{nearest(baseline, models)}")
    made = strengths(
        found,
        baseline,
        rounds=settings.rounds,
        seed=settings.seed,
        strong=settings.strong,
        control="style" if settings.control_style else "length" if settings.control_length else "nothing",
    )
    if len(made.rounds) < settings.rounds:
        lost = settings.rounds - len(made.rounds)
        report.note(
            f"in {lost} of {settings.rounds} rounds of the bootstrap no strengths fit best; intervals are "
            "those of the rest, and too narrow"
        )
    lines = sorted(_lines(made, found), key=lambda line: -line["rating"])
    columns = ["model", "rating", "95 %", "win rate", "95 % ", "verdicts"]
    rows = [
        [
            line["model"],
            _number(line["rating"], 1),
            f"{_number(line['rating_low'], 1)} – {_number(line['rating_high'], 1)}",
            _number(line["win_rate"], 1),
            f"{_number(line['win_rate_low'], 1)} – {_number(line['win_rate_high'], 1)}",
            str(line["verdicts"]),
        ]
        for line in lines
    ]
    return Results(lines, f"Bradley-Terry, {baseline} = {ANCHOR:.0f}", columns, rows)


def _lines(made: Strengths, found: Sequence[Verdict]) -> Iterator[dict[str, Any]]:
    for k, (model, value) in enumerate(zip(made.models, made.values, strict=True)):
        low, high = _percentiles([each[k] for each in made.rounds])
        yield {
            "model": model,
            "against": made.models[0],
            "rating": _points(value),
            "rating_low": _points(low),
            "rating_high": _points(high),
            "win_rate": _chance(value),
            "win_rate_low": _chance(low),
            "win_rate_high": _chance(high),
            "interval": "95 %, percentiles of the bootstrap over questions",
            "verdicts": sum(
                each.share is not None and model in (each.model, each.opponent) for each in found
            ),
            "length": made.style.get("length"),
            **{name: value for name, value in made.style.items() if name != "length"},
        }


def _points(strength: float | None) -> float | None:
    return None if strength is None else ANCHOR + POINTS * strength


def _chance(strength: float | None) -> float | None:
    """To be preferred to the baseline, in percent."""
    return None if strength is None else 100 / (1 + 10 ** (-POINTS * strength / 400))


def _percentiles(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 2.5th and the 97.5th, between neighbours in proportion."""
    if len(values) < 2:
        return None, None
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _elo(records: Iterable[Record], settings: Settings, report: Report) -> Results:
    decides = settings.decide or "accuracy"
    crowd = (
        people(read_rows(str(settings.people)), str(settings.people)) if settings.people is not None else None
    )
    lines = list(_solved(records, decides, settings, crowd))
    report.summary(f"{sum(line['attempts'] for line in lines)} attempts of {len(lines)} models")
    columns = ["model", "rating", "95 %", "percentile", "solved", "problems"]
    rows = [
        [
            line["model"],
            _number(line["rating"], 0),
            f"{_number(line['rating_low'], 0)} – {_number(line['rating_high'], 0)}",
            _number(line["percentile"], 1),
            f"{line['solved']} of {line['attempts']}",
            str(line["problems"]),
        ]
        for line in lines
    ]
    return Results(lines, "Rating by problems solved", columns, rows)


def _solved(
    records: Iterable[Record], decides: str, settings: Settings, crowd: list[float] | None
) -> Iterator[dict[str, Any]]:
    """A line for each model: by problems, or by ranks in contests where there are standings."""
    if settings.standings is None:
        solving = Solving(decides, settings.threshold)
        for record in records:
            solving.add(record)
        for model, problems in solving.models():
            yield {
                **_rated(model, rating(problems), "95 %, score, problems as clusters", crowd),
                "problems": len(problems),
                "attempts": sum(each.n for each in problems),
                "solved": sum(each.solved for each in problems),
                "unjudged": solving.unjudged[model],
                "decides": decides,
            }
        return
    file = str(settings.standings)
    entering = Entering(read(read_rows(file), file), decides, settings.threshold)
    for record in records:
        entering.add(record)
    for model, contests in entering.models():
        yield {
            **_rated(model, contest_rating(contests), "95 %, score, contests as clusters", crowd),
            "codeelo": codeelo(contests),
            "contests": len(contests),
            "problems": sum(each.tried for each in contests),
            "attempts": entering.attempts[model],
            "solved": sum(each.solved for each in contests),
            "unjudged": entering.unjudged[model],
            "decides": decides,
        }


def _rated(model: str, found: Rating, interval: str, crowd: list[float] | None) -> dict[str, Any]:
    ends = {"rating": found.value, "rating_low": found.low, "rating_high": found.high}
    places = {name.replace("rating", "percentile"): value for name, value in ends.items()}
    return {
        "model": model,
        **ends,
        "interval": interval,
        **{
            name: None if crowd is None or value is None else percentile(value, crowd)
            for name, value in places.items()
        },
    }


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _watched(records: Iterable[Record], report: Report) -> Iterator[Record]:
    for record in records:
        report.advance()
        yield record
