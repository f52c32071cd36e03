"""Programs for which permission bits count, also where the tests run as root."""

from __future__ import annotations

import os
import shutil

import pytest


def ordinary_user() -> list[str]:
    """Words before a command. Root keeps its name and loses the power to pass over permission bits."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv (util-linux) to be bound by permission bits")
    powers = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", powers, "--inh-caps", powers]
