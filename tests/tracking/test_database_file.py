"""The file of the tracking database: made in one step, with the umask's rights, where a symbolic link leads."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from search.tracking.database import artifact_folder, create_database, is_missing
from search.tracking.store import open_client, open_experiment
from search.tracking.uris import sqlite_uri

MAKE = """
import sqlite3, sys
from pathlib import Path
from search.tracking.database import create_database

def make_tables(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE experiments (artifact_location)")

create_database(Path(sys.argv[1]), make_tables)
"""


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_the_database_has_the_rights_of_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "new" / "mlflow.db"
    subprocess.run([sys.executable, "-c", MAKE, path], umask=umask, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o777 & ~umask
    with closing(sqlite3.connect(path)) as connection:
        # What SQLite makes beside it while it writes has the rights of the database.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO experiments VALUES ('here')")
        journal = Path(f"{path}-journal")
        assert stat.S_IMODE(journal.stat().st_mode) == 0o666 & ~umask
        connection.execute("ROLLBACK")


def _make_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (artifact_location)")


def test_what_another_process_left_half_made_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.with_name(f".mlflow.db.{os.getpid()}.tmp").write_bytes(b"half of a database")
    create_database(path, _make_table)
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"] and not is_missing(path)


def test_a_link_to_the_database_stays_one_and_artifacts_lie_beside_it(tmp_path: Path) -> None:
    link, target = tmp_path / "mlruns" / "mlflow.db", tmp_path / "disk" / "deep" / "runs.db"
    link.parent.mkdir()
    link.symlink_to("../disk/deep/runs.db")
    for _ in range(2):
        client = open_client(sqlite_uri(link))
        open_experiment(client, sqlite_uri(link), "licap")
        assert link.is_symlink() and target.is_file() and not target.is_symlink()
    homes = [artifact_folder(each.artifact_location) for each in client.search_experiments()]
    assert len(homes) == 2
    assert all(home is not None and home.is_relative_to(link.parent / "artifacts") for home in homes)
    assert [each.name for each in target.parent.iterdir()] == ["runs.db"]
