"""Kills in the middle of writes: what a search leaves is whole, a hundred times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KILLS = 100


def test_a_hundred_kills_during_writes_leave_a_sound_database_and_a_readable_record(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_cases.py")), str(tmp_path), str(KILLS), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    left = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(left) == KILLS
    assert all(killed for killed, *_ in left), "a writer ended before it was killed"
    assert [complaints for _, _, complaints, _ in left if complaints] == []
    assert any(half_written for _, half_written, _, _ in left), "no kill came in the middle of a write"
    assert any(trials > 1 for *_, trials in left)
