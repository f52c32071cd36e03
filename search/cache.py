"""Pretrained embeddings on disk, shared by trials, studies and processes: one file per stage 1, bounded in size.

A file's name is the key that `licap.stored.stage_key` gives, so equal names mean equal content, and a file is never
changed. Its modification time says when it was last used. Whatever the folder does, a trial goes on: what cannot be
read is trained, what cannot be written is not kept, and either is said once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.errors import DataError, StoreError
from licap.files import remove_file
from licap.stored import Stored

_SUFFIX = ".pt"
# A file under a temporary name is being written, or a kill left it; nobody writes for as long as this.
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used_ns: int


class EmbeddingCache:
    """A `licap.stored.EmbeddingStore` in a folder, which need not exist; several processes may use it at once.

    max_bytes: size of all files together; what was used longest ago goes first. A put passes it for a moment by its own
    file. tell: called with a sentence for people, once for each thing that goes wrong.
    """

    def __init__(self, folder: Path, max_bytes: int, tell: Callable[[str], None]) -> None:
        self._folder, self._max_bytes, self._tell = folder, max_bytes, tell
        self._told: set[str] = set()

    def get(self, key: str) -> Stored | None:
        """The entry of a key, or None. A damaged file is removed."""
        path = self._path(key)
        if not _is_there(path):
            return None
        try:
            content = load_checkpoint(path)
            if content.get("key") != key:
                raise DataError(f"{path}: holds another key.")
            stored = Stored.from_state(content["stored"])
        except (DataError, KeyError):
            self._drop(path)
            return None
        # Refused for another user's file, and for one that has just been evicted: only the order of eviction suffers.
        with suppress(OSError):
            os.utime(path)
        return stored

    def put(self, key: str, stored: Stored) -> None:
        """Keeps an entry, and removes what was used longest ago where the folder is full."""
        path, began = self._path(key), time.time_ns()
        if stored.num_bytes > self._max_bytes:
            size, limit = (f"{each / 1e6:.1f} MB" for each in (stored.num_bytes, self._max_bytes))
            self._say_once(
                "size", f"{self._folder}: a trial's embeddings take {size}, so a cache of {limit} does not keep them."
            )
            return
        try:
            save_checkpoint(path, {"key": key, "stored": stored.state_dict()})
        except StoreError as error:
            # Of the folder, not of the file: processes that share it then say the same, which is told once.
            reason = str(error).replace(str(path), str(self._folder))
            self._say_once("put", f"pretrained embeddings are not kept for other trials. {reason}")
            return
        try:
            self._evict(path, began)
        except OSError as error:
            self._say_once(
                "evict", f"{self._folder}: cannot be held to its size ({error.strerror}). Check rights of its files."
            )

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _drop(self, path: Path) -> None:
        # Gone by now: another process evicted it between the look and the read. That is a miss and no damage.
        if not _is_there(path):
            return
        reason = f"{path}: damaged, or no kept embeddings at all, so they are trained again."
        try:
            remove_file(path)
            self._say_once(str(path), f"{reason} The file is removed.")
        except StoreError as refused:
            self._say_once(str(path), f"{reason} {refused}")

    def _evict(self, own: Path, began: int) -> None:
        """Removes files down to the bound, used longest ago first: not `own`, and none used since `began`, in ns."""
        entries = sorted(self._entries(), key=lambda entry: entry.used_ns)
        excess = sum(entry.size for entry in entries) - self._max_bytes
        for entry in entries:
            if excess <= 0 or entry.used_ns >= began:
                break
            if entry.path != own:
                entry.path.unlink(missing_ok=True)
                excess -= entry.size

    def _entries(self) -> list[_Entry]:
        """All files; temporary ones that nobody writes any more are removed on the way."""
        found = []
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == _SUFFIX:
                found.append(_Entry(path, status.st_size, status.st_mtime_ns))
            elif path.name.endswith(".tmp") and time.time() - status.st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        return found

    def _say_once(self, what: str, sentence: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(sentence)


def _is_there(path: Path) -> bool:
    # A folder that may not be looked into has no entries; a put says what is wrong with it.
    try:
        path.stat()
    except OSError:
        return False
    return True
