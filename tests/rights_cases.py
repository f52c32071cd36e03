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


def colleague(number: int, *groups: int) -> list[str]:
    """Words before a command: another user, of these groups. It may read everything, for Python may lie anywhere."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root, with setpriv (util-linux), can be two users")
    power = "-all,+dac_read_search"
    user = ["--reuid", str(number), "--regid", str(groups[0]), "--groups", ",".join(map(str, groups))]
    return ["setpriv", *user, "--inh-caps", power, "--ambient-caps", power]
