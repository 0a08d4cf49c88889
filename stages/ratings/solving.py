"""Who has solved which problem, from scored completions of problems that have a rating."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stages.ratings.elo import Attempts
from stages.records.record import Record, bad_record, group_of, kind_of, place_of, reward_of, said_by
from stages.runtime.errors import BadInput

HARDEST = 1e6  # points
RATED = "a problem's `rating` is its difficulty in points, such as 1600"


class Solving:
    """Counts attempts by model and problem: `decide` is the reward that says what is solved, from `threshold`
    on.
    """

    def __init__(self, decide: str, threshold: float) -> None:
        self.decide, self.threshold = decide, threshold
        self.unjudged: Counter[str] = Counter()
        self._place = ""
        self._rating: dict[str, float] = {}
        self._counts: dict[str, dict[str, list[int]]] = {}

    def add(self, record: Record) -> None:
        """Raises BadInput for a record without its reward or without a rating, or with two."""
        model = str(said_by(record, "generate").get("model") or record.get("model") or "-")
        value = reward_of(record, self.decide, "pipe it through r1 score first, or name one with --decide")
        problem, rated = group_of(record), record.get("rating")
        if isinstance(rated, bool) or not isinstance(rated, (int, float)):
            what = "no field 'rating'" if "rating" not in record else f"field 'rating' is {kind_of(rated)}"
            raise bad_record(record, what, RATED)
        if abs(rated) > HARDEST:
            raise bad_record(record, f"field 'rating' is {rated:g}", RATED)
        if self._rating.setdefault(problem, rated) != rated:
            raise bad_record(
                record, f"problem {problem!r} has the rating {self._rating[problem]:g} elsewhere"
            )
        self._place = place_of(record)
        if value is None:
            self.unjudged[model] += 1
            return
        counts = self._counts.setdefault(model, {}).setdefault(problem, [0, 0])
        counts[0] += 1
        counts[1] += value >= self.threshold

    def models(self) -> Iterator[tuple[str, list[Attempts]]]:
        """Each model with its attempts, in the order they came in. Raises BadInput where there are none."""
        if not self._counts:
            raise BadInput(
                "no attempt up to here was judged", place=self._place, remedy="give scored completions"
            )
        for model, problems in self._counts.items():
            yield model, [Attempts(self._rating[name], n, solved) for name, (n, solved) in problems.items()]
