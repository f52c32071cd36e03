"""A server of Ray that is not there, is silent, is another, or is lost on the way: named soon, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest_tools import SMALL_HEAD, Workplace

from licap.errors import StoreError
from search.engine import connection
from search.engine.connection import Connection, check_reachable

# What a server of gRPC says first: an empty settings frame of HTTP/2.
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
# With it Ray's server listens on the loopback interface alone; without it, others look for that server elsewhere.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Takes connections, for the kernel does so, and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        yield server


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_says_nothing_is_named(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    with pytest.raises(StoreError, match=rf"{address_of(listening)}: Ray does not answer there \(no answer within"):
        check_reachable(address_of(listening))


@pytest.mark.parametrize(
    "address",
    ["", "nowhere", "127.0.0.1:", "127.0.0.1:²", "127.0.0.1:0", "127.0.0.1:65536", ":6379", "a..b:80", "[::1]:1"],
)
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(StoreError, match=f"--ray-address {re.escape(address)}: "):
        check_reachable(address)


def test_a_server_of_something_else_is_named() -> None:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(StoreError, match="something else"):
        check_reachable(f"127.0.0.1:{server.server_port}")
    thread.join()
    server.server_close()


def test_a_server_that_answers_may_be_joined(listening: socket.socket) -> None:
    thread = threading.Thread(target=answer, args=(listening, 1))
    thread.start()
    check_reachable(address_of(listening))
    thread.join()


def answer(server: socket.socket, times: int) -> None:
    for _ in range(times):
        with contextlib.suppress(OSError), server.accept()[0] as each:
            each.sendall(SETTINGS)
            each.recv(100)


def test_a_server_that_falls_silent_ends_the_search_and_is_named(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in {"NAMED_S": 0.3, "PATIENCE_S": 1.5, "_PROBE_S": 0.2, "_PAUSE_S": 0.05}.items():
        monkeypatch.setattr(connection, name, seconds)
    stopped = threading.Event()
    thread = threading.Thread(target=answer, args=(listening, 3))
    thread.start()
    with (
        pytest.raises(StoreError, match=r"has been lost.*go on with --resume"),
        Connection(stopped.set) as watched,
        watched.watch(address_of(listening), own=False),
    ):
        thread.join()
        assert not stopped.is_set()
        assert stopped.wait(20)
    assert f"the Ray cluster at {address_of(listening)} does not answer" in capsys.readouterr().err


def test_a_server_that_comes_back_is_waited_for(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in {"NAMED_S": 0.3, "PATIENCE_S": 60.0, "_PROBE_S": 0.2, "_PAUSE_S": 0.05}.items():
        monkeypatch.setattr(connection, name, seconds)
    said = ""

    def read_until(words: str) -> None:
        nonlocal said
        for _ in range(1200):
            said += capsys.readouterr().err
            if words in said:
                return
            time.sleep(0.05)
        raise AssertionError(f"nobody said {words!r}, but {said!r}")

    stopped = threading.Event()
    with Connection(stopped.set) as watched, watched.watch(address_of(listening), own=True):
        read_until("does not answer")
        # Who was not answered hung up meanwhile.
        thread = threading.Thread(target=answer, args=(listening, 100), daemon=True)
        thread.start()
        read_until("answers again")
    own = f"the search's own Ray at {address_of(listening)}"
    assert [line.removeprefix(own).split(" (")[0].strip() for line in said.splitlines()] == [
        "does not answer",
        "answers again",
    ]
    assert not stopped.is_set()


def test_a_search_that_ends_first_is_not_disturbed(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"PATIENCE_S": 0.2, "_PROBE_S": 0.1, "_PAUSE_S": 0.05}.items():
        monkeypatch.setattr(connection, name, seconds)
    stopped = threading.Event()
    with Connection(stopped.set) as watched:
        with watched.watch(address_of(listening), own=True):
            pass
        # Ray is gone, and the tracking store takes its time.
        assert not stopped.wait(1)


def test_an_interruption_is_heard_while_a_cluster_is_joined(workplace: Workplace, listening: socket.socket) -> None:
    held = []

    def answer_and_fall_silent() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listening.accept()[0])
                held[-1].sendall(SETTINGS)

    threading.Thread(target=answer_and_fall_silent, daemon=True).start()
    words = ["search/run.py", "--space", "small.yaml", "--ray-address", address_of(listening)]
    search = workplace.start(*words)
    assert search.stderr is not None
    # The lines end where the process does.
    assert any(line.startswith("joining ") for line in iter(search.stderr.readline, ""))
    for _ in range(60):
        # The first may come while Ray is still being imported.
        time.sleep(1)
        search.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            search.wait(timeout=0.5)
            break
    code = search.poll()
    search.kill()
    search.communicate()
    assert code in (-signal.SIGINT, 130)
    assert not (workplace.folder / "mlruns").exists()
    for each in held:
        each.close()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A cluster of one node: its address, and the processes of its server. Gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(Path(sys.executable).parent / "ray"), "start", "--head", f"--port={port}", "--num-cpus=1",
             "--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={folder}",
             "--disable-usage-stats"]  # fmt: skip
    subprocess.run(words, env={**os.environ, **ON_LOOPBACK}, check=True, capture_output=True, timeout=120)
    try:
        yield f"127.0.0.1:{port}", processes(folder, "gcs_server")
    finally:
        for pid in processes(folder, ""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def processes(folder: Path, program: str) -> list[int]:
    """Those that work in a folder, by the name of their program."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if (
                program in words[0]
                and any(str(folder) in word for word in words)
                and int(path.parent.name) != os.getpid()
            ):
                found.append(int(path.parent.name))
    return found


