"""Checkpoints: tensors and plain values in a file that is written whole or not at all, and read without running code.

Knows states, no trials.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from licap.config import TrialConfig
from licap.errors import DataError
from licap.files import write_atomically

_FORMAT = "licap checkpoint 1"
_PLAIN = (type(None), bool, int, float, str)


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a state made of tensors, plain values and containers of them; a reader never sees half of it.

    Raises: TypeError for anything else in the state (it could not be read back); StoreError where `path` cannot be
    written.
    """
    _check_plain(dict(state), "state")
    # Through memory: torch's writer seeks, and a full disk would surface as its own error rather than as OSError.
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "state": dict(state)}, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a state back, tensors on the CPU.

    Raises: DataError naming the file where it is missing, damaged, of another kind, or asks for code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check path and rights.") from None
    _check_archive(path, content)
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: holds more than tensors and plain values, so it is not loaded. "
            "Give a checkpoint that this program wrote."
        ) from None
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError, EOFError, AttributeError) as error:
        raise DataError(f"{path}: not a checkpoint ({str(error).splitlines()[0]}). Give another file.") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT or not isinstance(found.get("state"), dict):
        raise DataError(f"{path}: not a checkpoint of this program, or of another version. Give another file.")
    state: dict[str, Any] = found["state"]
    return state


def _check_archive(path: Path, content: bytes) -> None:
    """Refuses what is not torch's zip format, and finds flipped bits, which torch does not look for."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError):
        raise DataError(f"{path}: not a checkpoint, or cut short. Remove it, or give another file.") from None
    if damaged is not None:
        raise DataError(f"{path}: damaged (at {damaged}). Remove it, or give another file.")


def _check_plain(value: object, place: str) -> None:
    # Exact types: a numpy number is a float to isinstance, and does not load again.
    if type(value) in _PLAIN or isinstance(value, torch.Tensor):
        return
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):
        for key, item in value.items():
            _check_plain(key, f"key {key!r} of {place}")
            _check_plain(item, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{place}[{index}]")
    else:
        raise TypeError(f"{place} is a {type(value).__name__}: a checkpoint holds only tensors and plain values")


def content_hash(config: TrialConfig) -> str:
    """64 hex digits that are the same for equal configs, in every process and on every machine."""
    text = json.dumps(config.flat(), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
