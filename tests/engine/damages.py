"""A copy of a study and its tracking store, and ways to damage it: what kills, disks and hands leave."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest_tools import FinishedSearch

from search.check import main
from search.tracking import tracking_uri
from search.tracking.reader import open_reader, read_study
from search.tracking.store import open_client


class Copy:
    """A copy of a study and its tracking store, to be damaged."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys

    @property
    def folder(self) -> Path:
        return self.root / "studies" / "small"

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def uri(self) -> str:
        return tracking_uri(self.root, None)

    @property
    def client(self) -> Any:
        return open_client(self.uri)

    def run(self, trial: int) -> str:
        """The id of a trial's run."""
        with open_reader(self.uri) as reader:
            return read_study(reader, "small").trials[trial].run_id

    def parent(self) -> str:
        with open_reader(self.uri) as reader:
            found = read_study(reader, "small").parent
        assert found is not None
        return found.run_id

    def sql(self, statement: str, *given: object) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            assert connection.execute(statement, given).rowcount > 0

    def check(self, *words: str) -> tuple[int, list[str]]:
        """Exit code and lines; whatever is found, nothing is changed."""
        before = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        code = main(["small", "--root", str(self.root), *words])
        assert {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()} == before
        said = self._capsys.readouterr()
        return code, (said.out + said.err).splitlines()


def copied(search: FinishedSearch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Copy:
    """A copy that a test may damage."""
    root = tmp_path / "mlruns"
    shutil.copytree(search.place.folder / "mlruns", root, ignore=shutil.ignore_patterns("artifacts", "cache"))
    return Copy(root, capsys)


@pytest.fixture
def copy(finished: FinishedSearch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Copy:
    return copied(finished, tmp_path, capsys)


def delete_run(copy: Copy) -> None:
    copy.client.delete_run(copy.run(3))


def purge_run(copy: Copy) -> None:
    copy.sql("UPDATE tags SET value = 'another' WHERE key = 'study' AND run_uuid = ?", copy.run(3))


def delete_parent(copy: Copy) -> None:
    copy.client.delete_run(copy.parent())


def reopen_run(copy: Copy) -> None:
    copy.client.update_run(copy.run(3), status="RUNNING")


def change_state(copy: Copy) -> None:
    copy.client.set_tag(copy.run(3), "state", "interrupted")


def change_end(copy: Copy) -> None:
    copy.client.set_tag(copy.run(3), "stage", "elsewhere")


def claim_failure(copy: Copy) -> None:
    copy.client.set_tag(copy.run(3), "failure", "oom")


def change_study_state(copy: Copy) -> None:
    copy.client.set_tag(copy.parent(), "state", "running")


def drop_metric(copy: Copy) -> None:
    for table in ("metrics", "latest_metrics"):
        copy.sql(f"DELETE FROM {table} WHERE key = 'val.ndcg_at_20' AND run_uuid = ?", copy.run(3))


def drop_value(copy: Copy) -> None:
    copy.sql("DELETE FROM metrics WHERE key = 'val.rmse' AND step = 7 AND run_uuid = ?", copy.run(0))


def repeat_value(copy: Copy) -> None:
    copy.sql(
        "INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics "
        "WHERE key = 'val.rmse' AND step = 7 AND run_uuid = ?", copy.run(0),
    )  # fmt: skip


def change_value(copy: Copy) -> None:
    copy.sql("UPDATE metrics SET value = 77 WHERE key = 'val.rmse' AND step = 7 AND run_uuid = ?", copy.run(0))


def add_value(copy: Copy) -> None:
    copy.client.log_metric(copy.run(0), "val.rmse", 0.5, step=9_999)


def change_last_value(copy: Copy) -> None:
    copy.sql("UPDATE latest_metrics SET value = 77 WHERE key = 'val.rmse' AND run_uuid = ?", copy.run(0))


def change_best(copy: Copy) -> None:
    copy.client.log_metric(copy.parent(), "val.ndcg_at_20", 0.125, step=0)


def change_parameter(copy: Copy) -> None:
    copy.sql("UPDATE params SET value = '0.9' WHERE key = 'pretrain.imp_ratio' AND run_uuid = ?", copy.run(0))


def drop_parameter(copy: Copy) -> None:
    copy.sql("DELETE FROM params WHERE key = 'downstream.lr' AND run_uuid = ?", copy.run(0))


def add_run(copy: Copy) -> None:
    experiment = copy.client.get_experiment_by_name("licap").experiment_id
    tags = {"study": "small", "kind": "trial", "trial": "3", "state": "complete"}
    copy.client.create_run(experiment, tags=tags)


def repeat_run(copy: Copy) -> None:
    experiment = copy.client.get_experiment_by_name("licap").experiment_id
    tags = {"study": "small", "kind": "trial", "trial": "99", "mlflow.parentRunId": copy.parent()}
    copy.client.create_run(experiment, tags=tags)


def leave_checkpoint(copy: Copy) -> None:
    (copy.folder / "checkpoints").mkdir(exist_ok=True)
    (copy.folder / "checkpoints" / "3.pt").write_bytes(b"left")


def leave_temporary(copy: Copy) -> None:
    (copy.folder / "plots" / ".history.png.abc.tmp").write_bytes(b"half")


def leave_lock(copy: Copy) -> None:
    (copy.folder / "lock").write_text("4242 elsewhere\n", encoding="ascii")


def spoil_table(copy: Copy) -> None:
    path = copy.folder / "leaderboard.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",3,pruned,", ",3,failed,"), encoding="utf-8")


def encode_table(copy: Copy) -> None:
    path = copy.folder / "leaderboard.csv"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")


def spoil_page(copy: Copy) -> None:
    with copy.database.open("r+b") as file:
        for page in range(40, 400, 20):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)


def lose_database(copy: Copy) -> None:
    copy.database.unlink()


def spoil_header(copy: Copy) -> None:
    with copy.database.open("r+b") as file:
        file.write(b"no database at all")


def lose_experiment(copy: Copy) -> None:
    copy.client.delete_experiment(copy.client.get_experiment_by_name("licap").experiment_id)


def tear_tail(copy: Copy) -> None:
    with copy.record.open("ab") as file:
        file.write(b'{"event":"propo')


def lose_end(copy: Copy) -> None:
    copy.record.write_bytes(b"".join(copy.record.read_bytes().splitlines(keepends=True)[:-1]))


def narrow_space(copy: Copy) -> None:
    path = copy.folder / "space.yaml"
    text = path.read_text(encoding="utf-8")
    assert "high: 0.4" in text
    path.write_text(text.replace("high: 0.4", "high: 0.201"), encoding="utf-8")
