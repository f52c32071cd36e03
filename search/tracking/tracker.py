"""The tracker that a search reports to: never waits for the store while trials run, and says once when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal

from licap.console import tell
from licap.errors import StoreError
from licap.fields import Scalar
from search.tracking.runs import Artifacts, Point, StudyRuns
from search.tracking.store import in_words, is_passing, open_client, open_experiment
from search.tracking.uris import shown, sqlite_path
from search.tracking.writer import Writer, lateness_told, patiently

State = Literal["complete", "pruned", "failed", "interrupted"]
EXPERIMENT = "licap"

# The tag `state` is the truth. MLflow has no status for "stopped early because others are better"; its own Optuna
# integration calls such runs KILLED, and so `status = 'FINISHED'` picks the runs whose last values may be compared.
STATUS: Mapping[State, str] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
_PARENT = -1
# Who interrupts a search is not kept waiting for a store: a resumed search brings it what is missing.
_HURRY_S = 3.0
_log = logging.getLogger(__name__)


class Tracker:
    """One study's runs in MLflow, as a context manager: opens on entering, closes whatever happens.

    Entering waits for the store and raises StoreError where it cannot be used. Afterwards everything is handed to one
    writer thread, so `start_trial`, `log`, `end_trial` and `finish` return at once. An error of the writer is raised
    once, as StoreError, by the next call, which has handed over its own part by then. A store that stays away longer
    than `patience_s` is given up: later calls do nothing. A run that MLflow refuses to write is given up alone.
    Leaving the block ends open trials as interrupted and writes what is left; it goes on without where the store takes
    nothing for `patience_s`.
    """

    def __init__(
        self,
        uri: str,
        study: str,
        *,
        tags: Mapping[str, object] | None = None,
        resume: bool = False,
        experiment: str = EXPERIMENT,
        flush_s: float = 1.0,
        patience_s: float = 60.0,
        say: Callable[[str], object] = tell,
    ) -> None:
        """uri: from `tracking_uri`. tags: of the parent run. resume: goes on with the runs of an earlier search.

        flush_s: how long a value may wait to be written, and thus what a kill can lose. patience_s: how long a locked
        database or an absent server is waited for. say: is told of waits of more than 5 s, also by the writer's thread.
        """
        self._uri, self._study, self._experiment = uri, study, experiment
        self._tags = dict(tags or {})
        self._resume, self._flush_s, self._patience_s, self._say = resume, flush_s, patience_s, say
        self._open: set[int] = set()
        self._state: State | None = None

    def __enter__(self) -> Tracker:
        client = open_client(self._uri)
        with in_words(self._uri), self._told():
            self._runs = patiently(lambda: self._begin(client), is_passing=is_passing, patience_s=self._patience_s)
        self._writer: Writer[Point] = Writer(
            self._runs.write,
            is_passing=is_passing,
            flush_s=self._flush_s,
            patience_s=self._patience_s,
            attempt=self._told,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close(self._state or _state_after(kind))
        except StoreError as store_error:
            if kind is None:
                raise
            # What ended the block is the news; this is said beside it.
            _log.error("%s", store_error)

    @property
    def parent_run_id(self) -> str:
        """MLflow's id of the study's run."""
        return self._runs.parent_id

    def final_trials(self) -> frozenset[int]:
        """Numbers of the trials whose runs say that they have come to their own end. Raises: StoreError."""
        with in_words(self._uri), self._told():
            return patiently(self._runs.final_trials, is_passing=is_passing, patience_s=self._patience_s)

    def start_trial(self, number: int, params: Mapping[str, Scalar], tags: Mapping[str, object]) -> None:
        """Opens a trial's run with its parameters by their dotted names. Raises: StoreError of an earlier write."""
        params, tags = dict(params), dict(tags)
        self._open.add(number)
        self._writer.submit(number, lambda: self._runs.start(number, params, tags))
        self._raise_error()

    def log(self, number: int, budget: int, metrics: Mapping[str, float]) -> None:
        """Hands over a report's values at step `budget`; only the first finite value of a metric and step is kept.

        Raises: StoreError of an earlier write; ValueError for a trial that is not open.
        """
        self._check_open(number)
        now = _milliseconds()
        for name, value in metrics.items():
            self._writer.add(number, Point(name, value, budget, now))
        self._raise_error()

    def end_trial(self, number: int, state: State, tags: Mapping[str, object], artifacts: Artifacts) -> None:
        """Ends a trial's run. artifacts: text or bytes by file name.

        Raises: StoreError of an earlier write; ValueError for a trial that is not open.
        """
        self._check_open(number)
        self._end(number, state, tags, artifacts)
        self._raise_error()

    def finish(self, metrics: Mapping[str, float], artifacts: Artifacts, *, state: State = "complete") -> None:
        """Gives the study's run its results and says how the study ended. Raises: StoreError of an earlier write."""
        self._state = state
        metrics, artifacts, now = dict(metrics), dict(artifacts), _milliseconds()
        self._writer.submit(_PARENT, lambda: self._runs.finish(metrics, artifacts, now))
        self._raise_error()

    def _begin(self, client: object) -> StudyRuns:
        runs = StudyRuns(client, open_experiment(client, self._uri, self._experiment), self._study)
        runs.open_parent(self._tags | {"state": "running"}, resume=self._resume)
        return runs

    def _end(self, number: int, state: State, tags: Mapping[str, object], artifacts: Artifacts) -> None:
        self._open.remove(number)
        given, files = dict(tags) | {"state": state}, dict(artifacts)
        self._writer.submit(number, lambda: self._runs.end(number, STATUS[state], given, files))

    def _close(self, state: State) -> None:
        for number in sorted(self._open):
            self._end(number, "interrupted", {}, {})
        self._writer.submit(_PARENT, lambda: self._runs.close_parent(STATUS[state], {"state": state}))
        patience_s = min(self._patience_s, _HURRY_S) if state == "interrupted" else self._patience_s
        in_time = self._writer.close(patience_s)
        self._raise_error()
        if not in_time:
            raise StoreError(
                f"{shown(self._uri)}: the tracking store has not taken the last values for {patience_s:g} s; "
                "they are missing there. Check that it answers and that no other process holds it."
            )

    def _told(self) -> AbstractContextManager[None]:
        keeps = "does not answer" if sqlite_path(self._uri) is None else "is held by another process, or away"
        return lateness_told(self._say, f"{shown(self._uri)}: the tracking store {keeps}")

    def _check_open(self, number: int) -> None:
        if number not in self._open:
            raise ValueError(f"trial {number} is not open")

    def _raise_error(self) -> None:
        error = self._writer.take_error()
        if error is not None:
            with in_words(self._uri):
                raise error


def _state_after(kind: type[BaseException] | None) -> State:
    if kind is None:
        return "complete"
    return "failed" if issubclass(kind, Exception) else "interrupted"


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
