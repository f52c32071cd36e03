"""The cache of computed features: computed once, never silently wrong, harmless when two want the same."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from licap.datasets.feature_cache import cached
from licap.errors import StoreError

ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)

WRITER = """
import sys
from collections.abc import Callable
from pathlib import Path
import numpy as np
from licap.datasets.feature_cache import cached
for number in range(40):
    def compute():
        return np.full((300, 64), number, dtype=np.float32)
    assert (cached(Path(sys.argv[1]), f"key-{number}", compute) == number).all()
"""


def refuse() -> np.ndarray:
    raise AssertionError("computed although it was kept")


def test_what_was_computed_once_is_read_back(tmp_path: Path) -> None:
    first = cached(tmp_path / "new" / "cache", "key", lambda: ARRAY)
    second = cached(tmp_path / "new" / "cache", "key", refuse)
    assert np.array_equal(first, ARRAY)
    assert np.array_equal(second, ARRAY)
    assert second.dtype == ARRAY.dtype


def test_each_key_has_its_own_array(tmp_path: Path) -> None:
    cached(tmp_path, "one", lambda: ARRAY)
    assert np.array_equal(cached(tmp_path, "two", lambda: ARRAY + 1), ARRAY + 1)
    assert np.array_equal(cached(tmp_path, "one", refuse), ARRAY)


def test_an_array_in_any_order_is_kept(tmp_path: Path) -> None:
    cached(tmp_path, "key", lambda: np.asfortranarray(ARRAY)[::-1])
    assert np.array_equal(cached(tmp_path, "key", refuse), ARRAY[::-1])


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    cached(tmp_path, "key", lambda: ARRAY)
    assert np.array_equal(np.load(tmp_path / "key.npy", allow_pickle=False), ARRAY)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _pickle(path: Path) -> None:
    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _empty, _pickle])
def test_a_damaged_file_is_computed_again_and_said_to_be(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached(tmp_path, "key", lambda: ARRAY)
    damage(tmp_path / "key.npy")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(cached(tmp_path, "key", lambda: ARRAY), ARRAY)
    assert "key.npy" in caplog.text
    assert "damaged" in caplog.text
    assert np.array_equal(cached(tmp_path, "key", refuse), ARRAY)


def test_a_computation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "key", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(inside: str, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(StoreError, match=r"occupied.*Set data\.cache"):
        cached(tmp_path / "occupied" / inside, "key", refuse)


def test_two_processes_may_compute_the_same_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert errors == ["", ""]
    assert len(list(tmp_path.iterdir())) == 40
