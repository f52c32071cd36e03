"""Seeds, random states and threads: the same config gives the same numbers, and trials do not disturb each other.

`seed_everything` seeds the global generators of Python, numpy, torch and (where it is imported already) DGL.
`Randomness` keeps states of its own and swaps them in while its owner computes, so that two trials in one process, or a
program around them, do not advance each other's generators. DGL's generator cannot be read out, so it is only seeded.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from licap.machine import usable_cpus

# torch starts with all cores, also where a quota grants fewer: then the kernel would suspend the threads most of the
# time. What OMP_NUM_THREADS says stays.
_FOUND = torch.get_num_threads()
_THREADS_AT_START = _FOUND if os.environ.get("OMP_NUM_THREADS") else min(_FOUND, usable_cpus())


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy, torch (CPU and CUDA) and DGL where imported; makes cuDNN deterministic.

    seed: 0 to 2**32 - 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    dgl = sys.modules.get("dgl")
    if dgl is not None:
        # DGL takes 31 bits.
        dgl.seed(seed % 2**31)


def stage_seed(seed: int, stage: str) -> int:
    """A seed for one stage of a trial: 0 to 2**32 - 1, unrelated to those of other stages and seeds."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}".encode()).digest()[:4], "little")


def set_threads(count: int | None) -> None:
    """Sets torch's CPU threads. None: as many as OMP_NUM_THREADS says, or else as this process has cores."""
    torch.set_num_threads(count if count is not None else _THREADS_AT_START)


class Randomness:
    """Random generators of one owner, held as states beside the global generators.

    The states are those that `seed_everything(seed)` leaves; outside of `active()` nothing global is changed by it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        outside = _read_states()
        seed_everything(seed)
        # CUDA's states follow when it is first used: reading them now would start it.
        self._states = {**_read_states(), "cuda": None}
        _write_states(outside, seed)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within, the global generators are this owner's; afterwards they are again what they were, also on error."""
        outside = _read_states()
        _write_states(self._states, self._seed)
        try:
            yield
        finally:
            self._states = _read_states()
            _write_states(outside, self._seed)

    def state_dict(self) -> dict[str, Any]:
        """Seed and states, as tensors and plain values."""
        return {"seed": self._seed, **self._states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over the states of `state_dict`. Raises: ValueError if it is something else, and changes nothing."""
        if set(state) != {"seed", *self._states}:
            raise ValueError(f"a random state holds {sorted({'seed', *self._states})} (got {sorted(state)})")
        self._seed = state["seed"]
        self._states = {name: state[name] for name in self._states}


def _read_states() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    cuda_is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda_is_used else None,
    }


def _write_states(states: Mapping[str, Any], seed: int) -> None:
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if not torch.cuda.is_available():
        return
    if states["cuda"] is None:
        # Not used so far: seeded now, or, by torch, when it is first used.
        torch.cuda.manual_seed_all(seed)
        return
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
