"""Lines of a tab-separated file, plain or gzipped, and the problems found in them.

There is no quoting and there are no escapes: a line ends at a line feed (or carriage return and line feed), a field at
a tab, and every other character is the field's own. A byte-order mark and a missing final line end change nothing.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from licap.errors import DataError
from licap.invisible import escaped

_LISTED = 20
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


def find_file(folder: Path, name: str) -> Path:
    """`name` or `name.gz` in the folder. Raises: DataError where there is neither, or both."""
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if not found:
        raise DataError(f"{folder}: has no {name} or {name}.gz. Put the file there, or check data.path.")
    if len(found) > 1:
        raise DataError(f"{folder}: has both {name} and {name}.gz. Remove one of the two.")
    return found[0]


def read_lines(path: Path) -> list[str]:
    """The lines without their ends. Raises: DataError for a file that is damaged, empty or not UTF-8."""
    content = _read(path).removeprefix(_BOM)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: is not UTF-8 text. Save the file as UTF-8.") from None
    if not text:
        raise DataError(f"{path}: is empty. Give a header line and data.")
    # Not str.splitlines: it also splits at characters that belong to a text (lone CR, form feed, U+2028 …).
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{path}: the gzip data is truncated or damaged. Get or write the file again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path and its rights.") from None


class LineProblems:
    """Collects what is wrong in a file, to report it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Notes a problem; lines count from 1."""
        self._found.append((line, message))

    def refuse(self) -> None:
        """Raises: DataError with the problems in order of lines, the first ones in full. Nothing without problems."""
        if not self._found:
            return
        found = sorted(self._found)
        shown = [f"{self._path}:{line}: {message}" for line, message in found[:_LISTED]]
        if len(found) > _LISTED:
            shown.append(f"{self._path}: {len(found) - _LISTED} more problems like these.")
        raise DataError("\n".join(shown))


def columns_of(path: Path, header: str, required: tuple[str, ...]) -> dict[str, int]:
    """Name to place of each column. Raises: DataError where a required one is missing or one stands twice."""
    names = header.split("\t")
    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(f"'{escaped(name)}'" for name in names)[:200]
        raise DataError(
            f"{path}:1: the header has no column {', '.join(missing)} (found: {found}). "
            f"The first line must name the columns, separated by tabs: {' '.join(required)}."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}:1: the header names column {', '.join(twice)} twice. Keep one of the two.")
    return {name: place for place, name in enumerate(names)}


def split_rows(lines: list[str], width: int, problems: LineProblems) -> list[list[str]]:
    """The fields of every line after the header. Raises: DataError (all lines) where a line has another width."""
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != width:
            what = "the line is empty. Remove it" if row == [""] else f"{len(row)} columns, must be {width}"
            problems.add(number, f"{what}. Columns are separated by one tab, and there is no quoting.")
    problems.refuse()
    return rows
