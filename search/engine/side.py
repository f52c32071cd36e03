"""Tracking as a side line: a store that fails while trials run costs its own entries, not the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

from licap.errors import StoreError
from licap.fields import Scalar
from search.tracking import State, Tracker

Artifacts = Mapping[str, str | bytes]


class SideTracker:
    """A `Tracker` whose errors are kept and said instead of raised; entering raises as ever.

    The record is what counts; hours of training must not end because another process holds the database.
    """

    def __init__(self, tracker: Tracker, say: Callable[[str], object]) -> None:
        """say: is told of each error when it shows."""
        self._tracker, self._say = tracker, say
        self._errors: list[str] = []

    @property
    def errors(self) -> tuple[str, ...]:
        """What went wrong so far, each once."""
        return tuple(self._errors)

    def __enter__(self) -> SideTracker:
        self._tracker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(lambda: self._tracker.__exit__(kind, error, trace))

    def start_trial(self, number: int, params: Mapping[str, Scalar], tags: Mapping[str, object]) -> None:
        """As `Tracker.start_trial`."""
        self._try(lambda: self._tracker.start_trial(number, params, tags))

    def log(self, number: int, budget: int, metrics: Mapping[str, float]) -> None:
        """As `Tracker.log`."""
        self._try(lambda: self._tracker.log(number, budget, metrics))

    def end_trial(self, number: int, state: State, tags: Mapping[str, object], artifacts: Artifacts) -> None:
        """As `Tracker.end_trial`."""
        self._try(lambda: self._tracker.end_trial(number, state, tags, artifacts))

    def finish(self, metrics: Mapping[str, float], artifacts: Artifacts, *, state: State = "complete") -> None:
        """As `Tracker.finish`."""
        self._try(lambda: self._tracker.finish(metrics, artifacts, state=state))

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except StoreError as error:
            if str(error) not in self._errors:
                self._errors.append(str(error))
                self._say(f"warning: the search goes on without its tracking store. {error}")
