"""What happens in a study, in which order: record first, then strategy, tracking and display. Knows no Ray.

Every proposal, report and end is in the record before it is acted on, so that what is on disk is never behind.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from licap.errors import ConfigError
from licap.fields import Scalar
from licap.trial import Report
from search.engine.crashes import failure_of_crash, has_traceback, kernel_kills
from search.engine.entries import beginning, end_tags
from search.engine.failing import FAILING, FirstTrials
from search.engine.messages import TIMED_OUT, Assignment, Failure, Interruption, StepResult
from search.engine.past import Cut, Past, judged
from search.engine.side import SideTracker
from search.engine.watch import Watch
from search.insight import curves_csv, leaderboard
from search.insight.exported import trial_yaml
from search.space import SearchSpace
from search.strategy import Decision, Proposer, Pruner
from search.study import Study
from search.study.events import Decided, Ended, Proposed, Reported, Restarted, StudyEnded
from search.tracking import State


@dataclass
class _Running:
    """A trial that has been proposed and has not ended.

    started: when it would have, had it run at one stretch. ran_before: seconds of its earlier stretches.
    """

    values: Mapping[str, Scalar]
    started: float
    ran_before: float = 0.0
    heard: bool = False
    budget: int = 0
    value: float | None = None
    notes: tuple[str, ...] = ()
    pretraining: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    stop_due: bool = False


class Conductor:
    """Answers the three questions a driver asks: what next, go on or stop, and what if it ended."""

    def __init__(
        self,
        space: SearchSpace,
        study: Study,
        *,
        proposer: Proposer,
        pruner: Pruner,
        tracker: SideTracker,
        watch: Watch,
        slots: int,
        tags: Mapping[str, object],
        interruption: Interruption,
        past: Past | None = None,
        clock: Callable[[], float] = time.monotonic,
        memory_kills: Callable[[], int] = kernel_kills,
    ) -> None:
        """past: what the record of a resumed study has brought back; proposer and pruner know it already.

        memory_kills: how many processes the kernel has killed so far because memory ran out.
        """
        self._space, self._study = space, study
        self._proposer, self._pruner, self._tracker, self._watch = proposer, pruner, tracker, watch
        self._slots, self._origin, self._interruption, self._clock = slots, dict(tags), interruption, clock
        past = past or Past()
        self._began = clock()
        self._elapsed = past.elapsed
        self._metric_key = f"val.{space.metric.name}"
        self._running: dict[int, _Running] = {}
        self._waiting = dict(past.unfinished)
        self._deaths: Counter[int] = Counter()
        self._memory_kills, self._kills = memory_kills, memory_kills()
        self._first = FirstTrials(space.stop_after_failures, study.trials())
        self._next = past.proposed
        self._exhausted = False
        self._stop_reason: str | None = None
        self._warned: set[str] = set()

    @property
    def stop_reason(self) -> str | None:
        """Why no further trial starts and running ones are cut off: `interrupted`, `time budget`, `failures`; or None.

        A search that has nothing left to do can no longer be stopped.
        """
        if self._stop_reason is None and (self._running or self._waiting or not self._all_proposed):
            budget = self._space.time_budget_s
            if self._interruption.asked:
                self._stop("interrupted")
            elif budget is not None and self._elapsed + self._clock() - self._began >= budget:
                self._stop("time budget")
            elif self._first.failure is not None:
                self._stop(FAILING)
        return self._stop_reason

    @property
    def finished(self) -> bool:
        """Whether no further trial will be started."""
        return (self._all_proposed and not self._waiting) or self.stop_reason is not None

    @property
    def _all_proposed(self) -> bool:
        return self._exhausted or self._next >= self._space.trials

    def propose(self) -> Assignment | None:
        """The next trial; None while all slots are taken, or when there is none."""
        assignment = None
        while assignment is None and not self.finished and len(self._running) < self._slots:
            assignment = self._continue_one() if self._waiting else self._propose_one()
        return assignment

    def _continue_one(self) -> Assignment | None:
        """A trial that was cut off, under its number, in the order of the numbers."""
        number = min(self._waiting)
        cut = self._waiting.pop(number)
        self._study.append(Restarted(trial=number, reason=cut.reason))
        trial = self._study.trial(number)
        ran = (trial.seconds or 0.0) + cut.ran_s
        running = _Running(trial.values, self._clock() - ran, ran, stop_due=cut.stop_due)
        if trial.reports:
            last = trial.reports[-1]
            running.budget, running.value = last.budget, last.metrics[self._metric_key]
        self._running[number] = running
        self._watch.started(number, trial.values)
        return self._assignment(number, trial.values)

    def _propose_one(self) -> Assignment | None:
        """One proposal; None where nothing is left to try, or its config is refused."""
        number = self._next
        values = self._proposer.propose(number)
        if values is None:
            self._exhausted = True
            self._watch.said(
                f"every point of the space has been proposed, with {number} trials: no trial is left to start"
            )
            return None
        self._next += 1
        starting = number < len(self._space.starting_points)
        self._study.append(Proposed(trial=number, values=dict(values), starting_point=starting))
        self._running[number] = _Running(values, self._clock())
        self._watch.started(number, values)
        return self._assignment(number, values)

    def _assignment(self, number: int, values: Mapping[str, Scalar]) -> Assignment | None:
        """What an actor needs; None where the config is refused, which ends the trial."""
        self._first.begun(number)
        try:
            config = self._space.config_for(values)
        except ConfigError as error:
            # Ranges are checked one by one when the space is loaded; a combination may still break a joint rule.
            self._tracker.start_trial(number, values, {})
            self._end(number, "failed", Failure("invalid-config", str(error)))
            return None
        told = beginning(config, self._space, self._origin)
        self._running[number].artifacts["config.yaml"] = trial_yaml(config, self._space, self._study)
        self._tracker.start_trial(number, told.params, told.tags)
        return Assignment(
            number,
            config,
            self._space.folds or (config.fold,),
            self._space.report_every,
            checkpoint=self._study.checkpoint_path(number),
            checkpoint_s=self._space.checkpoint_every_s,
            recorded=self._running[number].budget,
            time_left_s=self._time_left(number),
        )

    def _time_left(self, number: int) -> float | None:
        """How long a trial may still run, its earlier stretches counted; None: to its end."""
        limit = self._space.trial_timeout_s
        return None if limit is None else max(0.0, limit - (self._clock() - self._running[number].started))

    def receive(self, number: int, result: StepResult) -> bool:
        """Takes an actor's result. Returns whether the trial is to stop (it has ended, or is pruned).

        Reports are taken one by one, so a trial is pruned at the rung itself, wherever the actor paused; what it did
        beyond is forgotten.
        """
        if number not in self._running:
            return True
        running = self._running[number]
        if not running.heard and result.ran_s is not None:
            # A worker may have had to start first, which is no part of the trial.
            running.heard, running.started = True, self._clock() - running.ran_before - result.ran_s
        if result.failure is None or result.notes:
            running.notes = result.notes
        running.pretraining = result.pretraining or running.pretraining
        for warning in result.warnings:
            self._warn(warning)
        # A trial that goes on from its checkpoint repeats what is recorded already.
        fresh = [report for report in result.reports if report.budget > running.budget]
        if running.stop_due and fresh:
            # It was cut off between the report at which it is pruned and the decision.
            return self._prune(number, running.budget)
        for report in fresh:
            stop = self._take(number, report)
            # A trial that has come to its own end is no longer there to be stopped.
            at_its_end = result.finished and result.failure is None and report is result.reports[-1]
            if stop and not at_its_end:
                return self._prune(number, report.budget)
        if result.failure is not None:
            self._end(number, "failed", result.failure)
        elif result.finished:
            self._end(number, "complete", None)
        return number not in self._running

    def _prune(self, number: int, budget: int) -> bool:
        self._study.append(Decided(trial=number, budget=budget, decision="stop"))
        self._end(number, "pruned", None)
        return True

    def crashed(self, number: int, details: str) -> None:
        """The actor's process died, or raised what nobody expected. details: all that is known.

        A trial whose process died goes on from its checkpoint, up to `max_failures` times; a fault of the program would
        only show again. An actor whose trial hangs ends its own process when the trial's time is over.
        """
        if number not in self._running:
            return
        before, self._kills = self._kills, self._memory_kills()
        died, running = not has_traceback(details), self._running[number]
        if died and self._time_left(number) == 0.0:
            self._end(number, "failed", TIMED_OUT)
        elif died and self._deaths[number] < self._space.max_failures:
            self._deaths[number] += 1
            ran = self._clock() - running.started - (self._study.trial(number).seconds or 0.0)
            self._running.pop(number)
            self._waiting[number] = Cut("its worker process died", stop_due=running.stop_due, ran_s=ran)
            self._watch.said(f"trial {number}: its worker process died; it goes on from its last checkpoint")
        else:
            self._end(number, "failed", failure_of_crash(details, killed_for_memory=self._kills > before))

    def close(self) -> None:
        """Ends what still runs as interrupted, and the study."""
        over = self._all_proposed and not self._running and not self._waiting
        reason = self.stop_reason or ("finished" if over else "broken off")
        for number in list(self._running):
            self._end(number, "interrupted", Failure("interrupted", f"cut off: {reason}"))
        self._study.append(StudyEnded(reason=reason, seconds=self._clock() - self._began))
        self._say_what_was_cached()

    def _warn(self, warning: str) -> None:
        """Says it, unless it has been said: several slots meet the same full disk."""
        if warning not in self._warned:
            self._warned.add(warning)
            self._watch.said(f"warning: {warning}")

    def _say_what_was_cached(self) -> None:
        origins = Counter(trial.pretraining for trial in self._study.trials())
        if origins["cached"]:
            self._watch.said(f"pretraining: {origins['trained']} trained, {origins['cached']} taken from the cache")

    def _stop(self, reason: str) -> None:
        self._stop_reason = reason
        self._watch.said(f"stopping ({reason}): {len(self._running)} running trials are cut off")

    def _take(self, number: int, report: Report) -> bool:
        """Records a report, tells everybody, and asks the pruner. Returns its wish to stop the trial."""
        running = self._running[number]
        metrics = dict(report.metrics)
        self._study.append(
            Reported(trial=number, stage=report.stage, epoch=report.epoch, budget=report.budget, metrics=metrics)
        )
        self._tracker.log(number, report.budget, metrics)
        running.budget, running.value = report.budget, metrics[self._metric_key]
        self._proposer.observe_report(number, report.budget, running.value)
        self._watch.reported(number, report, running.value)
        return self._pruner.decide(judged(self._space, number, report.budget, metrics)) is Decision.STOP

    def _end(self, number: int, state: State, failure: Failure | None) -> None:
        running = self._running.pop(number)
        self._study.append(
            Ended(
                trial=number,
                state=state,
                failure=failure.kind if failure else None,
                message=failure.message if failure else "",
                budget=running.budget,
                seconds=self._clock() - running.started,
                notes=running.notes,
                pretraining=running.pretraining,
            )
        )
        trial = self._study.trial(number)
        running.artifacts["curves.csv"] = curves_csv(trial)
        if failure is not None and failure.details:
            running.artifacts["error.txt"] = failure.details
        final = running.value if state == "complete" else None
        self._proposer.finish(number, state, final, failure=failure.kind if failure else None)
        if state != "interrupted":
            self._study.checkpoint_path(number).unlink(missing_ok=True)
        self._tracker.end_trial(number, state, end_tags(trial), running.artifacts)
        self._first.ended(number, state, failure)
        ranked = bool(leaderboard([trial], self._space).ranked)
        self._watch.ended(number, state, running.value, failure.message if failure else "", ranked=ranked)
