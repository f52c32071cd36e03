"""Whether the tracking store says of every trial what the record says: runs, states, parameters, each value once."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from licap.commands import program
from licap.errors import StoreError
from search.insight.checks import Check, Difference, Expected, Subject, counted
from search.insight.leaderboard import leaderboard
from search.study import FINAL, TrialRecord
from search.tracking import mlflow_name
from search.tracking.names import param_text, tag_text
from search.tracking.reader import RunReader, StoredRun, StoredStudy, StoredValue, open_reader, read_study
from search.tracking.tracker import STATUS
from search.tracking.uris import shown, sqlite_path

# Of how many values of a trial's run it is said what differs; the others are counted.
_VALUES_SHOWN = 2
_UP = "brings MLflow up to the record"
# What the study's own run says after a search has ended for these reasons.
_STATES_OF_ENDS = {
    "finished": ("complete",),
    "time budget": ("complete",),
    "interrupted": ("interrupted",),
    "failures": ("failed",),
    "broken off": ("interrupted", "failed"),
}


def database_checks(uri: str) -> list[Check]:
    """SQLite's own check of the file; nothing for a server."""
    path = sqlite_path(uri)
    return [] if path is None or not path.is_file() else [_integrity(path)]


def run_checks(subject: Subject, uri: str) -> list[Check]:
    """Runs, states, parameters and values. A store that cannot be read is one difference."""
    try:
        with open_reader(uri) as reader:
            return _Runs(subject, uri, reader, read_study(reader, subject.study.name)).checks()
    except StoreError as error:
        remedy = "it is no loss of results: the record is whole, and a resumed search writes all runs anew elsewhere"
        difference = Difference(str(error), remedy, by_resume=True)
        return [Check("runs", "MLflow's store cannot be read", (difference,))]


def _integrity(path: Path) -> Check:
    from search.tracking.database_reader import integrity, moved

    try:
        complaints, change = integrity(path), moved(path)
    except StoreError as error:
        complaints, change = (str(error),), None
    remedy = (
        f"`{program('sqlite3', path, '.recover')}` saves what can be read, of all studies; or move the file away, "
        "and a resumed search writes this study's runs anew from its record"
    )
    found = "passes SQLite's integrity check" if not complaints else "is damaged"
    differences = [Difference(f"SQLite: {line}", remedy) for line in complaints]
    if change is not None:
        differences.append(
            Difference(
                f"was moved here from {change.old.parent}, where MLflow looks for artifacts, and lists none",
                f"move it back, or say where they are now: `{change.command}`",
            )
        )
    return Check("database", f"{path} {found}", tuple(differences))


@dataclass(frozen=True)
class _Said:
    """What differs in a trial's run. behind: something is missing that a resumed search would add."""

    text: str
    behind: bool = False