@pytest.mark.long
def test_a_cluster_that_cannot_be_joined_is_named_and_given_up(workplace: Workplace) -> None:
    with cluster(Path(f"/tmp/ray-{os.getpid()}-join")) as (address, _):
        # Which ends it where it does not come to its end by itself.
        done = workplace.run("search/run.py", "--space", "small.yaml", "--ray-address", address)
    assert done.returncode == 2, done.stderr
    assert f"--ray-address {address}: Ray answers there, but has not let this search in" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: --ray-address {address}: that cluster cannot be joined")
    assert not (workplace.folder / "mlruns").exists()


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_cluster_that_is_lost_on_the_way_is_named_and_the_study_goes_on_elsewhere(
    workplace: Workplace, sent: signal.Signals
) -> None:
    workplace.write(
        "long.yaml",
        f"{SMALL_HEAD}  downstream: {{max_epochs: 300, patience: 300, model: gcn, input: features}}\n"
        "search: {downstream.lr: {type: float, low: 1e-4, high: 1e-1, log: true}}\ntrials: 40\n",
    )
    record = workplace.folder / "mlruns" / "studies" / "small" / "record.jsonl"
    # A short path, for Ray's sockets.
    folder = Path(f"/tmp/ray-{os.getpid()}-{sent}")
    with cluster(folder) as (address, servers):
        inside = Workplace(workplace.folder, {**workplace.environment, **ON_LOOPBACK})
        search = inside.start("search/run.py", "--space", "long.yaml", "--ray-address", address)
        for _ in range(3000):
            if record.exists() and record.read_bytes().count(b'"event":"reported"') > 100:
                break
            assert search.poll() is None, search.communicate()[1]
            time.sleep(0.1)
        else:
            pytest.fail("the search gets nowhere")
        for pid in servers:
            os.kill(pid, sent)
        _, errors = search.communicate(timeout=120)
    assert search.returncode == 2
    assert f"error: the Ray cluster at {address} has been lost" in errors and "Traceback" not in errors
    done = workplace.run("search/run.py", "--resume", "--study", "small")
    assert done.returncode == 0, done.stderr
    checked = workplace.run("search/check.py", "small")
    assert checked.returncode == 0, checked.stdout
