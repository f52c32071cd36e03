"""Fixtures that all tests share: the real data set, a folder of its own for each test, quiet threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps together, where tests run side by side, what shares costly fixtures: a file, and all tests of searches."""
    for item in items:
        folder = item.path.parent
        together = folder.name if folder.name == "engine" else str(item.path.relative_to(folder.parent))
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data set; skips where it is absent."""
    folder = Path(os.environ.get("LICAP_DATA_DIR", REPOSITORY / ".." / "shared" / "data")).resolve()
    if not (folder / "fb15k").is_dir():
        pytest.skip(f"the real data set is not in {folder}; set LICAP_DATA_DIR")
    return folder
