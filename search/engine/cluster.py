"""Starts and stops Ray: a private local instance that nothing outside can capture, or a given cluster."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from licap.errors import StoreError
from search.engine.resources import Machine

# Read when ray is imported or started: no telemetry, no files beside the study, the caller's folder as working folder.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_CONNECT_SECONDS = 10.0


@contextmanager
def ray_instance(machine: Machine, *, address: str | None, object_store_bytes: int) -> Iterator[str]:
    """Yields a scratch folder while Ray runs; afterwards both are gone.

    Raises: StoreError where a given address does not answer.
    """
    os.environ.update(_ENVIRONMENT)
    # Leftovers of other instances (RAY_ADDRESS, a recorded current cluster) must not capture this search.
    os.environ.pop("RAY_ADDRESS", None)
    if address is not None:
        check_reachable(address)
    scratch = tempfile.mkdtemp(prefix="licap-ray-")
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=machine.cpus,
                num_gpus=machine.gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=object_store_bytes,
                _temp_dir=scratch,
            )
        else:
            _connect(address)
        yield scratch
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def check_reachable(address: str) -> None:
    """Asks whether something listens at `host:port`. Raises: StoreError naming the address."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise StoreError(f"--ray-address {address}: must have the form host:port, as in 127.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise StoreError(
            f"--ray-address {address}: nothing answers there ({error}). Start Ray there, or leave the option out."
        ) from None


def _connect(address: str) -> None:
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise StoreError(f"--ray-address {address}: cannot join that cluster ({error}).") from None
