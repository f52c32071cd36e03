"""Stores that cannot be used, that are shared, that go away for a while, and writers that are killed."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from licap.errors import StoreError
from search.tracking import Tracker, git_commit, preflight
from search.tracking.store import open_client

# Real processes, started from one that has imported mlflow already: that takes seconds.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store"])
OURS = ("CI", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_LOGGING_LEVEL")


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Holds the database as a process does that is writing to it."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def refused(use: Callable[[str], object], uri: str) -> str:
    """The sentence with which a store is refused."""
    with pytest.raises(StoreError) as caught:
        use(uri)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_good_store_passes_and_nothing_is_created_before_it_is_opened(store: Any, new_store: Any) -> None:
    preflight(store.uri)
    store.database.unlink()
    store.root.rmdir()
    preflight(new_store.uri)
    assert not new_store.root.exists()


def test_a_locked_database_is_named(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.database.LOCK_S", 0.1)
    with locked(store.database):
        message = refused(preflight, store.uri)
    assert str(store.database) in message
    assert "locked by another process" in message


@pytest.mark.parametrize("content", [b"not a database, but long enough to be mistaken for one" * 10, b"x"])
def test_a_file_that_is_no_database_is_named_and_left_alone(store: Any, content: bytes) -> None:
    store.database.write_bytes(content)
    message = refused(preflight, store.uri)
    assert f"{store.database}: is not an SQLite database" in message
    assert store.database.read_bytes() == content


def test_a_truncated_database_is_named(store: Any) -> None:
    store.database.write_bytes(store.database.read_bytes()[:10_000])
    assert "damaged" in refused(preflight, store.uri)


def test_another_programs_database_is_not_touched(store: Any) -> None:
    store.database.unlink()
    with closing(sqlite3.connect(store.database)) as connection:
        connection.execute("CREATE TABLE studies (id INTEGER)")
    before = store.database.read_bytes()
    assert "not one of MLflow's" in refused(open_client, store.uri)
    assert store.database.read_bytes() == before


def test_a_folder_in_place_of_the_database_is_named(new_store: Any) -> None:
    new_store.database.mkdir(parents=True)
    assert "is a folder" in refused(preflight, new_store.uri)


def test_a_file_in_place_of_the_folder_is_named(new_store: Any) -> None:
    new_store.root.write_text("", encoding="utf-8")
    assert f"{new_store.root}: is a file" in refused(preflight, new_store.uri)


def test_a_folder_where_nothing_can_be_written_is_named() -> None:
    # /proc takes no new files from anybody, root included.
    message = refused(open_client, "sqlite:////proc/mlruns/mlflow.db")
    assert message.startswith("/proc")


def test_a_file_in_place_of_the_artifacts_is_named(store: Any) -> None:
    (store.root / "artifacts").write_text("", encoding="utf-8")
    message = refused(lambda uri: Tracker(uri, "s").__enter__(), store.uri)
    assert f"{store.root / 'artifacts'}: artifacts cannot be kept there" in message


def test_a_database_of_another_version_is_named_with_both_ways_out(store: Any) -> None:
    with closing(sqlite3.connect(store.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
        connection.commit()
    message = refused(open_client, store.uri)
    assert "another version of MLflow" in message
    assert "mlflow db upgrade" in message


def test_a_deleted_experiment_is_named_with_its_way_back(store: Any) -> None:
    with store.tracker():
        pass
    identity = store.client.get_experiment_by_name("licap").experiment_id
    store.client.delete_experiment(identity)
    message = refused(lambda uri: Tracker(uri, "s").__enter__(), store.uri)
    assert f"mlflow experiments restore --experiment-id {identity}" in message


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    message = refused(preflight, f"http://me:secret@127.0.0.1:{port}")
    assert f"http://me:***@127.0.0.1:{port}: the tracking server cannot be reached" in message


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.store.SERVER_S", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        message = refused(preflight, f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert "cannot be reached" in message


def test_a_server_that_is_not_mlflows_is_named() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_port}"
        message = refused(open_client, uri)
    finally:
        server.shutdown()
        server.server_close()
    assert message.startswith(f"{uri}: MLflow refuses:")


def test_a_lock_that_passes_costs_nothing(store: Any) -> None:
    with store.tracker(flush_s=0.01) as tracker:
        with locked(store.database):
            tracker.start_trial(0, {"lr": 0.1}, {})
            tracker.log(0, 1, {"loss": 1.0})
            time.sleep(0.5)
        tracker.log(0, 2, {"loss": 0.5})
        tracker.end_trial(0, "complete", {}, {})
    assert store.history(store.trial(0), "loss") == [(1, 1.0), (2, 0.5)]


def test_a_store_that_stays_locked_is_told_and_does_not_hold_the_search(store: Any) -> None:
    tracker = store.tracker(patience_s=0.3)
    tracker.__enter__()
    with locked(store.database):
        tracker.start_trial(0, {}, {})
        with pytest.raises(StoreError, match=r"has not taken the last values for 0.3 s"):
            tracker.__exit__(None, None, None)


def test_a_full_disk_is_told_and_not_tried_again(store: Any, counted: Callable[[], list[int]]) -> None:
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    def fill(connection: Any, *_: object) -> None:
        # From here on SQLite says of its file what it says on a full disk.
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    event.listen(Pool, "connect", fill)
    try:
        tracker = store.tracker(flush_s=60.0, patience_s=3.0)
        tracker.__enter__()
        tracker.start_trial(0, {}, {})
        tracker.log(0, 1, {f"a-metric-with-a-long-name-{place}": 1.0 for place in range(1000)})
        with pytest.raises(StoreError, match=r"mlflow\.db: the tracking database cannot grow \(.*disk is full\)"):
            tracker.__exit__(None, None, None)
    finally:
        event.remove(Pool, "connect", fill)
    assert counted() == [1000]


def test_two_searches_make_and_fill_one_database_at_once(new_store: Any) -> None:
    searches = [_search(_three_trials, new_store.uri, study) for study in ("a", "b")]
    for search in searches:
        search.join(120)
        assert search.exitcode == 0
    for study in ("a", "b"):
        assert [run.info.status for run in new_store.runs(kind="study", study=study)] == ["FINISHED"]
        trials = new_store.runs(kind="trial", study=study)
        assert len(trials) == 3
        assert all(len(new_store.history(run, "loss")) == 100 for run in trials)
    assert sorted(path.name for path in new_store.root.iterdir()) == ["artifacts", "mlflow.db"]


def _three_trials(uri: str, study: str) -> None:
    with Tracker(uri, study, flush_s=0.02) as tracker:
        for number in range(3):
            tracker.start_trial(number, {"lr": 0.1}, {})
            for budget in range(1, 101):
                tracker.log(number, budget, {"loss": budget / 7})
            tracker.end_trial(number, "complete", {}, {"config.yaml": study})
        tracker.finish({"best": 1.0}, {})


def test_a_killed_writer_leaves_a_sound_database_without_its_last_moments(store: Any) -> None:
    here, there = PROCESSES.Pipe(duplex=False)
    search = _search(_report_for_good, store.uri, there)
    there.close()
    reached = 0
    with contextlib.suppress(EOFError):
        while True:
            reached = here.recv()
            if reached == 700:
                search.kill()
    search.join(60)
    with closing(sqlite3.connect(store.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    steps = [step for step, _ in store.history(store.trial(0), "loss")]
    # A beginning without holes. At 500 reports a second a flush holds 50; writing takes a while too.
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > reached - 500


def _report_for_good(uri: str, reached: Connection) -> None:
    with Tracker(uri, "killed", flush_s=0.1) as tracker:
        tracker.start_trial(0, {"lr": 0.1}, {})
        for budget in itertools.count(1):
            tracker.log(0, budget, {"loss": 1.0})
            reached.send(budget)
            time.sleep(0.002)


def test_a_search_cut_off_by_ctrl_c_closes_its_runs(store: Any) -> None:
    here, there = PROCESSES.Pipe(duplex=False)
    search = _search(_report_and_wait, store.uri, there)
    assert here.recv() == "ready"
    assert search.pid is not None
    os.kill(search.pid, signal.SIGINT)
    search.join(60)
    assert store.parent().info.status == "KILLED"
    assert store.trial(0).data.tags["state"] == "interrupted"
    assert store.trial(0).data.metrics == {"loss": 1.0}


def _report_and_wait(uri: str, ready: Connection) -> None:
    with contextlib.suppress(KeyboardInterrupt), Tracker(uri, "cut") as tracker:
        tracker.start_trial(0, {}, {})
        tracker.log(0, 1, {"loss": 1.0})
        ready.send("ready")
        time.sleep(60)


def test_a_new_store_is_made_without_a_word_and_without_telemetry(new_store: Any) -> None:
    script = (
        "import sys; from search.tracking.store import open_client\n"
        "open_client(sys.argv[1])\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "sys.exit(not is_telemetry_disabled())\n"
    )
    # On a build server MLflow sends nothing anyway; here it must not because we say so.
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    command = [sys.executable, "-c", script, new_store.uri]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert git_commit(tmp_path) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    commit = git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "file.py").write_text("", encoding="utf-8")
    assert git_commit(tmp_path / "file.py") == commit


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(Path(__file__)) is None


def _search(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    search = PROCESSES.Process(target=target, args=arguments, daemon=True)
    search.start()
    return search
