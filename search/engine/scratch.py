"""A scratch folder for Ray: its path short enough for sockets, gone afterwards, swept where a kill left it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from licap.console import tell
from licap.errors import StoreError

_PREFIX = "licap-ray-"
_OWNER = "owner"
_TRIES, _PAUSE_S = 10, 0.2
# The system takes paths of sockets up to 103 bytes (macOS; Linux 107), and Ray appends as much as this to the folder.
_LONGEST = 103 - len("/session_2000-01-01_00-00-00_000000_1000000/sockets/plasma_store")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields a fresh folder below the temporary folder, or below /tmp where that has too long a path for a socket.

    Folders of searches that were killed are removed on the way; who is alive holds a lock on its own.
    Raises: StoreError where no such folder can be made.
    """
    folder = _new_folder()
    try:
        descriptor = _claim(folder)
        try:
            sweep(folder.parent)
            yield folder
        finally:
            os.close(descriptor)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Removes a scratch folder, its owner's file last: what is left now, the next search removes.

    Processes that are just ending may still write there.
    """
    for _ in range(_TRIES):
        for each in sorted(folder.glob("*")):
            if each.name != _OWNER:
                shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)
        if {each.name for each in folder.glob("*")} <= {_OWNER}:
            shutil.rmtree(folder, ignore_errors=True)
            return
        time.sleep(_PAUSE_S)


def sweep(parent: Path) -> None:
    """Removes this user's scratch folders whose owner is gone."""
    for owner in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        try:
            if owner.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(owner, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(owner.parent)
            tell(f"{owner.parent}: files of Ray that a killed search left, removed")
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _new_folder() -> Path:
    places = dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp"))
    for place in places:
        if len(os.fsencode(place)) + len(f"/{_PREFIX}12345678") > _LONGEST:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        except OSError:
            continue
    raise StoreError(
        f"none of {', '.join(places)} can hold Ray's sockets. Set TMPDIR to a folder that can be written, with a path "
        f"of at most {_LONGEST - len(_PREFIX) - 9} bytes."
    )


def _claim(folder: Path) -> int:
    # Locked before it has its name: a sweeper must never find it free.
    draft = folder / f".{_OWNER}"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    draft.rename(folder / _OWNER)
    return descriptor