class _Runs:
    """The runs of a study beside its record."""

    def __init__(self, subject: Subject, uri: str, reader: RunReader, stored: StoredStudy) -> None:
        self._subject, self._uri, self._reader, self._stored = subject, uri, reader, stored
        self._pairs = [
            (trial, stored.trials[trial.number]) for trial in subject.settled if trial.number in stored.trials
        ]

    def checks(self) -> list[Check]:
        """One after another, each over all trials."""
        return [self._runs(), self._states(), self._params(), self._values()]

    def _runs(self) -> Check:
        subject, stored = self._subject, self._stored
        differences = list(self._missing())
        known = {trial.number for trial in subject.trials}
        unknown = [run for number, run in stored.trials.items() if number not in known and not subject.running]
        for run in [*stored.extra, *unknown]:
            differences.append(
                Difference(
                    f"run {run.run_id}, of trial {run.tags.get('trial', '?')}, is one too many: it says to be of this "
                    "study, and the record needs it for none of its trials",
                    f"{self._mlflow('delete')}, or take its tag `study` away",
                )
            )
        found = f"MLflow has {counted(len(stored.trials), 'trial')} in {shown(self._uri)}"
        if stored.others:
            found += f", and {counted(stored.others, 'run')} of an earlier study of this name"
        return Check("runs", found, tuple(differences))

    def _missing(self) -> Iterator[Difference]:
        gone = {run.trial: run for run in self._stored.deleted if run.kind == "trial"}
        parents = [run for run in self._stored.deleted if run.kind == "study"]
        if self._stored.parent is None and parents:
            yield Difference(f"the study's own run {parents[-1].run_id} was deleted", self._mlflow("restore"))
        elif self._stored.parent is None:
            yield self._subject.resumable("MLflow has no run of the study itself", _UP)
        for trial in self._subject.settled:
            if trial.number in self._stored.trials:
                continue
            if trial.number in gone:
                run_id = gone[trial.number].run_id
                text = f"{trial.state} in the record, its run {run_id} was deleted"
                remedy = f"{self._mlflow('restore')}; or {self._subject.resume('writes a new one from the record')}"
                yield Difference(text, remedy, trial.number, by_resume=True)
            else:
                yield self._subject.resumable(
                    f"{trial.state} in the record, without a run in MLflow", _UP, trial.number
                )

    def _states(self) -> Check:
        differences = [self._subject.resumable(text, _UP) for text in self._study_state()]
        for trial, run in self._pairs:
            found = [*_state(trial, run), *_tags(self._subject.expected[trial.number], run)]
            if trial.failure is None and "failure" in run.tags:
                found.append(_Said(f"MLflow calls it a failure ({run.tags['failure']}), the record does not"))
            differences += [self._difference(trial, run, said) for said in found]
        return Check("states", self._of_trials(differences), tuple(differences))

    def _study_state(self) -> Iterator[str]:
        run, end = self._stored.parent, self._subject.study.end
        if run is None or self._subject.running:
            return
        wanted = ("running",) if end is None else _STATES_OF_ENDS.get(end.reason, tuple(STATUS))
        state = run.tags.get("state", "none")
        if state not in wanted:
            yield f"the study's own run says {state}, the record {' or '.join(wanted)}"
        elif run.status != _status(state):
            yield f"the study's own run is {state} and has the status {run.status}, not {_status(state)}"

    def _params(self) -> Check:
        differences = [
            self._difference(trial, run, said)
            for trial, run in self._pairs
            for said in _params(self._subject.expected[trial.number], run)
        ]
        return Check("parameters", self._of_trials(differences), tuple(differences))

    def _values(self) -> Check:
        differences, total = [], 0
        for trial, run in self._pairs:
            stored = self._reader.values(run)
            total += len(stored)
            found = [*_values(_recorded_values(trial), stored), *_last(stored, run)]
            differences += [self._difference(trial, run, said) for said in found]
        differences += self._best()
        words = self._of_trials(differences) if differences else f"{counted(total, 'value')}, each as recorded and once"
        return Check("values", words, tuple(differences))

    def _best(self) -> Iterator[Difference]:
        """The study's own run has the metrics of the best trial, once a search has ended."""
        end = self._subject.study.end
        ended = end is not None and end.reason != "broken off"
        run, ranked = self._stored.parent, leaderboard(self._subject.trials, self._subject.space).ranked
        if run is None or self._subject.running or not ended or not ranked:
            return
        other = [
            name
            for name, value in ranked[0].metrics.items()
            if run.last.get(mlflow_name(name), (0, math.nan))[1] != value
        ]
        if other:
            yield self._subject.resumable(
                f"the study's own run lacks values of the best trial, {ranked[0].trial}: {_some(other)}", _UP
            )

    def _of_trials(self, differences: list[Difference]) -> str:
        numbers = {each.trial for each in differences if each.trial is not None}
        if not numbers:
            return f"{counted(len(self._pairs), 'trial')} as recorded"
        return f"{counted(len(numbers), 'trial', of=len(self._pairs))} not as recorded"

    def _difference(self, trial: TrialRecord, run: StoredRun, said: _Said) -> Difference:
        """A resumed search adds what is missing to runs that have not come to their end, and leaves others alone."""
        if said.behind and (run.tags.get("state") not in FINAL or run.status == "RUNNING"):
            return self._subject.resumable(said.text, _UP, trial.number)
        remedy = f"{self._mlflow('delete')}; {self._subject.resume('then writes it anew from the record')}"
        return Difference(f"{said.text} (run {run.run_id})", remedy, trial.number)

    def _mlflow(self, verb: str) -> str:
        return f"`MLFLOW_TRACKING_URI={shlex.quote(self._uri)} {program('mlflow', 'runs', verb, '--run-id', 'RUN')}`"


