"""Reading pickled data without running it: tensors, arrays and plain containers, nothing else.

Takes what `pickle.dump` and `torch.save` write. The file is interpreted, not unpickled (`pickle_machine`), so code in
it does not run; a file that asks for anything else is refused with the name of what it asked for.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from licap.datasets.admitted import MOST_STRETCHED, TABLE, is_plain_tensor, load_torch
from licap.datasets.pickle_machine import PickleMachine, RefusedError
from licap.errors import DataError

_ZIP = b"PK\x03\x04"
# How torch.save began before it wrote zip files: protocol 2, then torch's magic number.
_OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_CONTAINERS = (dict, list, tuple, set, frozenset)
_PLAIN = (str, bytes, bytearray, int, float, bool, type(None), np.ndarray, np.number, np.bool_)


def load_pickle(path: Path) -> object:
    """The value in a pickle or a file of torch.save.

    Raises: DataError naming the file: missing, empty, truncated, no pickle, or holding something that is not allowed.
    """
    content = _read(path)
    try:
        value = _load(path, content)
        _check_plain(value)
    except RefusedError as error:
        raise DataError(
            f"{path}: {error}: only tensors, arrays of numbers and plain containers are. "
            "Write the file again with these only; do not open it with pickle unless you trust its author."
        ) from None
    except MemoryError:
        raise DataError(f"{path}: claims more data than fits into memory. Get the file again.") from None
    except Exception as error:  # noqa: BLE001 - bytes that are no pickle can fail in any way; none may pass unseen
        raise DataError(
            f"{path}: cannot be read as a pickle, it is truncated or another kind of file ({_first_line(error)}). "
            "Get or write the file again."
        ) from None
    return value


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path and its rights.") from None
    if not content:
        raise DataError(f"{path}: is empty. Get or write the file again.")
    return content


def _load(path: Path, content: bytes) -> Any:
    if content.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise RefusedError("a compressed archive is not allowed in a data file")
        held = sum(entry.file_size for entry in entries if "/data/" in entry.filename)
        return _checked_storages(load_torch(path), held)
    if content.startswith(_OLD_TORCH):
        return _checked_storages(load_torch(path), len(content))
    return PickleMachine(TABLE).run(content)


def _checked_storages(value: Any, held: int) -> Any:
    """The value of a torch file that holds `held` bytes of numbers.

    torch enlarges a storage where a tensor's shape leaves it; what then stands there is not from the file.
    """
    tensors = [part for part in _parts(value) if is_plain_tensor(part)]
    sizes = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in tensors}
    if sum(sizes.values()) > held or any(part.numel() > max(held, MOST_STRETCHED) for part in tensors):
        raise ValueError("a tensor is larger than what the file holds")
    return value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def _check_plain(root: Any) -> None:
    """Raises: RefusedError where something else than data is left, such as a global that was never called."""
    for value in _parts(root):
        if not isinstance(value, (*_PLAIN, *_CONTAINERS)) and not is_plain_tensor(value):
            raise RefusedError(f"{getattr(value, 'name', type(value).__name__)} is not allowed in a data file")


def _parts(root: Any) -> Iterator[Any]:
    """The value and all that it contains, each object once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, _CONTAINERS):
            waiting += value
