"""A study as an Optuna storage in SQLite, which Optuna loads and optuna-dashboard shows.

The file is sealed, so that an export replaces exports that are as they were written, and nothing else. SQLite counts
the changes of a file in its head; the seal is the count after the last change of ours, written beside a mark of the
project.
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.pool import SingletonThreadPool

from licap.errors import StoreError
from licap.fields import Scalar
from search.space import Parameter

_MARK = int.from_bytes(b"LICA", "big")
# Places in the head of an SQLite file: https://www.sqlite.org/fileformat.html#the_database_header
_CHANGES, _VERSION, _APPLICATION = 24, 60, 68
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_WORDS = {state: word for word, state in _STATES.items()}


@dataclass(frozen=True, kw_only=True)
class StoredTrial:
    """A trial as Optuna is to have it.

    state: complete, pruned or failed; anything else is stored as running. value: of a complete trial, finite. reports:
    the metric by budget; may be NaN or infinite. start, end: seconds since the epoch. attributes: of any kind that JSON
    holds.
    """

    state: str
    value: float | None
    values: Mapping[str, Scalar]
    reports: Mapping[int, float]
    start: float
    end: float
    attributes: Mapping[str, object]


def stored_distribution(parameter: Parameter) -> BaseDistribution:
    """The range as the space file has it; proposals draw the number of a step instead (`samplers.distribution`)."""
    if parameter.kind == "categorical":
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds
    if parameter.kind == "int":
        return IntDistribution(int(low), int(high), log=parameter.log, step=int(parameter.step or 1))
    return FloatDistribution(low, high, log=parameter.log, step=parameter.step)


def storage_bytes(
    name: str,
    metric: str,
    direction: str,
    parameters: Sequence[Parameter],
    trials: Iterable[StoredTrial],
    attributes: Mapping[str, object],
) -> bytes:
    """The SQLite file. trials: by number, from 0. attributes: of the study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = list(trials)
    # In memory, since Optuna waits for the disk at every trial. The database lives as long as a connection to it.
    memory = f"file:{uuid4().hex}?mode=memory&cache=shared"
    with closing(sqlite3.connect(memory, uri=True)) as connection, warnings.catch_warnings():
        # Names of metrics are experimental in Optuna.
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{memory}&uri=true", engine_kwargs={"poolclass": SingletonThreadPool}
        )
        try:
            study = optuna.create_study(
                storage=storage, study_name=name, direction={"max": "maximize", "min": "minimize"}[direction]
            )
            study.set_metric_names([metric])
            for key, value in attributes.items():
                study.set_user_attr(key, value)
            study.add_trials([_frozen(trial, parameters) for trial in kept])
            ids = [trial._trial_id for trial in study.get_trials(deepcopy=False)]
        finally:
            storage.engine.dispose()
        _add_reports(connection, zip(ids, kept, strict=True))
        return _sealed(connection)


def loaded_trials(content: bytes, study: str) -> list[StoredTrial]:
    """The trials of such a file as Optuna reads them, by number."""
    with tempfile.TemporaryDirectory(prefix="licap-optuna-") as folder:
        path = Path(folder) / "study.db"
        path.write_bytes(content)
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"poolclass": SingletonThreadPool})
        try:
            trials = storage.get_all_trials(storage.get_study_id_from_name(study), deepcopy=False)
        finally:
            storage.engine.dispose()
    return [_thawed(trial) for trial in trials]


def replaced_storage(path: Path) -> str | None:
    """Which export a new one would replace, as `study default`; None where there is no file.

    Raises: StoreError where a file stands there that is no export, or was changed since.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            head = file.read(100)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = [name for (name,) in connection.execute("SELECT study_name FROM studies")]
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}). Give another --out.") from None
    except sqlite3.Error:
        names = []
    if len(names) != 1 or _number(head, _APPLICATION) != _MARK or _number(head, _VERSION) != _number(head, _CHANGES):
        raise StoreError(
            f"{path}: is not replaced, for it was not exported from a study, or was changed since. "
            "Give another --out, or delete it."
        )
    return f"study {names[0]}"


def _frozen(trial: StoredTrial, parameters: Sequence[Parameter]) -> FrozenTrial:
    counting = [parameter for parameter in parameters if parameter.name in trial.values]
    frozen = create_trial(
        state=_STATES.get(trial.state, TrialState.RUNNING),
        value=trial.value,
        params={each.name: trial.values[each.name] for each in counting},
        distributions={each.name: stored_distribution(each) for each in counting},
        user_attrs=dict(trial.attributes),
    )
    frozen.datetime_start = datetime.fromtimestamp(trial.start)
    if frozen.state.is_finished():
        frozen.datetime_complete = datetime.fromtimestamp(trial.end)
    return frozen


def _thawed(trial: FrozenTrial) -> StoredTrial:
    began, ended = trial.datetime_start, trial.datetime_complete
    return StoredTrial(
        state=_WORDS.get(trial.state, "running"),
        value=trial.value,
        values=trial.params,
        reports=trial.intermediate_values,
        start=began.timestamp(),
        end=(ended or began).timestamp(),
        attributes=trial.user_attrs,
    )


def _add_reports(connection: sqlite3.Connection, trials: Iterable[tuple[int, StoredTrial]]) -> None:
    # Optuna looks each value up before it adds it, which takes minutes where there are many.
    rows = (
        (trial_id, budget, value if math.isfinite(value) else None, _kind(value))
        for trial_id, trial in trials
        for budget, value in trial.reports.items()
    )
    with connection:
        connection.executemany(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
            "VALUES (?, ?, ?, ?)",
            rows,
        )


def _kind(value: float) -> str:
    if math.isfinite(value):
        return "FINITE"
    return "NAN" if math.isnan(value) else ("INF_POS" if value > 0 else "INF_NEG")


def _sealed(connection: sqlite3.Connection) -> bytes:
    """The database as the bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            connection.backup(file)
            changes = _number(path.read_bytes()[:100], _CHANGES)
            file.execute("BEGIN")
            file.execute(f"PRAGMA application_id = {_MARK}")
            # This is one change more.
            file.execute(f"PRAGMA user_version = {changes + 1}")
            file.execute("COMMIT")
        return path.read_bytes()


def _number(head: bytes, place: int) -> int:
    return int.from_bytes(head[place : place + 4], "big")
