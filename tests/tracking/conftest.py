"""A fresh MLflow store per test, copied from one that is made once; and runs read back through MLflow's own client."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search.tracking import Tracker, tracking_uri
from search.tracking.store import open_client


@dataclass(frozen=True)
class Store:
    """A tracking store in a folder of its own."""

    root: Path

    @property
    def uri(self) -> str:
        return tracking_uri(self.root, None)

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    def tracker(self, study: str = "s", **options: Any) -> Tracker:
        return Tracker(self.uri, study, **options)

    @property
    def client(self) -> Any:
        return open_client(self.uri)

    def runs(self, **tags: str) -> list[Any]:
        """All runs with these tags, oldest first."""
        client = self.client
        experiment = client.get_experiment_by_name("licap")
        found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
        return [run for run in found if tags.items() <= run.data.tags.items()]

    def trial(self, number: int) -> Any:
        (run,) = self.runs(kind="trial", trial=str(number))
        return run

    def parent(self) -> Any:
        (run,) = self.runs(kind="study")
        return run

    def history(self, run: Any, name: str) -> list[tuple[int, float]]:
        found = self.client.get_metric_history(run.info.run_id, name)
        return sorted((metric.step, metric.value) for metric in found)

    def artifact(self, run: Any, name: str) -> bytes:
        path = Path(self.client.download_artifacts(run.info.run_id, name))
        return path.read_bytes()


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the tracker makes it; making one takes a second or more."""
    root = tmp_path_factory.mktemp("made")
    open_client(tracking_uri(root, None))
    return root / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, made_database: Path) -> Store:
    root = tmp_path / "mlruns"
    root.mkdir()
    shutil.copy(made_database, root / "mlflow.db")
    return Store(root)


@pytest.fixture
def new_store(tmp_path: Path) -> Store:
    """A store whose folder does not exist yet."""
    return Store(tmp_path / "mlruns")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """How many metrics each call of log_batch wrote."""
    from mlflow.tracking import MlflowClient

    sizes: list[int] = []
    original = MlflowClient.log_batch

    def log_batch(self: Any, run_id: str, metrics: Any = (), **rest: Any) -> Any:
        if metrics:
            sizes.append(len(metrics))
        return original(self, run_id, metrics=metrics, **rest)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    return lambda: sizes
