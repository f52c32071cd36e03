"""What a sampler gets to see of a study's trials: those that teach it something, and not more of them than help.

A sampler of Optuna reads all trials at each proposal, which takes ever longer. Here it reads a window: the `BEST` best
trials and the `LAST` that ended last, and those that run. TPE calls a tenth of the trials good, at most 25, and gives
older bad ones less and less weight, so little is lost. The window follows from the history, in the order in which
trials ended: whoever is told a recorded history sees the same.

Optuna's samplers pass over failed trials, and so go on proposing the region where trials fail. A trial whose failure
says something of its values is shown in the worst place that the sampler knows: to TPE as a pruned trial that never
reported, which ranks behind all others; to CMA-ES and Gaussian processes, which know complete trials only, as one with
the worst value that was seen. A Gaussian process first needs `startup` values of its own: fitted to failures and two or
three values it does worse than chance (`python -m benchmarks.failures`).
"""

from __future__ import annotations

import copy
import math
from bisect import insort
from collections import deque
from collections.abc import Container, Sequence

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

BEST, LAST = 50, 250


class Memory(InMemoryStorage):  # type: ignore[misc]  # optuna is not followed by mypy
    """Keeps all trials as they were told, and shows a sampler its window of them."""

    def __init__(self, *, sign: float, complete_only: bool, values_first: int) -> None:
        """sign: 1 where smaller values are better, else -1. complete_only: for samplers that know no pruned trials;
        values_first: how many complete trials there must be before these see a failure."""
        super().__init__()
        self._sign, self._complete_only, self._values_first = sign, complete_only, values_first
        self._complete = 0
        self._running: dict[int, int] = {}
        self._last: deque[FrozenTrial] = deque(maxlen=LAST)
        self._best: list[tuple[tuple[float, ...], FrozenTrial]] = []
        self._worst = -math.inf

    def begin(self, number: int, trial_id: int) -> None:
        """From here on the trial is shown as running."""
        self._running[number] = trial_id

    def withdraw(self, trial_id: int) -> None:
        """Forgets what was drawn for a trial that has not begun, so that it can be drawn anew under its number."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.params, trial.distributions = {}, {}
            self._set_trial(trial_id, trial)

    def end(self, trial: FrozenTrial, *, speaks: bool) -> None:
        """Takes a trial that ended. speaks: whether a failed one says something of its values."""
        self._running.pop(trial.number)
        if trial.state == TrialState.COMPLETE:
            loss = self._sign * trial.value
            self._complete += 1
            self._worst = max(self._worst, loss)
            self._remember(trial, (0, loss))
        elif trial.state == TrialState.PRUNED and not self._complete_only:
            self._remember(trial, _pruned_rank(trial, self._sign))
        elif trial.state == TrialState.FAIL and speaks:
            self._last.append(trial)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The window, by number; trials that wait to be asked for are found as ever."""
        if states == (TrialState.WAITING,):
            return list(super().get_all_trials(study_id, deepcopy, states))
        shown = [trial for trial in self._window() if states is None or trial.state in states]
        return copy.deepcopy(shown) if deepcopy else shown

    def _remember(self, trial: FrozenTrial, rank: Sequence[float]) -> None:
        self._last.append(trial)
        insort(self._best, ((*rank, trial.number), trial), key=lambda each: each[0])
        del self._best[BEST:]

    def _window(self) -> list[FrozenTrial]:
        found = {trial.number: trial for _, trial in self._best}
        for trial in self._last:
            shown = self._as_worst(trial) if trial.state == TrialState.FAIL else trial
            if shown is not None:
                found[trial.number] = shown
        found |= {number: self.get_trial(trial_id) for number, trial_id in self._running.items()}
        return [found[number] for number in sorted(found)]

    def _as_worst(self, trial: FrozenTrial) -> FrozenTrial | None:
        """A failed trial in the worst place; None as long as there are too few values for one to stand in."""
        shown = copy.copy(trial)
        shown.intermediate_values = {}
        if not self._complete_only:
            shown.state = TrialState.PRUNED
            return shown
        if self._complete < self._values_first:
            return None
        shown.state, shown.values = TrialState.COMPLETE, [self._sign * self._worst]
        return shown


def _pruned_rank(trial: FrozenTrial, sign: float) -> tuple[float, float, float]:
    """TPE's own order: behind all complete trials, who came far first."""
    if not trial.intermediate_values:
        return (2, 0, 0)
    budget, value = max(trial.intermediate_values.items())
    return (1, -budget, math.inf if math.isnan(value) else sign * value)
