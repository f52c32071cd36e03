"""What this machine, or a cluster, can give to trials: counted and checked before anything is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass

from licap.errors import ConfigError
from search.space import Resources, SearchSpace


@dataclass(frozen=True)
class Machine:
    """CPU cores that may be used, CUDA devices, and what messages call the whole."""

    cpus: int
    gpus: int
    name: str = "this machine"


def this_machine(*, look_for_gpus: bool) -> Machine:
    """Counts cores (the process's affinity) and, where asked, CUDA devices; looking for those imports torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = 0
    if look_for_gpus:
        import torch

        gpus = torch.cuda.device_count()
    return Machine(cpus, gpus)


def check_resources(space: SearchSpace, machine: Machine) -> None:
    """Refuses slots that a machine cannot hold.

    Raises: ConfigError with what was asked, what there is, and which setting to change.
    """
    wanted = space.resources
    problems = [
        f"resources.{name}: {asked:g} asked for each trial, {machine.name} has {there}. "
        f"Lower it in the space file, or with --set resources.{name}={max(there, fallback):g}."
        for name, asked, there, fallback in (
            ("cpus", wanted.cpus, machine.cpus, 1),
            ("gpus", wanted.gpus, machine.gpus, 0),
        )
        if asked > there
    ]
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


def num_slots(wanted: Resources, machine: Machine, max_concurrent: int | None) -> int:
    """Trials that run at once: what the machine holds, bounded by `max_concurrent`."""
    fits = int(machine.cpus / wanted.cpus + 1e-9)
    if wanted.gpus > 0:
        fits = min(fits, int(machine.gpus / wanted.gpus + 1e-9))
    return max(1, min(fits, max_concurrent or fits))
