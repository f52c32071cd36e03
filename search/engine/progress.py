"""How far a search is: trials, the best so far, time used and left. Numbers alone; `search.engine.watch` shows them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from licap.console import duration
from search.insight import leaderboard
from search.space import SearchSpace
from search.study import FINAL, TrialRecord


@dataclass
class _Course:
    """A trial: epochs run, budget reached, and the stretch in which its pace was measured.

    since, at: time and epochs at the beginning of that stretch; before it begins since is None, and `at` says where the
    trial was taken up. until: time of the last report.
    """

    epochs: int = 0
    budget: int = 0
    since: float | None = None
    at: int = 0
    until: float = 0.0


class Progress:
    """Counts what happens, and says in one line how far the search is."""

    def __init__(self, space: SearchSpace, clock: Callable[[], float] = time.monotonic) -> None:
        self.space = space
        self.done: dict[str, int] = {}
        self.best: tuple[float, int] | None = None
        self._clock = clock
        self._before = 0.0
        self._began = clock()
        self._running: dict[int, _Course] = {}
        self._waiting: dict[int, _Course] = {}
        self._ended: list[_Course] = []
        self._slots = 0
        self._workers_are_there = False

    def begin(self) -> None:
        """The search begins now."""
        self._began = self._clock()

    def take_over(self, trials: Sequence[TrialRecord], elapsed: float) -> None:
        """Counts what a resumed study has: trials that have ended, those that go on, and seconds of searching."""
        self._before = elapsed
        for trial in trials:
            course = _Course(len(trial.reports), trial.budget)
            if trial.state in FINAL:
                self.done[trial.state] = self.done.get(trial.state, 0) + 1
                self._ended.append(course)
            else:
                self._waiting[trial.number] = course
        ranked = leaderboard(trials, self.space).ranked
        if ranked and ranked[0].value is not None:
            self.best = (ranked[0].value, ranked[0].trial)

    def start(self, number: int) -> None:
        """A trial was given to a slot: a new one, or one that goes on because its search or its worker was cut off."""
        earlier = self._waiting.pop(number, None) or self._running.get(number)
        now = self._clock()
        if earlier is not None:
            self._running[number] = _Course(earlier.epochs, earlier.budget, at=earlier.epochs, until=now)
        else:
            # The first trials wait until their workers are there, which is no matter of epochs.
            self._running[number] = _Course(since=now if self._workers_are_there else None, until=now)
        self._slots = max(self._slots, len(self._running))

    def report(self, number: int, budget: int) -> None:
        """A trial has run one more epoch. A stage that is cut short or left out lets the budget jump."""
        course = self._running[number]
        course.epochs, course.budget, course.until = course.epochs + 1, budget, self._clock()
        if course.since is None and course.epochs - course.at == self.space.report_every:
            # Reports come in bundles: only at the end of one are time and epochs in step.
            course.since, course.at = course.until, course.epochs

    def end(self, number: int, state: str, value: float | None, ranked: bool) -> None:
        """Counts an ended trial."""
        self._ended.append(self._running.pop(number))
        self._workers_are_there = True
        self.done[state] = self.done.get(state, 0) + 1
        if ranked and value is not None and (self.best is None or self.space.metric.better(value, self.best[0])):
            self.best = (value, number)

    def line(self) -> str:
        """One line: trials, best so far, time used and left."""
        parts = [f"{sum(self.done.values())}/{self.space.num_trials} trials"]
        parts += [f"{count} {state}" for state, count in sorted(self.done.items())]
        if self.best is not None:
            parts.append(f"best {self.space.metric.label} {self.best[0]:.4f} (trial {self.best[1]})")
        parts.append(f"{duration(self._used())} used")
        left = self.seconds_left()
        if left is not None and "interrupted" not in self.done:
            parts.append(f"about {duration(left)} left")
        return " · ".join(parts)

    def seconds_left(self) -> float | None:
        """Until the last trial's end or that of the time budget; None while nothing is known, and at the end."""
        begun, ended = [*self._running.values(), *self._waiting.values()], list(self._ended)
        to_begin = max(0, self.space.num_trials - len(begun) - len(ended))
        if not begun and not to_begin:
            return None
        left = self._of_epochs(begun, ended, to_begin)
        if self.space.time_budget_s is None:
            return left
        rest = max(0.0, self.space.time_budget_s - self._used())
        return rest if left is None else min(left, rest)

    def _used(self) -> float:
        return self._before + self._clock() - self._began

    def _of_epochs(self, begun: list[_Course], ended: list[_Course], to_begin: int) -> float | None:
        """Epochs left by the pace of an epoch; all slots share them, but none is faster with its last trial."""
        measured = [course for course in (*begun, *ended) if course.since is not None]
        epochs = sum(course.epochs - course.at for course in measured)
        if not epochs:
            return None
        pace = sum(course.until - (course.since or 0.0) for course in measured) / epochs
        expected = _Lifetimes([c.epochs for c in ended], [c.epochs for c in begun], longest=self.space.max_budget)
        rests = [min(expected.left(c.epochs), self.space.max_budget - c.budget) for c in begun]
        rests += [expected.left(0)] * to_begin
        return pace * max(sum(rests) / self._slots, *rests)


class _Lifetimes:
    """How many epochs a trial runs, from those that ended and those that run: these last at least as long as now.

    Without the latter, the trials that are cut short would speak first and loudest.
    Source: Kaplan and Meier, JASA 1958; a trial that outlives all others is taken to run to its end.
    """

    def __init__(self, ended: list[int], running: list[int], *, longest: int) -> None:
        reached = sorted([*ended, *running])
        self._ends = sorted(Counter(ended).items())
        self._at_risk = {end: len(reached) - bisect_left(reached, end) for end, _ in self._ends}
        self._longest = longest

    def left(self, epochs: int) -> float:
        """The mean number of epochs to come of a trial that has run some."""
        alive, total, at = 1.0, 0.0, epochs
        for end, count in self._ends:
            if end > epochs:
                total += alive * (end - at)
                alive *= 1 - count / self._at_risk[end]
                at = end
        return total + alive * max(0, self._longest - at)
