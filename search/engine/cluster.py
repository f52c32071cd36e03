"""Starts and stops Ray: a private local instance that nothing outside can capture, or a given cluster."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from licap.console import tell
from licap.errors import StoreError
from licap.garbage import no_garbage
from search.engine.connection import joining
from search.engine.resources import Machine
from search.engine.scratch import remove, scratch_folder
from search.engine.starting import stopped_at_once, turn

# Read when ray is imported or started: no telemetry, no files beside the study, the caller's folder as working folder,
# the caller's Python in workers (under `uv run`, Ray would build an environment of its own for them).
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's memory monitor kills workers when anything on the machine takes memory, and Ray Tune falls over its message.
    # The kernel ends the greediest process instead; if that is a worker, its trial is `crashed` and the study goes on.
    "RAY_memory_monitor_refresh_ms": "0",
    # Ray's own agents take long on a machine on which much runs; the node would end itself before they are there.
    "RAY_agent_register_timeout_ms": "150000",
    "RAY_gcs_server_port_wait_time_s": "150",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
# Ray gives its servers half a minute, too little for a machine on which much runs, and no setting changes that.
_SERVERS_S = 150.0
_ATTEMPTS = 4
_KILL_S = 5.0
_REFUSALS = (OSError, RuntimeError, ValueError, TimeoutError)


@dataclass(frozen=True)
class Session:
    """Ray while it runs: a folder for its files, its machines, and the address of its server."""

    scratch: Path
    machines: tuple[Machine, ...]
    server: str


@contextmanager
def ray_session(machine: Machine, *, address: str | None, object_store_bytes: int) -> Iterator[Session]:
    """Yields while Ray runs; afterwards it and its files are gone. A given cluster is left as it was.

    machine: what a private instance may hand out. Raises: StoreError where Ray cannot be started or joined.
    """
    os.environ.update(_ENVIRONMENT)
    # Leftovers of other instances (RAY_ADDRESS, a recorded current cluster) must not capture this search.
    os.environ.pop("RAY_ADDRESS", None)
    if address is None:
        # A token of its own: Ray would keep one in the home folder, which need not be there. Despite its name, the last
        # variable decides on Linux too whether Ray's servers listen to the network or to this machine alone.
        os.environ.update(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        )
    else:
        _offer_token()
    # Ray prints the words of its servers to stdout, where a command's result stands.
    with scratch_folder() as scratch, redirect_stdout(sys.stderr), ExitStack() as stopping:
        stopping.enter_context(stopped_at_once(lambda: _abandon(scratch)))
        import ray

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            if address is None:
                with turn(scratch.parent):
                    _start(machine, scratch, object_store_bytes)
                machines = [machine]
            else:
                _join(address)
                nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
                machines = [Machine(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
            stopping.close()
            yield Session(scratch, tuple(machines), _server())
        finally:
            # Ray ends its servers, and workers follow them: none is to outlive this.
            processes = _children()
            # A reference that another thread frees meanwhile makes Ray end the process, in the midst of what follows.
            with no_garbage():
                ray.shutdown()
            _end_processes(processes)


def _offer_token() -> None:
    """Has a cluster shown the token that Ray keeps: `ray start` asks for it where there is one.

    Source: Ray's documentation of token authentication (RAY_AUTH_MODE, RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH).
    """
    # Without a home folder, `~` stays as it is.
    kept = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token"))  # noqa: PTH111
    if "RAY_AUTH_MODE" not in os.environ and ("RAY_AUTH_TOKEN" in os.environ or kept.is_file()):
        os.environ["RAY_AUTH_MODE"] = "token"


def _abandon(scratch: Path) -> None:
    """What a start that is broken off leaves."""
    _end_processes(_children())
    remove(scratch)
    # The thread that starts Ray is still there, and may have started another one.
    _end_processes(_children())


def _start(machine: Machine, scratch: Path, object_store_bytes: int) -> None:
    """Starts the servers, again where they took too long for Ray's patience. Raises: StoreError."""
    import ray

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _servers_waited_for():
                ray.init(
                    address="local",
                    num_cpus=machine.cpus,
                    num_gpus=machine.gpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=object_store_bytes,
                    _temp_dir=str(scratch),
                )
            return
        except Exception as error:  # noqa: BLE001 - Ray raises bare exceptions where its servers do not come up
            reason = _first_line(error)
        _end_processes(_children())
        if attempt < _ATTEMPTS:
            tell(f"Ray has not come up ({reason}): attempt {attempt + 1} of {_ATTEMPTS}")
    raise StoreError(
        f"{scratch}: Ray cannot start there ({reason}). Check memory, space and rights, or wait until less runs on "
        "this machine. No trial was started: the same command begins anew, or goes on with --resume."
    )


@contextmanager
def _servers_waited_for() -> Iterator[None]:
    """While Ray starts, its question for its own node is asked until there is an answer, for `_SERVERS_S`."""
    from ray._private import services

    ask_once = services.get_node
    deadline = time.monotonic() + _SERVERS_S

    def ask(*words: Any, **named: Any) -> Any:
        while True:
            try:
                return ask_once(*words, **named)
            except RuntimeError:
                if time.monotonic() > deadline or _node_is_gone():
                    raise
            time.sleep(0.2)

    services.get_node = ask
    try:
        yield
    finally:
        services.get_node = ask_once


def _node_is_gone() -> bool:
    """Whether the process of Ray's node has ended by itself, as it does where its agents take too long."""
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if process.name() == "raylet":
                return bool(process.status() == psutil.STATUS_ZOMBIE)
    return False


def _children() -> list[psutil.Process]:
    """All processes below this one."""
    return list(psutil.Process().children(recursive=True))


def _end_processes(processes: Sequence[psutil.Process]) -> None:
    """Ends those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_KILL_S)


def _join(address: str) -> None:
    import ray

    try:
        with joining(address):
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except _REFUSALS as error:
        raise StoreError(
            f"--ray-address {address}: cannot join that cluster ({_first_line(error)}). Check that it runs the same "
            "version of Ray and Python and has the same token (RAY_AUTH_MODE, RAY_AUTH_TOKEN)."
        ) from error


def _server() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
