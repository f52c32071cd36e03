"""One thread that writes: values in batches, jobs in their order, errors carried back, waits told. Knows no store.

A run is a number here. What belongs to one run is written in the order in which it was given.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_BATCH = 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# What takes longer than this is told: somebody should look at the store before the patience is at its end.
LATE_S = 5.0


@dataclass(frozen=True)
class _Value(Generic[T]):
    run: int
    value: T


@dataclass(frozen=True)
class _Job:
    run: int
    do: Callable[[], object]


def patiently(do: Callable[[], T], *, is_passing: Callable[[Exception], bool], patience_s: float) -> T:
    """Calls `do` until it works, an error is no passing one, or the patience is at its end; then raises that error."""
    deadline = time.monotonic() + patience_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return do()
        except Exception as error:
            if not is_passing(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


@contextmanager
def lateness_told(say: Callable[[str], object], place: str) -> Iterator[None]:
    """Says when the block lasts longer than `LATE_S`, and when it has come to a good end after that.

    say: may be called from another thread. place: what is waited for, and what may keep it.
    """
    began, told = time.monotonic(), threading.Event()

    def tell_late() -> None:
        told.set()
        say(f"warning: {place}. Nothing is lost: what is to be written waits")

    timer = threading.Timer(LATE_S, tell_late)
    timer.daemon = True
    timer.start()
    try:
        yield
        if told.is_set():
            say(f"{place}: that is over after {time.monotonic() - began:.0f} s, and everything is written")
    finally:
        timer.cancel()


class Writer(Generic[T]):
    """Collects values and writes each run's at most `flush_s` later, in one call of `write` for up to 1,000.

    An error that does not pass loses the run it belongs to; one that outlasts `patience_s` ends all writing. Either is
    kept for `take_error`. The thread is a daemon: a store that hangs cannot keep the process alive.
    """

    def __init__(
        self,
        write: Callable[[int, list[T]], object],
        *,
        is_passing: Callable[[Exception], bool],
        flush_s: float,
        patience_s: float,
        attempt: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """attempt: makes a context around each call that writes, with all its repetitions."""
        self._attempt_context = attempt
        self._write, self._is_passing = write, is_passing
        self._flush_s, self._patience_s = flush_s, patience_s
        self._queue: queue.SimpleQueue[_Value[T] | _Job | None] = queue.SimpleQueue()
        self._errors: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self._buffers: dict[int, list[T]] = {}
        self._flush_at = float("inf")
        self._lost: set[int] = set()
        self._gave_up = False
        self._done = 0
        self._thread = threading.Thread(target=self._work, name="tracking-writer", daemon=True)
        self._thread.start()

    def add(self, run: int, value: T) -> None:
        """Hands over a value. Returns at once."""
        self._queue.put(_Value(run, value))

    def submit(self, run: int, do: Callable[[], object]) -> None:
        """Hands over a job, done after all that was added for its run. It may be called again after a passing error."""
        self._queue.put(_Job(run, do))

    def take_error(self) -> Exception | None:
        """The oldest error that nobody has taken yet."""
        try:
            return self._errors.get_nowait()
        except queue.Empty:
            return None

    def close(self, stall_s: float) -> bool:
        """Writes what is left and ends the thread.

        Waits until nothing has been written for `stall_s`, and thirty times as long at most: a study whose runs are all
        written anew takes its time.
        Returns: whether the thread came to its end.
        """
        self._queue.put(None)
        deadline = time.monotonic() + 30 * stall_s
        before = -1
        while self._thread.is_alive() and before != self._done and time.monotonic() < deadline:
            before = self._done
            self._thread.join(stall_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            now = time.monotonic()
            if now >= self._flush_at:
                self._flush_all()
                continue
            try:
                item = self._queue.get(timeout=None if self._flush_at == float("inf") else self._flush_at - now)
            except queue.Empty:
                continue
            if item is None:
                self._flush_all()
                return
            if isinstance(item, _Job):
                self._flush(item.run)
                self._attempt(item.run, item.do)
            else:
                self._buffer(item)

    def _buffer(self, item: _Value[T]) -> None:
        values = self._buffers.setdefault(item.run, [])
        values.append(item.value)
        self._flush_at = min(self._flush_at, time.monotonic() + self._flush_s)
        if len(values) >= MAX_BATCH:
            self._flush(item.run)

    def _flush_all(self) -> None:
        for run in list(self._buffers):
            self._flush(run)
        self._flush_at = float("inf")

    def _flush(self, run: int) -> None:
        values = self._buffers.pop(run, None)
        if values:
            self._attempt(run, lambda: self._write(run, values))

    def _attempt(self, run: int, do: Callable[[], object]) -> None:
        if self._gave_up or run in self._lost:
            return
        try:
            with self._attempt_context():
                patiently(do, is_passing=self._is_passing, patience_s=self._patience_s)
            self._done += 1
        except Exception as error:  # noqa: BLE001 - carried over to the caller's thread, raised there
            self._errors.put(error)
            if self._is_passing(error):
                self._gave_up = True
            else:
                self._lost.add(run)
