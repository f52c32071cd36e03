"""Fixtures that all tests share: the real data set, a folder of its own for each test, quiet threads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).resolve().parent.parent


class Together(LoadScopeScheduling):
    """Where tests run side by side (`-n 2`), one worker has what shares costly fixtures: a file, or all of searches."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "tests/engine" if file.startswith("tests/engine/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Tells pytest-xdist of it."""
    return Together(config, log)


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
