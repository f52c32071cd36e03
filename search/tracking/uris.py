"""Where the tracking store is: the given URI or the default one, and the command that shows it. No mlflow here."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from licap.commands import program
from licap.errors import StoreError
from licap.paths import expanded

DATABASE_NAME = "mlflow.db"
_PREFIX = "sqlite:///"
# `a:b.db` is a file name; a scheme is followed by //, or is one of the two that are written without.
_SCHEME = re.compile(r"(file|sqlite|[a-z][a-z0-9+.\-]*(?=://)):", re.IGNORECASE)
_SUFFIXES = {".db", ".sqlite", ".sqlite3"}


def tracking_uri(root: Path, given: str | None) -> str:
    """The store's URI with an absolute path; without a given one, `mlflow.db` in `root`.

    `given` may be the http(s) address of a server, `sqlite:///PATH`, or the path of an SQLite file; in both, `~` at the
    beginning is a home folder.
    MLFLOW_TRACKING_URI is not read: a study must not land elsewhere because of a forgotten variable.
    Raises: StoreError for anything else, MLflow's file store (`./mlruns`) included.
    """
    if given is None:
        return sqlite_uri(root / DATABASE_NAME)
    text = given.strip()
    match = _SCHEME.match(text)
    scheme = match.group(1).lower() if match else ""
    if scheme in {"http", "https"}:
        return _server(text)
    if scheme == "sqlite":
        return sqlite_uri(_database_of(text))
    path = _without_tilde(text, given)
    if scheme and scheme != "file":
        raise StoreError(
            f"{shown(text)}: runs can be kept in an SQLite file (sqlite:///PATH) or on a server (http://HOST:PORT). "
            "For another database, start `mlflow server` on it and give the server's address."
        )
    if scheme or not _is_database(path):
        raise StoreError(
            f"{given}: MLflow no longer keeps runs in a folder of files. "
            f"Name a database file, as in --tracking-uri sqlite:///mlruns/{DATABASE_NAME}, or a server."
        )
    return sqlite_uri(path)


def sqlite_uri(path: Path) -> str:
    """The URI of an SQLite file. Raises: StoreError for a path that no URI can hold."""
    absolute = path.absolute()
    # SQLAlchemy takes ? for options, and reads % differently from version to version.
    for sign in "?%":
        if sign in str(absolute):
            raise StoreError(
                f"{absolute}: a tracking database cannot lie under a path with {sign}. Choose another path."
            )
    return f"{_PREFIX}{absolute}"


def sqlite_path(uri: str) -> Path | None:
    """The database file of an SQLite URI, None for a server."""
    return Path(uri.removeprefix(_PREFIX)) if uri.startswith(_PREFIX) else None


def shown(uri: str) -> str:
    """The URI for messages: a file's plain path, a server's address without its password."""
    path = sqlite_path(uri)
    if path is not None:
        return str(path)
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))


def ui_command(uri: str) -> str:
    """What shows the runs: a shell command for a file, a server's address."""
    return shown(uri) if sqlite_path(uri) is None else program("mlflow", "ui", "--backend-store-uri", uri)


def _server(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.hostname is not None and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise StoreError(f"{address}: not the address of a server. Write it as http://HOST:PORT.")
    return address.rstrip("/")


def _database_of(uri: str) -> Path:
    name = uri[len(_PREFIX) :] if uri.lower().startswith(_PREFIX) else ""
    if not name or name == ":memory:":
        raise StoreError(f"{uri}: names no file. Write it as {_PREFIX}PATH, as in {_PREFIX}mlruns/{DATABASE_NAME}.")
    return _without_tilde(name, uri)


def _without_tilde(text: str, given: str) -> Path:
    try:
        return Path(expanded(text))
    except ValueError as error:
        raise StoreError(f"{given}: {error}.") from None


def _is_database(path: Path) -> bool:
    return path.is_file() or (not path.is_dir() and path.suffix.lower() in _SUFFIXES)
