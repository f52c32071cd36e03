"""What every command line shares: streams that cannot fail a command, errors as sentences, signals, and exit codes.

Exit codes: 0 done; 1 a fault of the program (with traceback); 2 something the user can put right; 128 and the number of
the signal where one asked for the end: 129 hangup, 130 Ctrl-C, 143 termination.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

from licap.errors import ConfigError, LicapError, StoreError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# One press of Ctrl-C or one closed terminal may send its signal more than once.
_ECHO_S = 0.5


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end. As Ctrl-C, it is no `Exception`: what handles errors lets it pass."""

    def __init__(self, number: int, words: str = "") -> None:
        """number: of the signal. words: what people should know beside."""
        super().__init__(*([words] if words else []))
        self.number = number


def stop_code(number: int) -> int:
    """The exit code of a command that a signal asked to end, as shells count."""
    return 128 + number


@dataclass
class ExitStatus:
    """Carries the exit code out of `exit_status`."""

    code: int = 0


@contextmanager
def exit_status() -> Iterator[ExitStatus]:
    """Turns errors and signals in a command's body, options included, into a message and an exit code."""
    status = ExitStatus()
    with _usable_streams(), signals_raise():
        try:
            try:
                yield status
            except SystemExit:
                # Options were refused, or help was asked for.
                _flush_result()
                raise
            _flush_result()
        except LicapError as error:
            tell(f"error: {error}")
            status.code = 2
        except MemoryError as error:
            tell(f"error: more memory is needed than there is ({error or 'no details'}). Give smaller data or widths.")
            status.code = 2
        except KeyboardInterrupt as error:
            tell(f"interrupted: {error}" if error.args else "interrupted")
            status.code = stop_code(error.number if isinstance(error, Stopped) else signal.SIGINT)


@contextmanager
def _usable_streams() -> Iterator[None]:
    """Streams that are closed become the null device, characters that stdout lacks a `?`; stderr never fails."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The next file would be opened under this number, and what libraries print would be written into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    previous = sys.stderr
    sys.stderr = _unfailing(previous)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = previous


class _Unfailing(io.FileIO):
    """Drops what cannot be written: a full disk or a reader that is gone is no reason to end hours of work."""

    def write(self, data: ReadableBuffer) -> int:
        """Writes what can be written. Returns: bytes."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _unfailing(stream: TextIO) -> TextIO:
    """The same stream, which drops what cannot be written. A stream without a file, as in tests, stays as it is."""
    try:
        raw = _Unfailing(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors="backslashreplace", line_buffering=True
    )


def _flush_result() -> None:
    """Writes what libraries and help texts have left in stdout. Raises: StoreError where that is not possible."""
    _write_result("")


def _discard(stream: TextIO) -> None:
    """Sends what a stream still holds nowhere: Python would try to write it at its end, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Ctrl-C, a termination signal or a hangup ends the body at once, by `Stopped`; what is ignored stays so."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handling(end, [number for number in asking_signals() if signal.getsignal(number) is not signal.SIG_IGN]):
        yield


@contextmanager
def stop_signals(stop: Callable[[int], object]) -> Iterator[None]:
    """The first Ctrl-C, termination signal or hangup asks for a clean end; a second one breaks off by `Stopped`.

    stop: is called with the signal's number. Signals reach the main thread only; in another the body runs without this.
    """
    first: list[float] = []

    def ask(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            stop(number)
        elif now - first[0] > _ECHO_S:
            raise Stopped(number)

    with _handling(ask, asking_signals()):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Signals go to a handler, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


def asking_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to end: Ctrl-C, termination, and a hangup unless it is ignored."""
    # A terminal that is closed hangs up; under `nohup` that is to be ignored.
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, hangup)


def leave(code: int) -> NoReturn:
    """Ends the process without taking its libraries down, which lasts for seconds after a search.

    What they have registered for the end is done, and streams are flushed.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


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
    """Prints a line of a command's result to stdout. A reader that is gone (`… | head`) has what it wanted.

    Raises: StoreError where it cannot be written.
    """
    _write_result(f"{text}\n")


def _write_result(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise StoreError(f"stdout: cannot be written ({error.strerror or error}). Send it elsewhere.") from None


def tell(text: str) -> None:
    """Prints a line about progress or trouble to stderr."""
    if sys.stderr is None:
        return
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
