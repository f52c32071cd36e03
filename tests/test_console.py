"""Streams that are closed, full or read by nobody, and signals that ask for the end, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FULL = Path("/dev/full")
NEEDS_FULL = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")

# A command in small: progress, a file, a result.
COMMAND = """\
import os, sys
from contextlib import suppress
from pathlib import Path
from licap.console import exit_status, say, tell
with exit_status() as status:
    tell("begins")
    print("a library speaks", file=sys.stderr)
    with Path("record").open("w", encoding="utf-8") as record:
        for number in (1, 2):
            with suppress(OSError):
                os.write(number, b"a library in C speaks\\n")
        record.write("one line\\n")
    for number in range(3):
        say(f"result {number}")
        tell(f"progress {number}")
sys.exit(status.code)
"""
LISTENING = """\
import sys, time
from licap.console import exit_status, say
with exit_status() as status:
    say("listening")
    time.sleep(600)
sys.exit(status.code)
"""
CLEAN_END = """\
import sys, time
from licap.console import Stopped, exit_status, say, stop_signals
with exit_status() as status:
    asked = []
    with stop_signals(asked.append):
        say("listening")
        while not asked:
            time.sleep(0.01)
        say("asked")
        while "again" in sys.argv:
            time.sleep(0.01)
        raise Stopped(asked[0], "all is kept")
sys.exit(status.code)
"""


def shell(folder: Path, redirection: str, program: str = COMMAND) -> subprocess.CompletedProcess[str]:
    """Runs a program in a shell, which redirects its streams; the exit code is the program's."""
    words = ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {redirection}', sys.executable, program]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_loses_its_own_words_and_nothing_else(tmp_path: Path, closed: str) -> None:
    done = shell(tmp_path, closed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "record").read_text(encoding="utf-8") == "one line\n"
    assert done.stdout.count("result") == (0 if ">&-" in closed.replace("2>&-", "") else 3)
    assert done.stderr.count("progress") == (0 if "2>&-" in closed else 3)


@NEEDS_FULL
def test_a_result_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    done = shell(tmp_path, "> /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: stdout: cannot be written (No space left on device)")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@NEEDS_FULL
def test_progress_that_cannot_be_written_is_dropped(tmp_path: Path) -> None:
    done = shell(tmp_path, "2> /dev/full")
    assert (done.returncode, done.stdout.count("result"), done.stderr) == (0, 3, "")


@pytest.mark.parametrize("piped", ["| head -1", "2>&1 | head -1", "| true", "2>&1 | true"])
def test_a_reader_that_goes_away_stops_nothing(tmp_path: Path, piped: str) -> None:
    done = shell(tmp_path, piped)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "Broken pipe" not in done.stderr
    assert (tmp_path / "record").exists()


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_characters_that_a_stream_lacks_end_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    program = COMMAND.replace("result {number}", r"Kn\u00f6del \u03c1 {number}").replace("progress", r"progress \u00b7")
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    done = shell(tmp_path, f'; {settings} "$0" -c "$1"', program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Kn") == done.stderr.count("progress") == 6
    assert "Kn?del ? 2" in done.stdout and "Knödel ρ 2" in done.stdout


@NEEDS_FULL
@pytest.mark.parametrize("words", ["--help", "run --help", "config"])
def test_help_and_lists_that_cannot_be_written_are_one_sentence(tmp_path: Path, words: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"$0" -m licap.cli {words} > /dev/full', sys.executable], cwd=REPOSITORY, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: stdout: cannot be written (No space left on device). Send it elsewhere."
    ]


def signalled(program: str, *numbers: signal.Signals, words: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and stderr of a program that gets one signal after each line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for number in numbers:
        assert process.stdout.readline()
        process.send_signal(number)
    return process.wait(60), process.communicate()[1]


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize(("number", "code"), SIGNALS.items())
def test_a_signal_ends_every_command_with_its_own_code(number: signal.Signals, code: int) -> None:
    assert signalled(LISTENING, number) == (code, "interrupted\n")


@pytest.mark.parametrize(("number", "code"), SIGNALS.items())
def test_a_signal_asks_for_a_clean_end(number: signal.Signals, code: int) -> None:
    assert signalled(CLEAN_END, number) == (code, "interrupted: all is kept\n")


def test_a_hangup_that_is_to_be_ignored_ends_nothing() -> None:
    program = f"import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n{LISTENING}".replace(
        "time.sleep(600)", "signal.raise_signal(signal.SIGHUP)\n    say('goes on')"
    )
    assert signalled(program) == (0, "")


@pytest.mark.parametrize(("number", "code"), SIGNALS.items())
def test_a_second_signal_breaks_off(number: signal.Signals, code: int) -> None:
    # The same signal may come twice at once, when a terminal is closed; a second one is a later one.
    program = CLEAN_END.replace('say("asked")', 'time.sleep(0.6)\n        say("asked")')
    assert signalled(program, signal.SIGINT, number, words=("again",)) == (code, "interrupted\n")


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    program = CLEAN_END.replace('say("asked")', "import signal\n        signal.raise_signal(signal.SIGHUP)")
    assert signalled(program, signal.SIGHUP) == (129, "interrupted: all is kept\n")
