"""Ray Tune's searcher, scheduler and stopper, each a few lines that hand over to the conductor."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.engine.actor import ASSIGNMENT, RESULT
from search.engine.conductor import Conductor
from search.engine.messages import StepResult


class _Unsaved:
    """Ray pickles its parts for a restore of its own, which is never used: the study's record is what is read back."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(_Unsaved, Searcher):  # type: ignore[misc]  # ray has no types here
    """Asks the conductor for the next trial; results reach it through the scheduler alone."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def suggest(self, trial_id: str) -> Any:
        """An assignment, None while slots are taken, FINISHED at the end."""
        assignment = self._conductor.propose()
        if assignment is not None:
            return {ASSIGNMENT: assignment}
        return Searcher.FINISHED if self._conductor.finished else None

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

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """CONTINUE, or STOP where the trial has ended or is pruned."""
        stop = self._conductor.receive(number_of(trial), _step_result(result))
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> None:
        """A result that says `done` reaches the scheduler here only."""
        if RESULT in result:
            self._conductor.receive(number_of(trial), _step_result(result))

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """The actor's process died, or raised."""
        self._conductor.crashed(number_of(trial), _last_line(trial))


class StudyStopper(_Unsaved, tune.Stopper):  # type: ignore[misc]  # ray has no types here
    """Polled by Ray's loop: Ctrl-C, a termination signal or the time budget end the experiment."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here."""
        return False

    def stop_all(self) -> bool:
        """Whether everything is to end now."""
        return self._conductor.stop_reason is not None


def number_of(trial: RayTrial) -> int:
    """The trial's number in the study."""
    return int(trial.config[ASSIGNMENT].number)


def _step_result(result: dict[str, Any]) -> StepResult:
    step = result[RESULT]
    if not isinstance(step, StepResult):
        raise TypeError(f"an actor must return a StepResult (got {type(step).__name__})")
    return step


def _last_line(trial: RayTrial) -> str:
    error = trial.get_error()
    lines = [line for line in str(error).splitlines() if line.strip()] if error else []
    return lines[-1].strip() if lines else "the worker process died without a message"
