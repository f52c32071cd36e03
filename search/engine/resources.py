"""What this machine, or those of a cluster, can give to trials: counted and checked before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from licap.errors import ConfigError
from search.space import Resources, SearchSpace


@dataclass(frozen=True)
class Machine:
    """CPU cores that may be used, and CUDA devices. A trial's slot lies on one machine."""

    cpus: int
    gpus: int

    def slots(self, wanted: Resources) -> int:
        """How many slots fit."""
        fits = int(self.cpus / wanted.cpus + 1e-9)
        return min(fits, int(self.gpus / wanted.gpus + 1e-9)) if wanted.gpus > 0 else fits


def this_machine(*, look_for_gpus: bool) -> Machine:
    """Counts cores (the process's affinity) and, where asked, CUDA devices; looking for those imports torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = 0
    if look_for_gpus:
        import torch

        gpus = torch.cuda.device_count()
    return Machine(cpus, gpus)


def check_resources(space: SearchSpace, machines: Sequence[Machine], *, where: str) -> None:
    """Refuses slots that none of the machines can hold. where: what messages call them.

    Raises: ConfigError with what was asked, what there is, and which setting to change.
    """
    wanted = space.resources
    problems = [
        f"resources.{name}: {asked:g} asked for each trial, {where} has {there}. "
        f"Lower it in the space file, or with --set resources.{name}={max(there, fallback):g}."
        for name, asked, there, fallback in (
            ("cpus", wanted.cpus, max((machine.cpus for machine in machines), default=0), 1),
            ("gpus", wanted.gpus, max((machine.gpus for machine in machines), default=0), 0),
        )
        if asked > there
    ]
    if not problems and not any(machine.slots(wanted) for machine in machines):
        problems.append(f"resources: {where} has no machine with both {wanted.cpus:g} cpus and {wanted.gpus:g} gpus.")
    problems += _device_problems(space)
    if problems:
        raise ConfigError(problems)


def _device_problems(space: SearchSpace) -> list[str]:
    """What does not fit together in `resources.gpus` and `runtime.device`."""
    wanted, device = space.resources, str(space.base["runtime.device"])
    on_gpu = device.startswith("cuda")
    if on_gpu and wanted.gpus == 0:
        return [f"resources.gpus: 0, but runtime.device is {device}. Set resources.gpus, or runtime.device to cpu."]
    if wanted.gpus > 0 and not on_gpu:
        return [f"resources.gpus: {wanted.gpus:g}, but runtime.device is {device}. Set runtime.device to cuda."]
    if wanted.gpus > 1 and not wanted.gpus.is_integer():
        return [f"resources.gpus: {wanted.gpus:g}; above 1 only whole GPUs can be given. Set it to a whole number."]
    return []


def num_slots(wanted: Resources, machines: Sequence[Machine], max_concurrent: int | None) -> int:
    """Trials that run at once: what the machines hold, bounded by `max_concurrent`."""
    fits = sum(machine.slots(wanted) for machine in machines)
    return min(fits, max_concurrent or fits)
