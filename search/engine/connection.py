"""Whether Ray's server still answers: asked before a cluster is joined, and all the while a search runs.

Ray itself waits a minute for a server that is gone, says so in its own words, and takes the process down with it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from licap.console import tell
from licap.errors import LicapError, StoreError

CONNECT_S = 8.0
# When a silent server is named, for it may be busy or come back, and when the search ends, before Ray breaks it off.
NAMED_S, PATIENCE_S = 8.0, 40.0
# A search whose server is gone may be unable to end in good order; then its process ends as it is. The record is whole.
END_S = 10.0
# A cluster lets a driver in within seconds; one that is not reached by all its ports, or listens elsewhere, never does.
JOIN_S, JOIN_END_S = 12.0, 45.0
_PROBE_S, _PAUSE_S = 3.0, 1.0
# The opening of HTTP/2, on which gRPC runs, with an empty settings frame; the server answers with one of its own.
# Source: RFC 9113, sections 3.4 and 6.5.
_SETTINGS, _TLS_ALERT = b"\x04", b"\x15"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)


def complaint(address: str, patience: float) -> str:
    """What keeps a server of Ray at `host:port` from being used; empty where it answers.

    patience: seconds. With TLS a server answers an opening without it by an alert, or hangs up.
    """
    try:
        with socket.create_connection(_place(address), timeout=patience) as connection:
            connection.settimeout(patience)
            connection.sendall(_PREFACE)
            answer = connection.recv(16)
    except TimeoutError:
        return f"no answer within {patience:.0f} s"
    except ConnectionResetError:
        return ""
    # A name may be none in the encoding of the Internet.
    except (OSError, UnicodeError) as error:
        return str(error)
    other = bool(answer) and answer[3:4] != _SETTINGS and answer[:1] != _TLS_ALERT
    return "what answers there is something else" if other else ""


def _place(address: str) -> tuple[str, int]:
    """Host and port; port 0 where there is none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port) if port.isascii() and port.isdecimal() else 0


def check_reachable(address: str) -> None:
    """Asks whether a server of Ray answers at `host:port`. Raises: StoreError naming the address."""
    host, port = _place(address)
    if not host or not 0 < port < 65_536:
        raise StoreError(f"--ray-address {address}: must have the form host:port, as in 127.0.0.1:6379.")
    said = complaint(address, CONNECT_S)
    if said:
        raise StoreError(
            f"--ray-address {address}: Ray does not answer there ({said}). Start it there, or leave the option out."
        )


@contextmanager
def joining(address: str) -> Iterator[None]:
    """While a cluster is joined, which knows no end of its own: said when it takes long, then broken off."""
    inside = threading.Event()

    def wait() -> None:
        if not inside.wait(JOIN_S):
            tell(f"--ray-address {address}: Ray answers there, but has not let this search in for {JOIN_S:.0f} s")
            if not inside.wait(JOIN_END_S - JOIN_S):
                tell(
                    f"error: --ray-address {address}: that cluster cannot be joined. Give the address that its nodes "
                    "know it by, and check that all of Ray's ports can be reached from here."
                )
                os._exit(2)

    threading.Thread(target=wait, daemon=True, name="ray-join").start()
    try:
        yield
    finally:
        inside.set()


class Connection:
    """Asks Ray's server again and again in a thread. Left with StoreError where it was lost meanwhile."""

    def __init__(self, stop: Callable[[], object]) -> None:
        """stop: asks the search to end in good order; called from the thread."""
        self._stop = stop
        self._left = threading.Event()
        self._error = ""

    @contextmanager
    def watch(self, address: str, *, own: bool) -> Iterator[None]:
        """While Ray is needed. address: host:port of the server. own: whether it is the search's private instance."""
        over = threading.Event()
        threading.Thread(target=self._watch, args=(address, own, over), daemon=True, name="ray-connection").start()
        try:
            yield
        finally:
            over.set()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        # What has a sentence of its own came first.
        if self._error and not isinstance(error, LicapError):
            raise StoreError(self._error) from error

    def _watch(self, address: str, own: bool, over: threading.Event) -> None:
        whose = f"the search's own Ray at {address}" if own else f"the Ray cluster at {address}"
        silent_since: float | None = None
        named = False
        while not over.wait(_PAUSE_S):
            said = complaint(address, _PROBE_S)
            if over.is_set():
                return
            if not said:
                if named:
                    tell(f"{whose} answers again")
                silent_since, named = None, False
                continue
            silent_since = time.monotonic() if silent_since is None else silent_since
            silent_s = time.monotonic() - silent_since
            if silent_s >= PATIENCE_S:
                self._give_up(f"{whose} has been lost ({said})", own)
                return
            if silent_s >= NAMED_S and not named:
                named = True
                tell(f"{whose} does not answer ({said}): the search ends if that lasts for {PATIENCE_S:.0f} s")

    def _give_up(self, what: str, own: bool) -> None:
        elsewhere = "" if own else " once it answers again, or without --ray-address"
        self._error = f"{what}. The record is whole: go on with --resume{elsewhere}."
        self._stop()
        if not self._left.wait(END_S):
            tell(f"error: {self._error}")
            os._exit(2)
