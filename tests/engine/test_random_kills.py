"""Searches that lose driver, Ray node or disk, and are resumed: in the end nothing tells them from the others."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest_tools import FinishedSearch, Workplace, descendants, living, make_workplace

from search.study import Study

# Of a study of eight trials; each costs a start of Ray.
KILLS_OF_A_STUDY = 5
ALWAYS = ("search/run.py", "--max-concurrent", "1")


@pytest.fixture
def leftovers() -> Iterator[set[int]]:
    """Processes of killed drivers, which are ended where they do not soon end by themselves."""
    pids: set[int] = set()
    yield pids
    end = time.monotonic() + 3
    while living(pids) and time.monotonic() < end:
        time.sleep(0.2)
    for pid in living(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def record_of(place: Workplace) -> Path:
    return place.folder / "mlruns" / "studies" / "small" / "record.jsonl"


def size_of(record: Path) -> int:
    return record.stat().st_size if record.exists() else 0


def start(place: Workplace, *words: str) -> subprocess.Popen[str]:
    """Begins the study, or goes on with it."""
    return place.start(*ALWAYS, *words, *(("--resume",) if record_of(place).exists() else ("--space", "small.yaml")))


def killed(place: Workplace, moments: random.Random, leftovers: set[int]) -> bool:
    """Whether the driver was killed before it had done all there was to do; at any moment, also before it writes."""
    process, record = start(place), record_of(place)
    before, after = size_of(record), moments.uniform(0, 1.5)
    while process.poll() is None and moments.random() > 0.01 and size_of(record) == before:
        time.sleep(0.05)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        leftovers |= descendants(process.pid)
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0
    return False


def check_the_same(place: Workplace, reference: FinishedSearch) -> None:
    """The same trials, states, values and reports as the search that nobody killed, in all books."""
    # All kills may have come before the first word was written.
    begun = ("--resume",) if record_of(place).exists() else ("--space", "small.yaml")
    done = place.run(*ALWAYS, *begun, "--json")
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout)["trials"], reference.result["trials"]
    timeless = [{**row, "seconds": None} for row in expected]
    assert [{**row, "seconds": None} for row in found] == timeless
    studies = [Study.open(each.folder / "mlruns", "small") for each in (place, reference.place)]
    ours, theirs = ([(t.values, t.state, t.reports) for t in study.trials()] for study in studies)
    assert ours == theirs
    checked = place.run("search/check.py", "small")
    assert checked.returncode == 0, checked.stdout


def test_a_driver_that_is_killed_finds_the_same(
    tmp_path: Path, finished: FinishedSearch, leftovers: set[int], empty_database: Path
) -> None:
    place = make_workplace(tmp_path, empty_database)
    assert killed(place, random.Random(0), leftovers)
    check_the_same(place, finished)


def running(place: Workplace, *words: str) -> subprocess.Popen[str]:
    """A search that has begun to train."""
    process, record = start(place, *words), record_of(place)
    end = time.monotonic() + 90
    while size_of(record) < 5_000:
        assert process.poll() is None and time.monotonic() < end, "it has ended, or does not get anywhere"
        time.sleep(0.02)
    return process


@pytest.mark.long
def test_a_full_disk_ends_the_search_in_words_and_costs_nothing_once_there_is_space(
    tmp_path: Path, finished: FinishedSearch
) -> None:
    place = make_workplace(tmp_path)
    process = running(place)
    # What the driver writes beyond this size is refused half-way, as on a full disk; others are not bound by it.
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size_of(record_of(place)) + 2_000, hard))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "record.jsonl: cannot be written" in errors and "Free some space" in errors
    assert "Traceback" not in errors
    check_the_same(place, finished)


@pytest.mark.long
def test_without_rays_node_the_search_ends_and_can_be_resumed(tmp_path: Path, leftovers: set[int]) -> None:
    place = make_workplace(tmp_path)
    process = running(place, "--trials", "500")
    below = descendants(process.pid)
    leftovers |= below
    [node] = [pid for pid in below if Path(f"/proc/{pid}/exe").resolve().name == "raylet"]
    os.kill(node, signal.SIGKILL)
    # Ray ends the process itself, some seconds later; until then trials go on.
    process.communicate(timeout=120)
    assert process.returncode != 0
    trials = len(Study.open(place.folder / "mlruns", "small").trials()) + 2
    done = place.run(*ALWAYS, "--resume", "--trials", str(trials), "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["trials"]) == trials
    assert place.run("search/check.py", "small").returncode == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_drivers_killed_at_random_moments_find_the_same(
    tmp_path: Path, finished: FinishedSearch, leftovers: set[int]
) -> None:
    kills, moments = 0, random.Random(1)
    for number in range(20):
        (folder := tmp_path / str(number)).mkdir()
        place = make_workplace(folder)
        for _ in range(KILLS_OF_A_STUDY):
            if kills == 20 or not killed(place, moments, leftovers):
                break
            kills += 1
        check_the_same(place, finished)
        if kills == 20:
            return
    pytest.fail(f"only {kills} drivers were killed before they had finished")
