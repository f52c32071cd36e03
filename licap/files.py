"""Writing files so that a reader never sees half of one: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from licap.errors import StoreError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a binary file, then renames it to `path`; folders are made as needed.

    Raises: StoreError where the folder cannot be written or the disk is full. Nothing is left behind.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}). Check folder, rights and space."
        ) from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Removes a file that may be absent. Raises: StoreError where that is not possible."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be replaced ({error.strerror or error}). Check folder and rights.") from None


def check_writable(folder: Path, remedy: str) -> None:
    """Finds out, before long work, whether files can be made in a folder that need not exist yet; makes nothing.

    Raises: StoreError, which ends with `remedy`.
    """
    try:
        there = folder
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
