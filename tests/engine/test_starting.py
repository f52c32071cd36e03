"""How Ray is started: one search after another, with an ear for signals, and a sentence where it does not come up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TURNS = """\
import sys
import time
from pathlib import Path
from search.engine.starting import turn
with turn(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""
# A block that Python leaves at once, and one that lies in C and hears no signal.
HANGING = {
    "in Python": "time.sleep(600)",
    "in C": "hashlib.pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)",
    "by Ray's own answer": "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number)); time.sleep(600)",
}
STARTING = """\
import hashlib, signal, sys, time
from licap.console import exit_status, say
from search.engine import starting
starting.LEAVE_S = 0.2
with exit_status() as status, starting.stopped_at_once(lambda: say("cleaned up")):
    say("starting")
    {block}
sys.exit(status.code)
"""
FAILING = """\
import sys
from licap.console import exit_status
from search.engine import cluster
from search.engine.resources import Machine
cluster._ATTEMPTS = 2
with exit_status() as status, cluster.ray_session(Machine(1, 0), address=None, object_store_bytes=96 << 20):
    raise AssertionError("Ray has started")
print(len(cluster._children()))
sys.exit(status.code)
"""


def python(program: str, *words: str, **env: str) -> subprocess.Popen[str]:
    """Starts a program."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=REPOSITORY, env={**os.environ, **env}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_one_search_starts_ray_after_another(tmp_path: Path) -> None:
    first = python(TURNS, str(tmp_path))
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    second = python(TURNS, str(tmp_path))
    assert second.stderr is not None and "waiting for another search" in second.stderr.readline()
    assert second.poll() is None
    first.communicate("go\n", timeout=60)
    assert second.communicate("go\n", timeout=60)[0] == "in\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", HANGING)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_does_not_wait_for_the_start(block: str, number: signal.Signals) -> None:
    process = python(STARTING.format(block=HANGING[block]))
    assert process.stdout is not None and process.stdout.readline() == "starting\n"
    # Until it is in the midst of the block: before, Python would answer by itself.
    time.sleep(1)
    process.send_signal(number)
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (128 + number, "interrupted\n")
    # A hangup reaches a thread that does not start anything, so that it does not wake the one that does.
    may_end_by_itself = block != "in C"
    assert output == "cleaned up\n" or (may_end_by_itself and output == "")


@pytest.mark.long
def test_a_start_that_fails_is_tried_again_and_then_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = python(FAILING, RAY_GCS_SERVER_PORT=str(taken.getsockname()[1]))
        output, errors = process.communicate(timeout=280)
    assert process.returncode == 2, errors
    assert "attempt 2 of 2" in errors and "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("error: ") and "Ray cannot start there" in errors.splitlines()[-1]
    assert output == "0\n", "no process is left"
