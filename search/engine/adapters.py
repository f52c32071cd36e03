"""Ray Tune's searcher, scheduler and stopper, each a few lines that hand over to the conductor."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.engine.actor import ASSIGNMENT, RESULT
from search.engine.conductor import Conductor
from search.engine.messages import Assignment, StepResult

T = TypeVar("T")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Relay:
    """Ray's way to the conductor. Ray would wrap an error of ours in one of its own: the first is kept and ends all."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.error: Exception | None = None

    def __call__(self, ask: Callable[[Conductor], T], otherwise: T) -> T:
        """What the conductor says; `otherwise` once something went wrong."""
        if self.error is not None:
            return otherwise
        try:
            return ask(self.conductor)
        except Exception as error:  # noqa: BLE001 - raised by `raise_error`, once Ray has come to its end
            self.error = error
            return otherwise

    @property
    def is_over(self) -> bool:
        """Whether everything is to end now."""
        return self(lambda conductor: conductor.stop_reason is not None, otherwise=True)

    def raise_error(self) -> None:
        """Raises: the error that was kept, if any."""
        if self.error is not None:
            raise self.error


class _Unsaved:
    """Ray pickles its parts for a restore of its own, which is never used: the study's record is what is read back."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(_Unsaved, Searcher):  # type: ignore[misc]  # ray has no types here
    """Asks the conductor for the next trial; results reach it through the scheduler alone."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def suggest(self, trial_id: str) -> Any:
        """An assignment, None while slots are taken, FINISHED at the end."""

        def ask(conductor: Conductor) -> tuple[Assignment | None, bool]:
            return conductor.propose(), conductor.finished

        nothing: tuple[Assignment | None, bool] = (None, True)
        assignment, finished = self._relay(ask, otherwise=nothing)
        if assignment is not None:
            return {ASSIGNMENT: assignment}
        return Searcher.FINISHED if finished else None

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Metric and direction are the space's."""
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The scheduler has told the conductor."""

    def save(self, checkpoint_path: str) -> None:
        """The study's record is what is kept."""

    def restore(self, checkpoint_path: str) -> None:
        """The study's record is what is read back."""


class StudyScheduler(_Unsaved, FIFOScheduler):  # type: ignore[misc]  # ray has no types here
    """Hands results to the conductor, and its verdict to Ray."""

    _supports_buffered_results = False

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """CONTINUE, or STOP where the trial has ended or is pruned."""
        stop = self._relay(lambda conductor: conductor.receive(number_of(trial), _step_result(result)), otherwise=True)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> None:
        """A result that says `done` reaches the scheduler here only."""
        if RESULT in result:
            self.on_trial_result(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """The actor's process died, or raised."""
        self._relay(lambda conductor: conductor.crashed(number_of(trial), _error_of(trial)), otherwise=None)


class CutOff(BaseException):
    """Leaves Ray Tune at once. Its own way waits for workers that are in the midst of an epoch, or not there yet."""


class StudyStopper(_Unsaved, tune.Stopper):  # type: ignore[misc]  # ray has no types here
    """Polled by Ray's loop: Ctrl-C, a termination signal, the time budget or an error end the experiment."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    def stop_all(self) -> bool:
        """Ends everything where that is due. Raises: CutOff."""
        if self._relay.is_over:
            raise CutOff
        return False


def number_of(trial: RayTrial) -> int:
    """The trial's number in the study."""
    return int(trial.config[ASSIGNMENT].number)


def _error_of(trial: RayTrial) -> str:
    """What Ray has written down by now; `trial.get_error` finds it only later."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return ""
    return _COLOURS.sub("", text).strip()


def _step_result(result: dict[str, Any]) -> StepResult:
    step = result[RESULT]
    if not isinstance(step, StepResult):
        raise TypeError(f"an actor must return a StepResult (got {type(step).__name__})")
    return step
