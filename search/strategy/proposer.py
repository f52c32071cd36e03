"""Who proposes a trial's values: the starting points in order, then the sampler.

A proposal is a function of study seed, trial number, and what was proposed, reported and finished before it; there is
no generator whose state a kill could lose. A proposer that is told a recorded history (`recall` in place of `propose`)
goes on exactly as the one that wrote it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from licap.fields import Scalar
from search.space import Parameter, SamplerConfig, grid_points

Values = Mapping[str, Scalar]

# Failures that come from a trial's values, so that its neighbours are likely to fail as well. What befalls a trial from
# outside (crashed, timeout, interrupted) says nothing of them.
SPEAKING = frozenset({"diverged", "oom", "invalid-config", "data"})


class Source(ABC):
    """Where values come from once the starting points are used up."""

    @abstractmethod
    def propose(self, number: int) -> dict[str, Scalar] | None:
        """The values of trial `number`, or None where nothing is left to try."""

    @abstractmethod
    def recall(self, number: int, values: Values) -> None:
        """Takes values that somebody else chose for trial `number`."""

    @abstractmethod
    def report(self, number: int, budget: int, value: float) -> None:
        """Takes a value on the way; it may be NaN."""

    @abstractmethod
    def finish(self, number: int, state: str, value: float | None, *, speaks: bool) -> None:
        """Takes the end of a trial. speaks: whether a failure says something of the trial's values."""


class Proposer:
    """Proposes trials 0, 1, 2, … and learns from their outcome."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        starting_points: Sequence[Values],
        sampler: SamplerConfig,
        seed: int,
        direction: str,
    ) -> None:
        """parameters: parents before children. direction: of the metric, max or min.

        Raises: ConfigError where the sampler cannot search this space.
        """
        self._starting_points = tuple(dict(point) for point in starting_points)
        self._source = _source(parameters, self._starting_points, sampler, seed, direction)

    def propose(self, number: int) -> dict[str, Scalar] | None:
        """The values of trial `number`, only those that count, or None where every point of the space has been tried.

        Trial i gets starting point i: a resumed study does not try them again.
        """
        if number < len(self._starting_points):
            point = dict(self._starting_points[number])
            self._source.recall(number, point)
            return point
        return self._source.propose(number)

    def recall(self, number: int, values: Values) -> None:
        """Takes a recorded proposal, in place of `propose`, in the order of the record."""
        self._source.recall(number, values)

    def observe_report(self, number: int, budget: int, value: float) -> None:
        """Takes the metric's value at a budget; it may be NaN."""
        self._source.report(number, budget, value)

    def finish(self, number: int, state: str, value: float | None, *, failure: str | None = None) -> None:
        """Takes the end of a trial. failure: the class of failure of a failed one.

        A complete trial counts with its finite final value, a pruned one with its reports. A failed one counts as worse
        than any other if its failure says something of its values (`SPEAKING`), as does a complete one without a finite
        value; otherwise not at all. An interrupted trial stays open: it may go on.
        """
        self._source.finish(number, state, value, speaks=state == "complete" or failure in SPEAKING)


class _Grid(Source):
    """The points of a grid that are no starting points; learns nothing."""

    def __init__(self, parameters: Sequence[Parameter], starting_points: Sequence[Values]) -> None:
        # Enumerated as far as needed: a grid may be larger than memory.
        self._rest = (point for point in grid_points(parameters) if point not in starting_points)
        self._first = len(starting_points)
        self._known: list[dict[str, Scalar]] = []

    def propose(self, number: int) -> dict[str, Scalar] | None:
        while len(self._known) <= number - self._first:
            point = next(self._rest, None)
            if point is None:
                return None
            self._known.append(point)
        return dict(self._known[number - self._first])

    def recall(self, number: int, values: Values) -> None:
        """The number alone says which point is next."""

    def report(self, number: int, budget: int, value: float) -> None:
        """Nothing to learn."""

    def finish(self, number: int, state: str, value: float | None, *, speaks: bool) -> None:
        """Nothing to learn."""


def _source(
    parameters: Sequence[Parameter],
    starting_points: Sequence[Values],
    sampler: SamplerConfig,
    seed: int,
    direction: str,
) -> Source:
    if sampler.name == "grid":
        return _Grid(parameters, starting_points)
    # Optuna takes its time to load; a grid, a pruner or a leaderboard does without.
    from search.strategy.sampled import Sampled

    return Sampled(parameters, sampler=sampler, seed=seed, direction=direction)
