"""A tracking store that fails while trials run is said once and stops nothing."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from licap.errors import StoreError
from search.engine.side import SideTracker
from search.tracking import Tracker, tracking_uri


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


def test_a_store_that_cannot_be_opened_is_raised(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database", encoding="utf-8")
    with pytest.raises(StoreError, match="database"), SideTracker(Tracker(tracking_uri(tmp_path, None), "s"), print):
        pass
