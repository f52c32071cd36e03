"""One case of a golden file: its arrays by key, which of them a check has looked at, and what "close" means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this difference a value counts as equal, whatever the size of the array.
ABSOLUTE = 1e-11


class Case:
    """The arrays of one case; keys are without the case's name (`in.raw`, `out.fold0.train`)."""

    def __init__(self, name: str, arrays: dict[str, NDArray[Any]], folder: Path | None = None) -> None:
        """folder: where the other golden files are."""
        self.name = name
        self.folder = folder
        self._arrays = arrays
        self._used: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __getitem__(self, key: str) -> NDArray[Any]:
        """The array of a key, which counts as used from now on."""
        self._used.add(key)
        return self._arrays[key]

    def number(self, key: str) -> Any:
        """A scalar as a plain Python number or string."""
        return self[key].item()

    def below(self, prefix: str) -> dict[str, NDArray[Any]]:
        """All arrays below a prefix by their remaining name: `below("param")` for `param.*`. They count as used."""
        return {key.removeprefix(f"{prefix}."): self[key] for key in list(self._arrays) if key.startswith(f"{prefix}.")}

    def names(self, prefix: str) -> Iterator[str]:
        """The remaining names of all keys below a prefix; they do not count as used."""
        return (key.removeprefix(f"{prefix}.") for key in self._arrays if key.startswith(f"{prefix}."))

    def unused(self) -> list[str]:
        """Keys that no check has looked at."""
        return sorted(set(self._arrays) - self._used)

    def equal(self, actual: Any, key: str) -> None:
        """Asserts that shape and every value are the golden array's, exactly."""
        expected = self[key]
        actual = _plain(actual)
        assert actual.shape == expected.shape, f"{self.name}.{key}: shape {actual.shape}, golden {expected.shape}"
        assert np.array_equal(actual, expected), f"{self.name}.{key}: differs from the golden array"

    def close(self, actual: Any, key: str, rtol: float) -> None:
        """Asserts |actual - golden| <= rtol * max|golden| + 1e-11, shapes equal, everything finite."""
        self.within(actual, key, rtol * np.abs(self[key]).max(initial=0) + ABSOLUTE)

    def within(self, actual: Any, key: str, allowed: Any) -> None:
        """Asserts |actual - golden| <= allowed (one for all, or one for each), shapes equal, everything finite."""
        expected = np.asarray(self[key], dtype=np.float64)
        actual = _plain(actual).astype(np.float64)
        assert actual.shape == expected.shape, f"{self.name}.{key}: shape {actual.shape}, golden {expected.shape}"
        error, allowed = np.abs(actual - expected), np.broadcast_to(allowed, expected.shape)
        # Written so that NaN on either side fails.
        wrong = ~(error <= allowed)
        assert not wrong.any(), (
            f"{self.name}.{key}: {wrong.sum()} values off, by up to {error[wrong].max():.3g}, "
            f"allowed {allowed[wrong].min():.3g}"
        )


def _plain(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def case_names(path: Path) -> list[str]:
    """The cases of a golden file, in its order."""
    with np.load(path, allow_pickle=False) as file:
        return list(dict.fromkeys(key.partition(".")[0] for key in file.files))


def load_case(path: Path, name: str) -> Case:
    """Reads one case of a golden file."""
    with np.load(path, allow_pickle=False) as file:
        keys = [key for key in file.files if key.partition(".")[0] == name]
        return Case(name, {key.partition(".")[2]: file[key] for key in keys}, path.parent)
