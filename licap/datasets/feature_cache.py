"""Computed features kept on disk: one .npy file per key, with a checksum behind the array.

Written under a temporary name and renamed, so that of two processes which compute the same key at once the later one
wins with an equal file. Other programs can read the files with numpy.load, which stops where the array ends.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.files import check_writable, write_atomically

_LOG = logging.getLogger(__name__)
_DIGEST_SIZE = hashlib.sha256().digest_size


def cached(folder: Path, key: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array kept under `key`, or else what `compute` returns, which is then kept.

    key: a file name without its ending. A damaged file is computed again, with a warning in the log.
    Raises: StoreError, before anything is computed, where the folder cannot be written.
    """
    path = folder / f"{key}.npy"
    try:
        return _read(path)
    except FileNotFoundError:
        _LOG.debug("%s: not there yet", path)
    except (OSError, ValueError, EOFError) as error:
        _LOG.warning("%s: damaged (%s); computing these features again.", path, error)
    check_writable(folder, "Set data.cache to a folder that you may write to.")
    array = np.ascontiguousarray(compute())
    write_atomically(path, lambda file: file.write(_encode(array)))
    return array


def _read(path: Path) -> NDArray[Any]:
    """Raises: FileNotFoundError (also where the folder is none); OSError, ValueError, EOFError for no file of ours."""
    try:
        content = path.read_bytes()
    except NotADirectoryError:
        raise FileNotFoundError(path) from None
    body, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("its checksum does not fit")
    array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def _encode(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    body = buffer.getvalue()
    return body + hashlib.sha256(body).digest()
