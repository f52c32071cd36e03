"""What a resumed search knows of its past: the record, told again to proposer and pruner, and what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from licap.folded import fold_metric
from search.space import SearchSpace
from search.strategy import Decision, Proposer, Pruner, TrialReport
from search.study import Study
from search.study.events import Ended, Proposed, Reported


@dataclass(frozen=True)
class Cut:
    """A trial that was cut off. stop_due: the pruner wanted to stop it at its last report, and nobody wrote it down.

    ran_s: how long it has run since its last end in the record.
    """

    reason: str
    stop_due: bool = False
    ran_s: float = 0.0


@dataclass(frozen=True)
class Past:
    """Nothing, for a new study.

    proposed: how many trials were. unfinished: those that go on, by number. elapsed: seconds in which searches ran.
    """

    proposed: int = 0
    unfinished: Mapping[int, Cut] = field(default_factory=dict)
    elapsed: float = 0.0


def judged(space: SearchSpace, trial: int, budget: int, metrics: Mapping[str, float]) -> TrialReport:
    """What a pruner is told of a report."""
    name = f"val.{space.metric.name}"
    # Without folds, stages may differ in length between trials.
    fold = (budget - 1) // space.fold_budget if space.folds else 0
    own = metrics[fold_metric(fold, name)] if fold else None
    return TrialReport(trial=trial, budget=budget, value=metrics[name], fold=fold, own=own)


def recall(study: Study, space: SearchSpace, proposer: Proposer, pruner: Pruner) -> Past:
    """Tells proposer and pruner what the record holds, event by event, so that they go on as they would have.

    A trial's reports count once, however often it was cut off and went on.
    """
    metric = f"val.{space.metric.name}"
    unfinished: dict[int, Cut] = {}
    heard: dict[int, int] = {}
    for event in study.events:
        if isinstance(event, Proposed):
            proposer.recall(event.trial, event.values)
            unfinished[event.trial] = Cut("the search was cut off")
        elif isinstance(event, Reported) and event.budget > heard.get(event.trial, 0):
            heard[event.trial] = event.budget
            value = event.metrics[metric]
            proposer.observe_report(event.trial, event.budget, value)
            verdict = pruner.decide(judged(space, event.trial, event.budget, event.metrics))
            unfinished[event.trial] = Cut("the search was cut off", stop_due=verdict is Decision.STOP)
        elif isinstance(event, Ended) and event.state != "interrupted":
            complete = study.trial(event.trial).final(space.metric.name) if event.state == "complete" else None
            proposer.finish(event.trial, event.state, complete, failure=event.failure)
            unfinished.pop(event.trial, None)
    return Past(proposed=len(study.trials()), unfinished=unfinished, elapsed=study.elapsed)
