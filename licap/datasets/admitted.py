"""The globals that a data file may name, and what stands in for each: checked builders of arrays, tensors, containers.

No stand-in hands out the library's own class or function. numpy 1 and 2 name their helpers differently
(`numpy.core.…`, `numpy._core.…`); both mean the same here. Arrays hold numbers or booleans, in native byte order.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.datasets.pickle_machine import Admitted, RefusedError, Unbuilt

Array = NDArray[Any]
_IS_SWAPPED = {"|": False, "=": False, "<": sys.byteorder == "big", ">": sys.byteorder == "little"}
_NUMBER_TYPE = re.compile(r"[biufc]\d{1,2}")
# A stretched tensor (stride 0) can claim any size with a few bytes; up to this many elements it is let through.
MOST_STRETCHED = 10_000_000


class _UnbuiltDtype(Unbuilt):
    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("ascii", "replace") if isinstance(code, bytes) else str(code)
        if not _NUMBER_TYPE.fullmatch(text):
            raise RefusedError(f"an array of type {text} (only numbers and booleans) is not allowed in a data file")
        self._dtype = np.dtype(text)

    def finish(self, state: Any) -> np.dtype[Any]:
        """`state`: (version, byte order, subtype, names, fields, …); the last three must be empty."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise RefusedError("an array type with fields is not allowed in a data file")
        swapped = _IS_SWAPPED[_text(state[1])]
        return self._dtype.newbyteorder("S") if swapped else self._dtype


class _UnbuiltArray(Unbuilt):
    def __init__(self, cls: Any, *_: Any) -> None:
        if cls is not NDARRAY:
            raise RefusedError("an array of another class than numpy.ndarray is not allowed in a data file")

    def finish(self, state: Any) -> Array:
        """`state`: (version, shape, dtype, Fortran order, bytes); the first ones did not write a version."""
        shape, dtype, fortran, raw = state[-4:]
        return _array(raw, dtype, shape, "F" if fortran else "C")


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """The array that `raw` holds, as a copy of its own. Raises: ValueError where size and shape disagree."""
    if not isinstance(dtype, np.dtype):
        raise ValueError("the array's type is missing")
    if isinstance(raw, list):
        raise RefusedError("an array of objects is not allowed in a data file")
    lengths = _whole_numbers(shape)
    content = raw.encode("latin-1") if isinstance(raw, str) else bytes(raw)
    if math.prod(lengths) * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {lengths} cannot have {len(content)} bytes of {dtype}")
    flat = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    return np.array(flat.reshape(lengths, order="F" if order == "F" else "C"), dtype.newbyteorder("="), order="C")


def _scalar(dtype: Any, raw: Any) -> Any:
    return _array(raw, dtype, (), "C")[()]


def _whole_numbers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)):
        raise ValueError("a shape must be a tuple")
    if any(type(value) is not int or value < 0 for value in values):
        raise ValueError(f"a shape or stride must hold whole numbers from 0 (got {tuple(values)})")
    return tuple(values)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _encode(text: Any, encoding: Any) -> bytes:
    """How protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"_codecs.encode to {encoding} is not allowed in a data file")
    return text.encode("latin-1")


def _bytes(content: Any = b"", encoding: Any = "latin-1") -> bytes:
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    return _encode(content or "", encoding)


def _dict(items: Any = ()) -> dict[Any, Any]:
    if any(not isinstance(item, (list, tuple)) or not isinstance(item[0], str) for item in items):
        raise RefusedError("a dict with keys other than text is not allowed in a data file")
    return dict(items)


def _set(items: Any = ()) -> set[Any]:
    if any(not isinstance(item, (str, bytes, int, float)) for item in items):
        raise RefusedError("a set of other than numbers and texts is not allowed in a data file")
    return set(items)


def _size(lengths: Any = ()) -> tuple[int, ...]:
    return _whole_numbers(lengths)


def is_plain_tensor(value: Any) -> bool:
    """Whether `value` is a dense tensor."""
    import torch

    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_quantized


def load_torch(source: Any) -> Any:
    """torch.load that admits tensors and plain containers only, on the CPU.

    Raises: RefusedError for anything else, with torch's reason.
    """
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RefusedError(_reason(str(error))) from None


def _reason(message: str) -> str:
    """torch's long advice (which names ways to switch the protection off), shortened to its subject."""
    named = re.search(r"GLOBAL ([\w.]+)|global:? ([\w.]+)|class ([\w.]+)", message)
    subject = next((part for part in named.groups() if part), "") if named else ""
    return f"{subject.rstrip('.') or 'something other than tensors'} is not allowed in a data file"


def _storage(content: Any) -> Any:
    """A storage pickled inside a plain pickle: a torch file of its own, whose stock helper would run anything."""
    import torch

    storage = load_torch(io.BytesIO(_bytes(content)))
    if not isinstance(storage, (torch.storage.TypedStorage, torch.storage.UntypedStorage)):
        raise RefusedError("a torch storage that holds something else is not allowed in a data file")
    return storage


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
    """A tensor over a storage; every element must lie inside it (torch itself would enlarge the storage)."""
    import torch

    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError("a tensor without its storage")
    (start,), lengths, steps = _whole_numbers((offset,)), _whole_numbers(size), _whole_numbers(stride)
    if len(lengths) != len(steps):
        raise ValueError("a tensor needs one stride per dimension")
    elements, available = math.prod(lengths), storage._untyped_storage.nbytes() // storage.dtype.itemsize
    last = start + sum((length - 1) * step for length, step in zip(lengths, steps, strict=True))
    if (elements and last >= available) or elements > max(available, MOST_STRETCHED):
        raise ValueError(f"a tensor of shape {lengths} and strides {steps} does not fit its {available} elements")
    whole = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return whole.as_strided(lengths, steps, start).clone() if elements else whole.new_empty(lengths)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


NDARRAY = Admitted("numpy.ndarray", lambda *_: _UnbuiltArray(None))


def _table() -> Mapping[str, Admitted]:
    calls: dict[str, Any] = {
        "numpy.dtype": _UnbuiltDtype,
        "_codecs.encode": _encode,
        "builtins.bytes": _bytes,
        "builtins.bytearray": _bytes,
        "builtins.set": _set,
        "builtins.frozenset": _set,
        "collections.OrderedDict": _dict,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch.storage._load_from_bytes": _storage,
        "torch.Size": _size,
    }
    for core in ("numpy.core", "numpy._core"):
        calls[f"{core}.multiarray._reconstruct"] = _UnbuiltArray
        calls[f"{core}.multiarray.scalar"] = _scalar
        calls[f"{core}.numeric._frombuffer"] = _array
    return {name: Admitted(name, call) for name, call in calls.items()} | {"numpy.ndarray": NDARRAY}


TABLE = _table()
