"""record.jsonl: a header line with the format's version, then one event a line, only ever appended.

Each event is one write of a whole line, so that a kill can tear only the last line. Reading drops a torn last line (it
has no line end, and nothing was done because of it) and refuses a damaged line anywhere else with its number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from licap.errors import StoreError
from search.study.events import FORMAT_VERSION, Event, decode, encode, json_object

RECORD_FILE = "record.jsonl"
_FORMAT = "licap-study"
_BLOCK = 65_536


def header() -> bytes:
    """The first line of a record."""
    return json.dumps({"format": _FORMAT, "version": FORMAT_VERSION}).encode("ascii") + b"\n"


class RecordWriter:
    """Appends events to a record; the caller holds the study's lock.

    cut_bytes: length of a torn last line that was cut off; 0: there was none.
    """

    def __init__(self, path: Path) -> None:
        """Opens an existing record at the end of its last whole line; a torn one is cut off. Raises: StoreError."""
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            whole = _end_of_last_line(self._descriptor)
            self.cut_bytes = os.fstat(self._descriptor).st_size - whole
            if self.cut_bytes:
                os.ftruncate(self._descriptor, whole)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened for writing ({error.strerror}). Check rights.") from None

    def append(self, event: Event, time: float) -> None:
        """Writes one event; returns when the system has it, for durable events when the disk has it.

        Raises: StoreError (disk full and the like); the record is then as it was before.
        """
        line = encode(event, time)
        end = os.fstat(self._descriptor).st_size
        try:
            rest = line
            while rest:
                # A full disk can take half a line; asking for the rest tells why.
                rest = rest[os.write(self._descriptor, rest) :]
            if event.durable:
                os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise StoreError(
                f"{self._path}: cannot be written ({error.strerror}). Free some space there; the record is intact."
            ) from None

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def _end_of_last_line(descriptor: int) -> int:
    """Bytes up to and including the last line end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def torn_bytes(path: Path) -> int:
    """How many bytes stand behind the last whole line: a line that a kill has torn, or that is just being written.

    Raises: StoreError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}). Check the study's name and rights.") from None
    try:
        return os.fstat(descriptor).st_size - _end_of_last_line(descriptor)
    finally:
        os.close(descriptor)


def read_record(path: Path, take: Callable[[Event, float], None]) -> None:
    """Hands the events of a record, and when each was written, to `take`, in order.

    A ValueError that `take` raises counts as damage of that line.

    Raises: StoreError naming file and line of what is damaged, unknown, or written by a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}). Check the study's name and rights.") from None
    *lines, _torn = content.split(b"\n")
    _check_header(path, lines)
    for number, line in enumerate(lines[1:], start=2):
        try:
            take(*decode(line))
        except ValueError as error:
            raise StoreError(
                f"{path}:{number}: damaged line: {error}. Restore the file from a copy, "
                f"or keep the first {number - 1} lines only."
            ) from None


def _check_header(path: Path, lines: Sequence[bytes]) -> None:
    try:
        first = json_object(lines[0] if lines else b"")
    except ValueError:
        first = {}
    version = first.get("version")
    if first.get("format") != _FORMAT or not isinstance(version, int):
        raise StoreError(f"{path}:1: not the record of a study. Choose another study, or restore the file.")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{path}:1: written by a newer version (format {version}, this one reads up to {FORMAT_VERSION}). "
            "Update this program."
        )
