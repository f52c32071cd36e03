"""Whatever a search does is in the record, on the disk, before anybody acts on it: sampler, pruner, MLflow, display."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from desk import TRACEBACK, Desk, Desks, report

from search.engine.messages import Failure, StepResult
from search.study import Decided, Ended, Event, Proposed, Reported, Restarted, Study


@dataclass
class Heard:
    """What listeners were told, with the events that the record's file held at that moment."""

    desks: Desks
    calls: list[tuple[str, tuple[Any, ...], tuple[Event, ...]]] = field(default_factory=list)

    def around(self, name: str, listener: Any) -> Any:
        """A listener that reads the record first, whatever it is told."""
        return _Reading(name, listener, self)

    def note(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Reads the record as another process would, and keeps what it holds."""
        self.calls.append((what, arguments, Study.open(self.desks.root, "small").events))

    def of(self, *names: str) -> Iterator[tuple[tuple[Any, ...], tuple[Event, ...]]]:
        """The calls of these names; there must be some of each."""
        for name in names:
            found = [(arguments, events) for what, arguments, events in self.calls if what == name]
            assert found, f"{name} was never called"
            yield from found


class _Reading:
    def __init__(self, name: str, listener: Any, heard: Heard) -> None:
        self._name, self._listener, self._heard = name, listener, heard

    def __getattr__(self, what: str) -> Callable[..., Any]:
        method = getattr(self._listener, what)

        def call(*arguments: Any, **options: Any) -> Any:
            self._heard.note(f"{self._name}.{what}", arguments)
            return method(*arguments, **options)

        return call


@pytest.fixture
def heard(desks: Desks) -> Heard:
    found = Heard(desks)
    desks.around = found.around
    return found


def eventful(desk: Desk) -> None:
    """A complete, a pruned, a failed and a crashed trial, one that loses its worker, and one that is interrupted."""
    desk.run(0.9)
    desk.run(0.1)
    desk.fail("data")
    desk.conductor.crashed(desk.next().number, TRACEBACK)
    again = desk.next().number
    desk.conductor.receive(again, StepResult((report(1, 0.95, desk.space),), finished=False))
    desk.conductor.crashed(again, "")
    assert desk.next().number == again
    desk.conductor.receive(again, StepResult((report(2, 0.95, desk.space),), finished=False))
    desk.conductor.close()


def test_a_listener_is_told_of_what_the_record_already_holds(desks: Desks, heard: Heard) -> None:
    eventful(desks("trials=9"))
    for (number, *_), events in heard.of("tracker.start_trial", "watch.started"):
        assert isinstance(last := events[-1], Proposed | Restarted) and last.trial == number
    for (number, budget, *_), events in heard.of("tracker.log", "proposer.observe_report"):
        assert isinstance(last := events[-1], Reported) and (last.trial, last.budget) == (number, budget)
    for (number, told, _), events in heard.of("watch.reported"):
        assert isinstance(last := events[-1], Reported) and (last.trial, last.budget) == (number, told.budget)
    for (asked,), events in heard.of("pruner.decide"):
        assert isinstance(last := events[-1], Reported) and (last.trial, last.budget) == (asked.trial, asked.budget)
    states = set()
    for (number, state, *_), events in heard.of("tracker.end_trial", "proposer.finish", "watch.ended"):
        assert isinstance(last := events[-1], Ended) and (last.trial, last.state) == (number, state)
        assert (state == "pruned") == isinstance(events[-2], Decided)
        states.add(state)
    assert states == {"complete", "pruned", "failed", "interrupted"}


def test_what_a_slot_is_given_is_in_the_record_by_then(desks: Desks) -> None:
    desk = desks("trials=9", slots=3)
    for _ in range(3):
        number = desk.next().number
        last = Study.open(desk.root, "small").events[-1]
        assert isinstance(last, Proposed) and last.trial == number
    desk.conductor.crashed(1, "")
    assert desk.next().number == 1
    assert Study.open(desk.root, "small").events[-1] == Restarted(trial=1, reason="its worker process died")


@pytest.mark.parametrize("state", ["complete", "pruned", "failed", "interrupted"])
def test_a_checkpoint_stays_as_long_as_the_trial_can_go_on(desks: Desks, heard: Heard, state: str) -> None:
    desk = desks("trials=9")
    desk.run(0.9)
    number = desk.next().number
    checkpoint = desk.study.checkpoint_path(number)
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"state")
    first = tuple(report(budget, 0.95, desk.space) for budget in (1, 2))
    assert not desk.conductor.receive(number, StepResult(first, finished=False))
    assert checkpoint.exists()
    if state == "complete":
        desk.conductor.receive(number, StepResult((report(8, 0.95, desk.space),), finished=True))
    elif state == "pruned":
        desk.conductor.receive(number, StepResult((report(4, 0.05, desk.space),), finished=False))
    elif state == "failed":
        desk.conductor.receive(number, StepResult((), finished=True, failure=Failure("diverged", "because")))
    else:
        desk.conductor.close()
    assert desk.state(number)[0] == state
    assert checkpoint.exists() == (state == "interrupted")
    if state != "interrupted":
        # Without it a trial can no longer go on: by then the record says that it need not.
        [events] = [events for (each, *_), events in heard.of("proposer.finish") if each == number]
        assert isinstance(events[-1], Ended)


def test_a_checkpoint_outlives_the_worker_that_wrote_it(desks: Desks) -> None:
    desk = desks("max_failures=1")
    number = desk.next().number
    checkpoint = desk.study.checkpoint_path(number)
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"state")
    desk.conductor.crashed(number, "")
    assert checkpoint.exists() and desk.next().checkpoint == checkpoint
    desk.conductor.crashed(number, "")
    assert desk.state(number) == ("failed", "crashed") and not checkpoint.exists()
