"""Workers that share a machine take turns with their searches, and a search that several look at runs once."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest_tools import Turns


def is_free(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_turn_lasts_as_long_as_the_process_that_it_was_taken_for(tmp_path: Path) -> None:
    turns = Turns(tmp_path, 1)
    with turns.taken() as descriptor:
        words = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[descriptor])
    assert not is_free(tmp_path / "turn-0")
    child.communicate(b"\n")
    assert is_free(tmp_path / "turn-0")
    with turns.taken():
        assert not is_free(tmp_path / "turn-0")


@pytest.mark.parametrize("count", [1, 2])
def test_no_more_have_a_turn_than_there_are(tmp_path: Path, count: int) -> None:
    inside: set[int] = set()
    most = []

    def work(number: int) -> None:
        with Turns(tmp_path, count).taken():
            inside.add(number)
            most.append(len(inside))
            inside.discard(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    assert len(most) == 12 and max(most) <= count
