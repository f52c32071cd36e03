"""A tracking store that fails while trials run is said once and stops nothing."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from licap.errors import StoreError
from search.engine.side import SideTracker
from search.tracking import Tracker, tracking_uri, writer
from search.tracking.store import is_passing, open_client


def test_a_locked_database_is_told_and_not_raised(tmp_path: Path, empty_database: Path) -> None:
    database = Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))
    said: list[str] = []
    side = SideTracker(Tracker(tracking_uri(tmp_path, None), "s", flush_s=0.05, patience_s=0.2), said.append)
    with side:
        other = sqlite3.connect(database, isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        side.start_trial(0, {"pretrain.lr": 0.1}, {})
        side.log(0, 1, {"val.spearman": 0.5})
        side.end_trial(0, "complete", {}, {})
        side.finish({}, {})
    other.execute("ROLLBACK")
    other.close()
    assert side.errors and all("mlflow.db" in text for text in side.errors)
    assert len(said) == len(side.errors)


def wait_for(said: list[str], count: int) -> None:
    """Until so many sentences were said."""
    for _ in range(600):
        if len(said) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"waited in vain; said: {said}")


def test_a_database_that_is_locked_for_a_while_shows_meanwhile_and_loses_nothing(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LATE_S", 0.2)
    database, uri = Path(shutil.copy(empty_database, tmp_path / "mlflow.db")), tracking_uri(tmp_path, None)
    said: list[str] = []
    with SideTracker(Tracker(uri, "s", flush_s=0.05, patience_s=60.0, say=said.append), said.append) as side:
        said.clear()
        other = sqlite3.connect(database, isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        side.start_trial(0, {"pretrain.lr": 0.1}, {})
        side.log(0, 1, {"val.spearman": 0.5})
        wait_for(said, 1)
        assert said[0].startswith(f"warning: {database}: the tracking store is held by another process, or away")
        other.execute("ROLLBACK")
        other.close()
        wait_for(said, 2)
        assert f"{database}: the tracking store" in said[1] and "that is over after" in said[1]
        side.end_trial(0, "complete", {}, {})
    assert side.errors == ()
    client = open_client(uri)
    [experiment] = client.search_experiments(filter_string="name = 'licap'")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    assert [(run.info.status, run.data.metrics) for run in runs] == [("FINISHED", {"val.spearman": 0.5})]


def test_a_database_that_is_read_only_is_not_waited_for(empty_database: Path) -> None:
    connection = sqlite3.connect(f"file:{empty_database}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        connection.execute("CREATE TABLE another (x)")
    connection.close()
    assert not is_passing(MlflowException(str(refused.value), error_code=TEMPORARILY_UNAVAILABLE))
    assert is_passing(MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE))


def test_a_store_that_cannot_be_opened_is_raised(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database", encoding="utf-8")
    with pytest.raises(StoreError, match="database"), SideTracker(Tracker(tracking_uri(tmp_path, None), "s"), print):
        pass