def _status(state: str) -> str:
    return next((status for known, status in STATUS.items() if known == state), "RUNNING")


def _state(trial: TrialRecord, run: StoredRun) -> Iterator[_Said]:
    state = run.tags.get("state", "no state")
    # Cut off and not written down as such: a resumed search that was killed in turn has told MLflow already.
    agreeing = (trial.state, "interrupted") if trial.state == "running" else (trial.state,)
    if state not in agreeing:
        yield _Said(f"{trial.state} in the record, {state} in MLflow", behind=True)
    elif run.status != _status(state):
        yield _Said(f"{trial.state}, and has MLflow's status {run.status} instead of {_status(state)}", behind=True)


def _tags(expected: Expected, run: StoredRun) -> Iterator[_Said]:
    for name, value in expected.tags.items():
        found, wanted = run.tags.get(mlflow_name(name)), tag_text(value)
        if found != wanted:
            said = "nothing" if found is None else repr(found[:80])
            yield _Said(f"tag {name} should be {wanted[:80]!r}, MLflow says {said}", behind=True)


def _params(expected: Expected, run: StoredRun) -> Iterator[_Said]:
    for name, value in expected.params.items():
        found = run.params.get(mlflow_name(name))
        if found is None and name in expected.searched:
            yield _Said(f"{name} is {param_text(value)} in the record, missing in MLflow", behind=True)
        elif found is not None and found != param_text(value):
            yield _Said(f"{name} is {param_text(value)} in the record, {found} in MLflow")


def _recorded_values(trial: TrialRecord) -> dict[tuple[str, int], float]:
    """What a store should hold: every finite value of a report, at its budget."""
    return {
        (mlflow_name(name), report.budget): value
        for report in trial.reports
        for name, value in report.metrics.items()
        if math.isfinite(value)
    }


def _values(recorded: Mapping[tuple[str, int], float], stored: list[StoredValue]) -> Iterator[_Said]:
    held: dict[tuple[str, int], list[float]] = defaultdict(list)
    for each in stored:
        held[each.name, each.step].append(each.value)
    missing = [_place(key) for key in recorded if key not in held]
    foreign = [_place(key) for key in held if key not in recorded]
    twice = [_place(key) for key, values in held.items() if len(values) > 1]
    other = [
        f"{_place(key)} ({held[key][0]!r}, recorded {value!r})"
        for key, value in recorded.items()
        if any(each != value for each in held.get(key, ()))
    ]
    if missing:
        yield _Said(f"MLflow lacks {counted(len(missing), 'value')}: {_some(missing)}", behind=True)
    if foreign:
        yield _Said(f"MLflow holds {counted(len(foreign), 'value')} that nobody recorded: {_some(foreign)}")
    if twice:
        yield _Said(f"MLflow holds {counted(len(twice), 'value')} more than once: {_some(twice)}")
    if other:
        yield _Said(f"MLflow holds {counted(len(other), 'value')} other than recorded: {_some(other)}")


def _last(stored: list[StoredValue], run: StoredRun) -> Iterator[_Said]:
    """MLflow keeps the last values once more, for its tables."""
    newest: dict[str, int] = {}
    for each in stored:
        newest[each.name] = max(each.step, newest.get(each.name, each.step))
    ends = {(each.name, each.step, each.value) for each in stored if each.step == newest[each.name]}
    shown = {(name, step, value) for name, (step, value) in run.last.items()}
    stale = sorted({name for name, _, _ in shown - ends} | (newest.keys() - run.last.keys()))
    if stale:
        yield _Said(f"what MLflow's tables show as last value is not the last one: {_some(stale)}")


def _place(key: tuple[str, int]) -> str:
    return f"{key[0]} at {key[1]}"


def _some(texts: list[str]) -> str:
    rest = len(texts) - _VALUES_SHOWN
    return ", ".join(texts[:_VALUES_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
