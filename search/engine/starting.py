"""While Ray starts: one search of a machine after the other, and a request to stop is not kept waiting."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from licap.console import Stopped, asking_signals, signals_raise, stop_code, tell
from licap.files import locked_folder

# A search that starts Ray holds the others up so long at most; a wait longer than the second is said.
TURN_S, NAMED_S = 300.0, 2.0
# Within this, Python gets to a signal in good order, unless Ray holds it in code of its own.
LEAVE_S = 5.0


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Waits until no other search starts Ray. folder: the same for all of them; nothing is written there.

    Servers that start side by side on few cores wait for each other until Ray takes them for dead.
    """
    waiting = partial(tell, "waiting for another search, which is starting Ray")
    with ExitStack() as stack:
        # Where a folder cannot be locked, searches start as they come.
        with suppress(OSError):
            stack.enter_context(locked_folder(folder, patience_s=TURN_S, notice_s=NAMED_S, notice=waiting))
        yield


@contextmanager
def stopped_at_once(clean_up: Callable[[], object]) -> Iterator[None]:
    """A signal ends the block by `Stopped`, or the process where the block does not get to it; a thread sees to that.

    clean_up: is called before the process ends. Nothing has been written by then that would have to be kept.
    Processes that are started meanwhile never hear of a closed terminal: they must outlive it for a clean end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as stack:
        here, there = (stack.enter_context(each) for each in socket.socketpair())
        there.setblocking(False)
        previous = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, previous)
        left = threading.Event()
        stack.callback(left.set)
        threading.Thread(target=_end, args=(here, left, clean_up), daemon=True, name="ray-start").start()
        stack.enter_context(_hangups_blocked())
        stack.enter_context(signals_raise())
        try:
            yield
        except SystemExit:
            # Ray answers a termination signal in its own way.
            raise Stopped(signal.SIGTERM) from None


def _end(wakened: socket.socket, left: threading.Event, clean_up: Callable[[], object]) -> None:
    """Waits for a signal's number; ends the process where the block goes on in spite of it."""
    try:
        while not left.is_set():
            heard = wakened.recv(1)
            if not heard:
                return
            if heard[0] in asking_signals() and not left.wait(LEAVE_S):
                tell("interrupted")
                clean_up()
                os._exit(stop_code(heard[0]))
    except OSError:
        # Closed: the block is left.
        return


@contextmanager
def _hangups_blocked() -> Iterator[None]:
    # New processes inherit it. This one hears of a hangup all the same, by the thread that was started before.
    hangups = set(asking_signals()) - {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, hangups)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
