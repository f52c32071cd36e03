"""A few epochs of a space's first trial, timed, in this process and without writing: what a dry run knows of seconds.

Imports torch, so nothing imports it before it is needed.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import numpy as np
import torch

from licap.config import DataConfig, TrialConfig
from licap.datasets.dataset import Dataset
from licap.datasets.features import given_features, node_texts
from licap.datasets.fingerprint import features_fingerprint
from licap.datasets.registry import check_fingerprint, completed, load_raw
from licap.errors import DataError
from licap.fields import Scalar
from licap.trial import Trial
from search.space.memory import GraphSize
from search.space.space import SearchSpace

# The first epoch of a stage compiles, sorts and allocates; the last of these is like all others.
_EPOCHS = 3
_SEED = 0


@dataclass(frozen=True)
class Pace:
    """Seconds of a trial: before its first epoch, and for an epoch of each stage; None where that was not reached.

    point: which trial this is, in words. model: its downstream model. cut_off: whether time was up before its end.
    """

    point: str
    model: str
    setup: float | None
    pretrain: float | None
    downstream: float | None
    cut_off: bool


def rehearsal_dataset(config: DataConfig) -> tuple[Dataset, GraphSize]:
    """The data set of a config, with noise in place of features that are to be computed: they would take minutes.

    Raises: DataError as `load_dataset`, where files are missing or wrong.
    """
    raw = load_raw(config)
    given = given_features(raw, config)
    if config.fingerprint is not None:
        used = {name: given[name] for name in config.parts if name in given}
        check_fingerprint(raw, features_fingerprint(used), config)
    size = GraphSize.of(raw.graph, raw.valid, given)
    if "semantic" not in given and node_texts(raw) is None and config.features != "struct":
        raise DataError(f"data.features: is {config.features}, and there are neither semantic features nor texts")
    rng = np.random.default_rng(_SEED)
    for name in ("struct", "semantic"):
        if name not in given:
            given[name] = rng.standard_normal((size.nodes, size.width(name, config)), dtype=np.float32)
    given["concat"] = np.concatenate([given["struct"], given["semantic"]], axis=1)
    return completed(raw, {name: given[name] for name in config.channels}, fingerprint=""), size


def rehearse(space: SearchSpace, dataset: Dataset, *, limit_s: float) -> Pace:
    """Times the first trial that pretrains among the starting points, the usual values, and these with every input.

    Where none does, the first of them. limit_s: what is not measured by then stays open.
    Raises: LicapError where the trial cannot be built or diverges.
    """
    point, config = _first(space)
    cut_off = True
    stages = {f"{stage}.{key}": _EPOCHS for stage in ("pretrain", "downstream") for key in ("max_epochs", "patience")}
    seconds: dict[str, float] = {}
    threads = torch.get_num_threads()
    try:
        # What was measured until the time is up is the answer.
        with suppress(TimeIsUp), time_limit(limit_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _measure(config.with_values(stages), dataset, seconds)
            cut_off = False
    finally:
        torch.set_num_threads(threads)
    return Pace(
        point,
        config.downstream.model,
        seconds.get("setup"),
        seconds.get("pretrain"),
        seconds.get("downstream"),
        cut_off=cut_off,
    )


def _first(space: SearchSpace) -> tuple[str, TrialConfig]:
    first = None
    for point, values in _points(space):
        found = point, space.config_for(values)
        if found[1].pretrains:
            return found
        first = first or found
    assert first is not None
    return first


def _points(space: SearchSpace) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    for number, values in enumerate(space.starting_points, start=1):
        yield f"starting point {number}", values
    yield "the usual values", {}
    # A grid of inputs may begin with the one that needs no pretraining.
    for parameter in space.parameters:
        if parameter.name == "downstream.input":
            for choice in parameter.choices:
                yield f"the usual values and {parameter.name} {choice}", {parameter.name: choice}


def _measure(config: TrialConfig, dataset: Dataset, seconds: dict[str, float]) -> None:
    """Fills in seconds as they become known: a stage's last epoch."""
    before = time.perf_counter()
    trial = Trial(config, dataset=dataset)
    seconds["setup"] = time.perf_counter() - before
    before = time.perf_counter()
    for report in trial:
        now = time.perf_counter()
        seconds[report.stage] = now - before
        before = now


class TimeIsUp(BaseException):
    """Raised amid whatever is computed; no Exception, so that no library takes it for a failure of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeIsUp inside after so many seconds; without a limit where the system or the thread has no alarms."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
