"""The SQLite file that MLflow keeps its runs in: whether it can be used, and how it is made in one step."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from licap.commands import program
from licap.console import tell
from licap.errors import StoreError
from licap.files import linked, locked_folder, make_folder

# Another search writes for milliseconds at a time; who holds the file longer than this is not a search.
LOCK_S = 5.0
# Making the tables takes some seconds; whoever waits for another process to do so waits this long.
CREATION_S = 60.0
# The folder of artifacts, beside the database.
ARTIFACTS = "artifacts"
_HEADER = b"SQLite format 3\0"
_ELSEWHERE = "Choose another file with --tracking-uri"


def check_database(path: Path) -> None:
    """Checks that a database is MLflow's and can be written, or that one can be made; creates nothing.

    Raises: StoreError: a folder, no database, another program's database, locked, not writable.
    """
    if path.is_dir():
        raise StoreError(f"{path}: is a folder, but the tracking database must be a file. {_ELSEWHERE}.")
    _check_folder(path.parent)
    if is_missing(path):
        return
    address = f"file:{quote(str(path))}?mode=rw"
    try:
        # SQLite itself takes a short text for an empty database, and would overwrite it.
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise sqlite3.DatabaseError("file is not a database")
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            homes = artifact_homes(connection) if "experiments" in tables else ()
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {database_complaint(str(error))}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}). Check the file's rights.") from None
    if tables and "experiments" not in tables:
        raise StoreError(f"{path}: is a database, but not one of MLflow's. {_ELSEWHERE}.")
    moved = moved_artifacts(path, homes)
    if moved is not None:
        raise StoreError(
            f"{path}: was moved here from {moved.old.parent}, where MLflow would still keep artifacts. Move it back, "
            f"or say where they are now: {moved.command}"
        )


def artifact_folder(location: str) -> Path | None:
    """The folder of an artifact location of MLflow's; None where it is no folder of this machine."""
    parts = urlsplit(location)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def artifact_homes(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Where experiments and runs keep their artifacts, as MLflow wrote it: a URI or a path."""
    rows = connection.execute(
        "SELECT artifact_location FROM experiments UNION "
        "SELECT replace(artifact_uri, '/' || run_uuid || '/artifacts', '') FROM runs"
    )
    return tuple(home for (home,) in rows if home)


@dataclass(frozen=True)
class Moved:
    """A database that was moved with its artifacts. old: the folder where MLflow looks for them. command: mends it."""

    old: Path
    command: str


def moved_artifacts(path: Path, homes: Iterable[str]) -> Moved | None:
    """What to do about a database that was moved: MLflow finds no artifact, and would keep new ones in the old place.

    homes: as `artifact_homes` gives them. None where artifacts are where MLflow looks for them, or nowhere.
    """
    new = path.parent.absolute() / ARTIFACTS
    for home in homes:
        old = artifact_folder(home)
        if old is not None and old.name == new.name and not old.exists() and new.is_dir():
            target = new.as_uri() if home.startswith("file:") else str(new)
            statements = "; ".join(
                f"UPDATE {table} SET {column} = replace({column}, {_sql_text(home)}, {_sql_text(target)})"
                for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"))
            )
            return Moved(old, program("sqlite3", path, statements))
    return None


def _sql_text(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"


def database_complaint(message: str) -> str:
    """What SQLite's message means for the user, and what to do."""
    if "locked" in message:
        return "the tracking database is locked by another process. Wait for it or end it, then start again."
    if "not a database" in message or "malformed" in message:
        return f"is not an SQLite database, or is damaged ({message}). {_ELSEWHERE}."
    if "readonly" in message or "unable to open" in message:
        return f"the tracking database cannot be written ({message}). Check the rights of the file and its folder."
    if "full" in message:
        return f"the tracking database cannot grow ({message}). Free some space on the disk."
    return f"the tracking database cannot be used ({message}). {_ELSEWHERE}."


def is_missing(path: Path) -> bool:
    """Whether there is no database yet; an empty file counts as none, as for SQLite."""
    return not path.exists() or path.stat().st_size == 0


def create_database(path: Path, make_tables: Callable[[Path], None]) -> None:
    """Makes the database unless it exists; of several processes that try at once, one does.

    make_tables: fills a new file. It works on a temporary name, so that a kill leaves no database without tables.
    Raises: StoreError where the folder cannot be written, or another process does not come to an end.
    """
    file = linked(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        make_folder(file.parent)
        with _locked(file.parent):
            if not is_missing(file):
                return
            try:
                temporary.unlink(missing_ok=True)
                # SQLite itself would not let the group write, whatever the umask says.
                temporary.touch()
                make_tables(temporary)
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: the tracking database cannot be made ({error.strerror or error}). Check folder, rights and space."
        ) from None


def _check_folder(folder: Path) -> None:
    present = folder
    while not present.exists() and present != present.parent:
        present = present.parent
    if not present.is_dir():
        raise StoreError(f"{present}: is a file, but the tracking database needs a folder there. {_ELSEWHERE}.")
    if not os.access(present, os.W_OK | os.X_OK):
        raise StoreError(f"{present}: the tracking database cannot be written there. Check the folder's rights.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    waiting = partial(tell, f"{folder}: waiting for another process, which is making the tracking database")
    with locked_folder(folder, patience_s=CREATION_S, notice_s=LOCK_S, notice=waiting) as held:
        if not held:
            raise StoreError(
                f"{folder}: another process has been making the tracking database for {CREATION_S:.0f} s. "
                "End it, then start again."
            )
        yield
