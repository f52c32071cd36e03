"""What every command line shares: errors as sentences on stderr, exit codes 0, 2 and 130, and nothing half-said.

Exit codes: 0 done; 1 a fault of the program (with traceback); 2 something the user can put right; 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from licap.errors import LicapError


@dataclass
class ExitStatus:
    """Carries the exit code out of `exit_status`."""

    code: int = 0


@contextmanager
def exit_status() -> Iterator[ExitStatus]:
    """Turns the errors of a command's body into a message and an exit code."""
    status = ExitStatus()
    try:
        yield status
    except LicapError as error:
        sys.stderr.write(f"error: {error}\n")
        status.code = 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status.code = 130
    except BrokenPipeError:
        # The reader of a pipe went away (`… | head`): nothing is left to say, and nobody to say it to.
        sys.stderr.close()
        status.code = 0


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


def say(text: str = "") -> None:
    """Prints a line of a command's result to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
