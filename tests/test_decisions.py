"""Labels, borders, bins, folds, walks and proposals are the same whatever instructions libraries compute with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from on_other_cpus import SETTINGS

PROGRAM = Path(__file__).with_name("decisions.py")


def decided(settings: Mapping[str, str]) -> dict[str, Any]:
    """What the program decides under environment variables, which no library may complain of."""
    command = [sys.executable, "-W", "error::ImportWarning", str(PROGRAM)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_decisions_are_the_same_under_all_settings_together() -> None:
    # Each setting alone is compared with all of them by running this test under it (on_other_cpus.py).
    usual, found = decided(dict(os.environ)), decided(os.environ | SETTINGS["together"])
    assert [name for name in usual if usual[name] != found[name]] == []
    assert usual.keys() == found.keys()
