"""The time left: right where all trials are alike, not led astray by those that are cut short, silent at first."""

from __future__ import annotations

import dataclasses
import heapq
import re
from collections.abc import Callable

import pytest

from search.engine.progress import Progress
from search.space import SearchSpace
from search.study import Reported, TrialRecord

SPACE = """\
config:
  pretrain: {max_epochs: 40}
  downstream: {max_epochs: 60}
search:
  pretrain.lr: {type: float, low: 1e-3, high: 1e-2}
pruner: none
trials: 12
report_every: 5
"""


class Machine:
    """Slots that train one epoch a second, in bundles of five; a worker takes 30 seconds to start."""

    def __init__(self, epochs: Callable[[int], int], *, slots: int, overrides: tuple[str, ...] = ()) -> None:
        """epochs: how many a trial runs, of 100 at most."""
        self.now = 0.0
        self.said: list[tuple[float, float | None]] = []
        space = SearchSpace.from_text(SPACE, source="small.yaml", overrides=overrides)
        self.progress = Progress(space, clock=lambda: self.now)
        self.progress.begin()
        queue: list[tuple[float, int, int]] = []
        for number in range(slots):
            self.progress.start(number)
            heapq.heappush(queue, (35.0, number, 0))
        self.note()
        waiting = iter(range(slots, 12))
        while queue:
            self.now, number, done = heapq.heappop(queue)
            until = min(done + 5, epochs(number))
            for epoch in range(done + 1, until + 1):
                self.progress.report(number, epoch)
            if until < epochs(number):
                heapq.heappush(queue, (self.now + 5, number, until))
            else:
                self.progress.end(number, "complete", 0.5, ranked=True)
                following = next(waiting, None)
                if following is not None:
                    self.progress.start(following)
                    heapq.heappush(queue, (self.now + 5, following, 0))
            self.note()

    def note(self) -> None:
        """Keeps what is expected now."""
        self.said.append((self.now, self.progress.seconds_left()))

    def errors(self, since: float) -> list[float]:
        """Expected end less the true one, as a share of the whole search; from some share of it on."""
        return [
            (now + left - self.now) / self.now
            for now, left in self.said
            if left is not None and now >= since * self.now
        ]


@pytest.mark.parametrize("slots", [1, 3])
def test_trials_that_are_alike_take_as_long_as_is_said(slots: int) -> None:
    errors = Machine(lambda number: 100, slots=slots).errors(since=0.0)
    assert len(errors) > 10 and max(map(abs, errors)) < 0.1


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_trials_that_are_cut_short_do_not_promise_an_early_end(slots: int) -> None:
    """Two of three trials are cut at 30 of 100 epochs; these come to their end first."""
    machine = Machine(lambda number: 100 if number % 3 == 0 else 30, slots=slots)
    early, late = machine.errors(since=0.0), machine.errors(since=0.5)
    assert min(early) > -0.2 and late and max(map(abs, late)) < 0.3


def test_the_last_trial_in_one_of_many_slots_is_waited_for() -> None:
    machine = Machine(lambda number: 100 if number == 11 else 10, slots=4)
    now, left = next((now, left) for now, left in machine.said if now > 75)
    assert left is not None and now + left == pytest.approx(machine.now, abs=30)


def test_nothing_is_said_before_epochs_were_measured_nor_at_the_end() -> None:
    machine = Machine(lambda number: 100, slots=2)
    known = [left is not None for _, left in machine.said]
    assert known == [False] * 3 + [True] * (len(known) - 4) + [False]
    assert "left" not in machine.progress.line()
    assert "12/12 trials" in machine.progress.line()


def test_a_budget_of_time_bounds_the_time_left() -> None:
    machine = Machine(lambda number: 100, slots=1, overrides=("time_budget=3m",))
    assert machine.said[0] == (0.0, 180.0)
    assert all(left is not None and left <= max(0.0, 180.0 - now) for now, left in machine.said[:-1])


def test_an_epoch_that_a_jump_leaves_out_is_not_waited_for() -> None:
    now = [0.0]
    progress = Progress(SearchSpace.from_text(SPACE, source="s.yaml", overrides=["trials=1"]), clock=lambda: now[0])
    progress.start(0)
    for epoch in range(1, 6):
        progress.report(0, 40 + epoch)
    now[0] = 10.0
    for epoch in range(6, 11):
        progress.report(0, 40 + epoch)
    assert progress.seconds_left() == pytest.approx(2.0 * 50)
    assert re.search(r"0/1 trials · 10 s used · about 1 min 40 s left$", progress.line())


def stretch(progress: Progress, now: list[float], seconds: float, *budgets: int) -> None:
    """Reports of trial 0 in a bundle, some seconds later."""
    now[0] += seconds
    for budget in budgets:
        progress.report(0, budget)


def taken_up(state: str, epochs: int) -> TrialRecord:
    """A trial of a resumed study."""
    reports = tuple(
        Reported(trial=0, stage="pretrain", epoch=budget - 1, budget=budget, metrics={"val.spearman": 0.5})
        for budget in range(1, epochs + 1)
    )
    return TrialRecord(number=0, values={}, starting_point=False, state=state, reports=reports)


def test_a_resumed_study_counts_what_it_has_and_expects_what_is_left() -> None:
    now = [0.0]
    progress = Progress(SearchSpace.from_text(SPACE, source="s.yaml", overrides=["trials=2"]), clock=lambda: now[0])
    done = dataclasses.replace(taken_up("complete", 100), number=1)
    progress.take_over([taken_up("interrupted", 60), done], 70.0)
    assert progress.line() == "1/2 trials · 1 complete · best Spearman 0.5000 (trial 1) · 1 min 10 s used"
    assert progress.seconds_left() is None
    progress.start(0)
    stretch(progress, now, 40.0, *range(61, 66))
    assert progress.seconds_left() is None, "the first stretch holds the start of the worker"
    stretch(progress, now, 10.0, *range(66, 71))
    assert progress.seconds_left() == pytest.approx(2.0 * 30)
    progress.end(0, "complete", 0.75, ranked=True)
    assert progress.seconds_left() is None and "best Spearman 0.7500 (trial 0)" in progress.line()


def test_a_trial_whose_worker_died_keeps_its_epochs() -> None:
    now = [0.0]
    progress = Progress(SearchSpace.from_text(SPACE, source="s.yaml", overrides=["trials=1"]), clock=lambda: now[0])
    progress.start(0)
    stretch(progress, now, 40.0, *range(1, 51))
    progress.start(0)
    stretch(progress, now, 90.0, *range(51, 56))
    stretch(progress, now, 10.0, *range(56, 61))
    assert progress.seconds_left() == pytest.approx(2.0 * 40)
