"""What every command line shares: errors as sentences on stderr, exit codes 0, 2 and 130, and nothing half-said.

Exit codes: 0 done; 1 a fault of the program (with traceback); 2 something the user can put right; 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TextIO

from licap.errors import ConfigError, LicapError, StoreError


@dataclass
class ExitStatus:
    """Carries the exit code out of `exit_status`."""

    code: int = 0


@contextmanager
def exit_status() -> Iterator[ExitStatus]:
    """Turns the errors of a command's body into a message and an exit code."""
    status = ExitStatus()
    _write_what_the_terminal_can()
    try:
        yield status
    except LicapError as error:
        tell(f"error: {error}")
        status.code = 2
    except MemoryError as error:
        tell(f"error: more memory is needed than there is ({error or 'no details'}). Give smaller data or widths.")
        status.code = 2
    except KeyboardInterrupt as error:
        tell(f"interrupted: {error}" if error.args else "interrupted")
        status.code = 130
    except BrokenPipeError:
        # The reader of a pipe went away (`… | head`): nothing is left to say, and nobody to say it to.
        for stream in (sys.stdout, sys.stderr):
            _discard(stream)
        status.code = 0


def _write_what_the_terminal_can() -> None:
    """A character that stdout's encoding lacks is shown as `?`, as stderr does: it must not end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _discard(stream: TextIO | None) -> None:
    """Sends what a stream still holds nowhere: Python would try to write it at its end, and complain."""
    if stream is None:
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        # A stream without a file, such as one that a test put there.
        return


@contextmanager
def stop_signals(stop: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C, termination signal or hangup asks for a clean end by calling `stop`; a second one breaks off.

    Signals reach the main thread only; in another thread the body runs without this.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in _asking_signals()}

    def ask(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.default_int_handler)
        stop()

    try:
        for number in previous:
            signal.signal(number, ask)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _asking_signals() -> tuple[signal.Signals, ...]:
    # A terminal that is closed hangs up; under `nohup` that is to be ignored.
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, hangup)


def check_once(assignments: Sequence[str], spellings: Mapping[str, str] | None = None) -> None:
    """Refuses a key with two values: which of them is meant nobody knows.

    assignments: words `key=value` of `--set` and of options that stand for one. spellings: how people wrote a word that
    did not come with `--set`. Raises: ConfigError naming both.
    """
    first: dict[str, str] = {}
    problems = []
    for word in assignments:
        key, _, value = word.partition("=")
        earlier = first.setdefault(key.strip(), word)
        if earlier.partition("=")[2].strip() != value.strip():
            both = [(spellings or {}).get(each, f"--set {each}") for each in (earlier, word)]
            problems.append(f"{' and '.join(both)}: two values for {key.strip()}. Leave one of them out.")
    if problems:
        raise ConfigError(problems)


def duration(seconds: float) -> str:
    """A length of time for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def say(text: str = "") -> None:
    """Prints a line of a command's result to stdout, if there is one. Raises: StoreError where it cannot be written."""
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard(sys.stdout)
        raise StoreError(f"stdout: cannot be written ({error.strerror or error}). Send it elsewhere.") from None


def tell(text: str) -> None:
    """Prints a line about progress or trouble to stderr, if there is one."""
    _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> None:
    # None: a program started without the stream.
    if stream is not None:
        stream.write(f"{text}\n")
        stream.flush()
