"""What a tracking store holds of a study, for comparing it with the record. Reading changes nothing, anywhere.

A database file is read by SQL: within seconds for hundreds of trials, and without loading mlflow. A server is asked
through MLflow's client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from licap.errors import StoreError
from search.tracking.names import tag_text
from search.tracking.uris import shown, sqlite_path

PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run. status: MLflow's word. started: milliseconds since the epoch. last: step and newest value, by metric."""

    run_id: str
    status: str
    deleted: bool
    started: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    last: Mapping[str, tuple[int, float]]

    @property
    def kind(self) -> str:
        """`study`, `trial`, or another word that somebody gave it."""
        return self.tags.get("kind", "")

    @property
    def trial(self) -> int | None:
        """The number of the trial that it says to be of."""
        text = self.tags.get("trial", "")
        return int(text) if text.isdecimal() else None

    @property
    def parent(self) -> str:
        """The id of the study's run that it belongs to; may be empty."""
        return self.tags.get(PARENT_TAG, "")


@dataclass(frozen=True)
class StoredValue:
    """One value of a metric, by MLflow's name."""

    name: str
    step: int
    value: float


class RunReader(ABC):
    """A store that is open for reading. Its methods raise StoreError where it cannot be read."""

    @abstractmethod
    def runs(self, study: str) -> list[StoredRun]:
        """All runs with this tag `study`, oldest first, deleted ones included. study: as `tag_text` gives it."""

    @abstractmethod
    def values(self, run: StoredRun) -> list[StoredValue]:
        """Every value of every metric of a run, as often as the store holds it."""


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """The runs of one study.

    parent: its own run, the one that a resumed search goes on with; None where there is none. trials: the run of each
    trial. extra: further runs that call themselves trials of it. deleted: runs that were deleted. others: how many
    runs belong to earlier studies of the same name.
    """

    parent: StoredRun | None
    trials: Mapping[int, StoredRun]
    extra: tuple[StoredRun, ...]
    deleted: tuple[StoredRun, ...]
    others: int


@contextmanager
def open_reader(uri: str) -> Iterator[RunReader]:
    """A reader of the store at a URI from `tracking_uri`. Raises: StoreError where there is none of MLflow's."""
    path = sqlite_path(uri)
    if path is None:
        from search.tracking.server_reader import ServerReader

        yield ServerReader(uri)
        return
    from search.tracking.database_reader import DatabaseReader, readable

    if not path.is_file() or path.stat().st_size == 0:
        raise StoreError(
            f"{shown(uri)}: there is no tracking database. If the study was tracked elsewhere, give --tracking-uri."
        )
    with readable(path) as connection:
        yield DatabaseReader(path, connection)


def read_study(reader: RunReader, study: str) -> StoredStudy:
    """The runs of a study, sorted by what they are. Raises: StoreError."""
    runs = reader.runs(tag_text(study))
    kept, deleted = [run for run in runs if not run.deleted], tuple(run for run in runs if run.deleted)
    parents = [run for run in kept if run.kind == "study"]
    gone = [run for run in deleted if run.kind == "study"]
    own = next(reversed(parents or gone), None)
    earlier = {run.run_id for run in [*parents, *gone] if run is not own}
    trials: dict[int, StoredRun] = {}
    extra: list[StoredRun] = []
    others = 0
    # Newest first: of several runs of a trial a resumed search goes on with the newest.
    for run in reversed(kept):
        if run is own:
            continue
        number = run.trial
        if run.run_id in earlier or run.parent in earlier:
            others += 1
        elif run.kind == "trial" and number is not None and number not in trials and _belongs(run, own):
            trials[number] = run
        else:
            extra.append(run)
    return StoredStudy(
        parent=None if own is None or own.deleted else own,
        trials=trials,
        extra=tuple(reversed(extra)),
        deleted=deleted,
        others=others,
    )


def _belongs(run: StoredRun, parent: StoredRun | None) -> bool:
    return parent is None or run.parent == parent.run_id
