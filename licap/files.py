"""Writing files so that a reader never sees half of one: a temporary name in the same folder, then a rename.

A new file or folder gets the rights that the umask leaves, a file that is replaced keeps its own. A symbolic link stays
one: what it names is written, made or removed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from licap.errors import StoreError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a binary file, then renames it to `path`; folders are made as needed.

    What is no file, such as a pipe, is written as it is. Raises: StoreError where the folder cannot be written or the
    disk is full. Nothing is left behind.
    """
    try:
        before = _status(path)
        if before is not None and not _can_be_replaced(before):
            with path.open("wb") as file:
                write(file)
        else:
            _replace(linked(path), before, write)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}). Check folder, rights and space."
        ) from None


def _replace(path: Path, before: os.stat_result | None, write: Callable[[IO[bytes]], object]) -> None:
    """before: of the file that is replaced."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # The system applies the umask, which a program can only read by changing it for all its threads.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            if before is not None:
                _take_over(file.fileno(), before)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _take_over(descriptor: int, before: os.stat_result) -> None:
    """Gives a file the owner, group and rights of another one, as far as this user may."""
    for owner in (before.st_uid, -1):
        with suppress(PermissionError):
            os.fchown(descriptor, owner, before.st_gid)
            break
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _status(path: Path) -> os.stat_result | None:
    """Of what a path names, through symbolic links; None where there is nothing. Raises: OSError, as for a loop."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _can_be_replaced(status: os.stat_result) -> bool:
    # Nobody can write a folder: renaming to its name tells so.
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def linked(path: Path) -> Path:
    """What a path names in the end, through symbolic links, whether or not it is there."""
    return Path(os.path.realpath(path))


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, as far as they are missing. Raises: OSError."""
    linked(path).mkdir(parents=True, exist_ok=True)


@contextmanager
def locked_folder(folder: Path, *, patience_s: float, notice_s: float, notice: Callable[[], object]) -> Iterator[bool]:
    """Holds a lock on a folder itself: no lock file stays behind, and a kill releases it.

    notice: is called once, where another process holds the lock for more than `notice_s`.
    Yields: whether the lock is held; False where another process has held it for `patience_s`. Raises: OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    began, noticed = time.monotonic(), False
    try:
        while not (held := _locks(descriptor)):
            waited = time.monotonic() - began
            if waited > patience_s:
                break
            if waited > notice_s and not noticed:
                notice()
                noticed = True
            time.sleep(0.05)
        yield held
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_file(path: Path) -> None:
    """Removes a file that may be absent. Raises: StoreError where that is not possible."""
    try:
        status = _status(path)
        if status is not None and _can_be_replaced(status):
            linked(path).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be replaced ({error.strerror or error}). Check folder and rights.") from None


def check_writable(folder: Path, remedy: str) -> None:
    """Finds out, before long work, whether files can be made in a folder that need not exist yet; makes nothing.

    Raises: StoreError, which ends with `remedy`.
    """
    try:
        there = linked(folder)
        while not there.exists() and there != there.parent:
            there = there.parent
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error}). {remedy}") from None


def write_file_atomically(path: Path, content: str | bytes) -> None:
    """`write_atomically` for bytes, or for UTF-8 text. Raises: StoreError."""
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    write_atomically(path, lambda file: file.write(data))
