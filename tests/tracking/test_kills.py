"""Kills in the middle of writes: what a search leaves is whole, however often."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [30, pytest.param(100, marks=pytest.mark.long)])
def test_kills_during_writes_leave_a_sound_database_and_a_readable_record(tmp_path: Path, kills: int) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_cases.py")), str(tmp_path), str(kills), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    left = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(left) == kills
    assert all(killed for killed, *_ in left), "a writer ended before it was killed"
    assert [complaints for _, _, complaints, _ in left if complaints] == []
    assert any(half_written for _, half_written, _, _ in left), "no kill came in the middle of a write"
    assert any(trials > 1 for *_, trials in left)
