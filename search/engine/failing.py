"""When a study is better ended: its first trials all failed for the same class, so it is likely that all would."""

from __future__ import annotations

from collections.abc import Iterable

from search.engine.messages import Failure
from search.study import TrialRecord

# The reason that record and outcome give.
FAILING = "failures"


class FirstTrials:
    """Follows the trials that begin first, in the order in which they began.

    Not those that end first: with several slots, failures end early, and would outnumber what still runs well.
    """

    def __init__(self, count: int, earlier: Iterable[TrialRecord]) -> None:
        """count: how many trials are looked at; 0: none ever are. earlier: those of a resumed study.

        After a study was mended its earlier failures count no more; its successes do.
        """
        self._count = count
        self._settled = count == 0 or any(trial.state in ("complete", "pruned") for trial in earlier)
        self._ends: dict[int, Failure | None] = {}
        self.failure: Failure | None = None

    def begun(self, number: int) -> None:
        """A trial was given to a slot, or was so again."""
        if len(self._ends) < self._count:
            self._ends.setdefault(number, None)

    def ended(self, number: int, state: str, failure: Failure | None) -> None:
        """A trial ended. Sets `failure` where that of the last one is what all of the first have met."""
        self._settled = self._settled or state in ("complete", "pruned")
        if state != "failed" or number not in self._ends:
            return
        self._ends[number] = failure
        kinds = {None if each is None else each.kind for each in self._ends.values()}
        if not self._settled and len(self._ends) == self._count and len(kinds) == 1 and None not in kinds:
            self.failure = failure
