"""MLflow's SQLite file, read by SQL and never written, also where a kill left a write half done.

The tables `experiments`, `runs`, `tags`, `params`, `metrics` and `latest_metrics` are those of MLflow 3; a test
compares what is read here with what MLflow's own client says.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from licap.errors import StoreError
from search.tracking.database import LOCK_S, Moved, artifact_homes, database_complaint, moved_artifacts
from search.tracking.reader import RunReader, StoredRun, StoredValue
from search.tracking.tracker import EXPERIMENT

# So many complaints of SQLite are enough to know that a file is damaged.
_COMPLAINTS = 5
_RUNS = """
    SELECT run_uuid, status, runs.lifecycle_stage, COALESCE(start_time, 0)
    FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.name = ? AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'study' AND value = ?)
    ORDER BY start_time, run_uuid
"""
_OF_STUDY = "WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'study' AND value = ?)"


@contextmanager
def readable(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises: StoreError where the file is locked, or no database.

    A kill in the middle of a write leaves a journal, which whoever opens the file next plays back. Here this happens in
    a copy.
    """
    with _in_words(path):
        if not _is_half_written(path):
            with closing(_connected(path)) as connection:
                yield connection
            return
        with tempfile.TemporaryDirectory(prefix="licap-check-") as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            shutil.copyfile(_journal(path), _journal(copy))
            with closing(sqlite3.connect(copy)) as connection:
                yield connection


def integrity(path: Path) -> tuple[str, ...]:
    """What SQLite's own check complains of; empty for a sound file. Raises: StoreError where it cannot be opened."""
    with readable(path) as connection:
        try:
            found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_COMPLAINTS})")]
        except sqlite3.DatabaseError as error:
            found = [str(error)]
    lines = [line for text in found for line in text.splitlines() if not line.startswith("***")]
    return () if lines == ["ok"] else tuple(lines)


def moved(path: Path) -> Moved | None:
    """Whether MLflow looks for artifacts where the database was before. Raises: StoreError as `integrity`."""
    with readable(path) as connection:
        try:
            return moved_artifacts(path, artifact_homes(connection))
        except sqlite3.DatabaseError:
            # Damaged, or not one of MLflow's: other checks say so.
            return None


class DatabaseReader(RunReader):
    """Reads runs through a connection from `readable`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    def runs(self, study: str) -> list[StoredRun]:
        """As `RunReader.runs`."""
        tags, params = self._texts("tags", study), self._texts("params", study)
        last: dict[str, dict[str, tuple[int, float]]] = defaultdict(dict)
        query = f"SELECT run_uuid, key, step, value, is_nan FROM latest_metrics {_OF_STUDY}"
        for run_id, name, step, value, is_nan in self._rows(query, [study]):
            last[run_id][name] = (step, math.nan if is_nan else value)
        return [
            StoredRun(
                run_id=run_id,
                status=status,
                deleted=stage != "active",
                started=started,
                tags=tags[run_id],
                params=params[run_id],
                last=last[run_id],
            )
            for run_id, status, stage, started in self._rows(_RUNS, [EXPERIMENT, study])
        ]

    def values(self, run: StoredRun) -> list[StoredValue]:
        """As `RunReader.values`."""
        query = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ?"
        rows = self._rows(query, [run.run_id])
        return [StoredValue(name, step, math.nan if is_nan else value) for name, step, value, is_nan in rows]

    def _texts(self, table: str, study: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for run_id, name, value in self._rows(f"SELECT run_uuid, key, value FROM {table} {_OF_STUDY}", [study]):
            found[run_id][name] = value
        return found

    def _rows(self, query: str, given: Iterable[object]) -> list[tuple[Any, ...]]:
        with _in_words(self._path):
            return self._connection.execute(query, tuple(given)).fetchall()


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=LOCK_S)


def _is_half_written(path: Path) -> bool:
    """Whether there is a journal that must be played back, which a connection that only reads may not."""
    if not _journal(path).exists():
        return False
    with closing(_connected(path)) as connection:
        try:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            return "readonly" in str(error)
    return False


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error) or "no such column" in str(error):
            raise StoreError(
                f"{path}: is not a database of MLflow 3 ({error}). If the study was tracked elsewhere, give "
                "--tracking-uri."
            ) from None
        raise StoreError(f"{path}: {database_complaint(str(error))}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}). Check the file's rights.") from None
