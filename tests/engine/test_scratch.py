"""Ray's scratch folder: short enough for sockets, removed, and swept where a kill left it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from licap.errors import StoreError
from search.engine.scratch import scratch_folder

HOLD = """\
import sys, time
from search.engine.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def short_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder whose path is short."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        use(monkeypatch, folder)
        yield Path(folder)


def use(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Makes a folder the temporary folder, here and in processes started from here."""
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)


def test_it_lies_in_the_temporary_folder_and_is_gone_afterwards(short_place: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == short_place
        (folder / "log").write_text("x", encoding="utf-8")
    assert list(short_place.iterdir()) == []


def test_a_path_too_long_for_sockets_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("ä" * 30)
    long.mkdir()
    use(monkeypatch, str(long))
    with scratch_folder() as folder:
        deepest = folder / "session_2000-01-01_00-00-00_000000_1000000" / "sockets" / "plasma_store"
        assert len(os.fsencode(deepest)) <= 103
    assert list(long.iterdir()) == []


def test_what_a_killed_search_left_is_swept_and_what_is_in_use_is_not(short_place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        with scratch_folder():
            assert other.is_dir()
        process.kill()
        process.wait()
        assert other.is_dir()
        with scratch_folder():
            assert not other.exists()


def test_without_any_place_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "/" + "x" * 90)
    monkeypatch.setattr(tempfile, "mkdtemp", _refuse)
    with pytest.raises(StoreError, match="TMPDIR"), scratch_folder():
        pass


def _refuse(**_: object) -> str:
    raise PermissionError(13, "Permission denied")
