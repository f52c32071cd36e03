"""Fixtures that all tests share: the real data set, a folder of its own for each test, quiet threads."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from licap.machine import usable_cpus

REPOSITORY = Path(__file__).resolve().parent.parent


# A program that starts with a signal ignored, in the background or by nohup, hands that on to the programs that tests
# start and interrupt.
for _number, _answer in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _answer)

# Tests side by side share the cores: threads that wait for each other's cores cost more than they do.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    _share = max(1, usable_cpus() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(_share))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run side by side (`-n 2`), one worker has a whole file, whose tests share costly fixtures."""
    # Asked for by pytest-xdist alone, without which tests run as well, one after another.
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            # Two workers would compile the same kernels at the same time.
            return "tests/ops" if nodeid.startswith("tests/ops/") else super()._split_scope(nodeid)

    # In the order of folders, for searches come early there: they take longest, and each waits more than it works.
    config.option.loadscopereorder = False
    return Scheduling(config, log)


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
