"""Opening an MLflow store: the checks before anything trains, quiet and offline, with errors in words for people."""

from __future__ import annotations

import logging
import os
import shlex
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from licap.commands import program
from licap.errors import StoreError
from licap.files import make_folder
from search.tracking.database import (
    ARTIFACTS,
    artifact_folder,
    check_database,
    create_database,
    database_complaint,
    is_missing,
)
from search.tracking.uris import shown, sqlite_path, sqlite_uri

# A server that says nothing for this long counts as not reachable.
SERVER_S = 10.0
# MLflow's codes for what may pass by itself: a locked file, a server that is away or busy.
_PASSING = {"TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}
_ENVIRONMENT = {
    # Nothing leaves the machine but what goes to the given store. Read when mlflow is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow alone would try for minutes; the writer has a patience of its own.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # A server's runs are announced on stdout otherwise, amid what a command prints there.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def preflight(uri: str) -> None:
    """Checks in a moment, without mlflow and without creating anything, that a store can be used.

    Raises: StoreError: a database that is locked, not writable or none; a server that does not answer within 10 s.
    """
    path = sqlite_path(uri)
    if path is None:
        _check_server(uri)
    else:
        check_database(path)


def open_client(uri: str) -> Any:
    """An MlflowClient of a store that has been checked; makes the database where there is none.

    Raises: StoreError as `preflight`, and for a database of another version of MLflow.
    """
    preflight(uri)
    mlflow_client = _import_client()
    path = sqlite_path(uri)
    with in_words(uri), _unchanged_logging():
        if path is not None and is_missing(path):
            create_database(path, lambda file: _make_tables(file, path.parent / ARTIFACTS))
        # The registry URI is of no use here, but without one MLflow asks its global state.
        client = mlflow_client(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def open_experiment(client: Any, uri: str, name: str) -> str:
    """The id of the experiment, made where it is missing, with artifacts beside the database.

    Raises: StoreError where it was deleted, or its artifacts cannot be written.
    """
    path = sqlite_path(uri)
    location = None if path is None else (path.parent / ARTIFACTS).as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name, artifact_location=location)
        except Exception as error:
            # Another search may have made it in the meantime.
            if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise StoreError(
            f"{shown(uri)}: the experiment {name} was deleted. Bring it back with "
            f"`{_restoring(uri, found.experiment_id)}`, or give another --tracking-uri."
        )
    if path is not None:
        _check_artifacts(found.artifact_location)
    return str(found.experiment_id)


def _restoring(uri: str, experiment_id: str) -> str:
    command = program("mlflow", "experiments", "restore", "--experiment-id", experiment_id)
    return f"MLFLOW_TRACKING_URI={shlex.quote(shown(uri) if '@' in uri else uri)} {command}"


def is_passing(error: Exception) -> bool:
    """Whether it makes sense to try again: the file is locked, the server away. What is full or read-only stays so."""
    lasting = any(words in str(error) for words in ("disk is full", "readonly database"))
    return getattr(error, "error_code", None) in _PASSING and not lasting


@contextmanager
def in_words(uri: str) -> Iterator[None]:
    """Turns what MLflow, the disk or the network raise into a StoreError; any other exception stays as it is."""
    try:
        yield
    except Exception as error:
        told = _explained(error, uri)
        if told is error:
            raise
        raise told from None


def _explained(error: Exception, uri: str) -> Exception:
    if isinstance(error, StoreError):
        return error
    text = str(getattr(error, "message", error))
    lines = text.strip().splitlines() or [type(error).__name__]
    # SQLAlchemy may put words of its own before what SQLite says.
    line = next((each for each in lines if "sqlite3." in each), lines[0])[:300]
    if "database schema" in text or "locate revision" in text:
        return StoreError(
            f"{shown(uri)}: the tracking database was made by another version of MLflow than {_mlflow_version()}. "
            f"If it is older, back it up and run `{program('mlflow', 'db', 'upgrade', uri)}`; if it is newer, install "
            "that version. Or give another --tracking-uri."
        )
    if "sqlite3." in line:
        return StoreError(f"{shown(uri)}: {database_complaint(line.rpartition(') ')[2])}")
    if isinstance(error, OSError):
        return StoreError(f"{shown(uri)}: {line}. Check the store, its rights and the space on its disk.")
    if hasattr(error, "error_code") or type(error).__module__.startswith("sqlalchemy"):
        return StoreError(f"{shown(uri)}: MLflow refuses: {line} Check the store, or give another --tracking-uri.")
    return error


def _import_client() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    # What these would print with a traceback reaches the user as one sentence, or is tried again.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return MlflowClient


@contextmanager
def _unchanged_logging() -> Iterator[None]:
    """Silence while tables are made or checked, for which some versions of MLflow set up all logging anew."""
    root, alembic = logging.getLogger(), logging.getLogger("alembic")
    handlers, levels, disabled = root.handlers[:], (root.level, alembic.level), root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        alembic.setLevel(levels[1])


def _mlflow_version() -> str:
    from mlflow.version import VERSION

    return str(VERSION)


def _make_tables(path: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(sqlite_uri(path), artifacts.as_uri())
    # The file is about to be renamed: no connection may keep the old name.
    store.engine.dispose()


def _check_artifacts(location: str) -> None:
    folder = artifact_folder(location)
    if folder is None:
        return
    try:
        make_folder(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: artifacts cannot be kept there ({error.strerror or error}). "
            "Make it a folder that can be written, or give another --tracking-uri."
        ) from None


def _check_server(uri: str) -> None:
    # In a thread, since looking up a host's name knows no timeout.
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(_complaint(uri)), daemon=True)
    thread.start()
    thread.join(SERVER_S)
    complaint = said[0] if said else f"no answer within {SERVER_S:.0f} s"
    if complaint:
        raise StoreError(
            f"{shown(uri)}: the tracking server cannot be reached ({complaint}). "
            "Start it or check the address; without --tracking-uri runs are kept in a file here."
        )


def _complaint(uri: str) -> str:
    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path}/health")
    try:
        with urlopen(urlunsplit(address), timeout=SERVER_S):
            return ""
    except HTTPError:
        # It answers. What it makes of our requests, MLflow will say.
        return ""
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        # Certificates are MLflow's to judge: it has settings of its own for them.
        return "" if isinstance(reason, ssl.SSLError) else str(reason) or type(error).__name__
