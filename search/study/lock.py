"""One writer per study: an flock on a file that says who holds it.

The kernel drops the lock when its holder dies, so a kill leaves no lock behind, whatever text is left in the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from licap.errors import StoreError

LOCK_FILE = "lock"
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@dataclass(frozen=True)
class Owner:
    """Who writes to a study."""

    pid: int | None
    host: str

    def __str__(self) -> str:
        return "another process" if self.pid is None else f"process {self.pid} on {self.host}"


class Lock:
    """A held lock; `release` gives it back. left_by: who held it before and died without giving it back."""

    def __init__(self, descriptor: int, left_by: Owner | None) -> None:
        self._descriptor: int | None = descriptor
        self.left_by = left_by

    @classmethod
    def acquire(cls, folder: Path) -> Lock:
        """Takes the lock of a study folder and writes down who holds it.

        Raises: StoreError naming the living owner, or saying why the folder cannot be locked. It never waits.
        """
        path = folder / LOCK_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be opened ({error.strerror}). Check rights and space; another user's study opens to "
                f"the group by `chmod -R g+w {shlex.quote(str(folder.parent.parent))}`."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_by = _read(path) if os.fstat(descriptor).st_size else None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                raise StoreError(
                    f"{folder}: is being written by {_read(path)}. Wait for it, or choose another name with --study."
                ) from None
            raise StoreError(
                f"{path}: cannot be locked ({error.strerror}). Use a folder on a disk that supports locks."
            ) from None
        return cls(descriptor, left_by)

    def release(self) -> None:
        """Gives the lock back; a second call does nothing."""
        if self._descriptor is not None:
            # An empty file says that its last holder left in good order.
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def owner_of(folder: Path) -> Owner | None:
    """The living process that holds a study folder's lock, or None. Takes nothing and waits for nothing."""
    path = folder / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _read(path) if error.errno in _HELD else None
    finally:
        os.close(descriptor)
    return None


def left_lock(folder: Path) -> Owner | None:
    """Who died without giving a study folder's lock back; to be asked where `owner_of` finds nobody."""
    path = folder / LOCK_FILE
    try:
        return _read(path) if path.stat().st_size else None
    except OSError:
        return None


def _read(path: Path) -> Owner:
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        words = []
    # The owner may hold the lock and not have written its name yet.
    return Owner(int(words[0]), words[1]) if len(words) == 2 and words[0].isdecimal() else Owner(None, "")
