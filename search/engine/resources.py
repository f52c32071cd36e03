"""What this machine can give, checked before Ray starts."""

from __future__ import annotations

import os
from dataclasses import dataclass

from licap.errors import ConfigError
from search.space import Resources, SearchSpace


@dataclass(frozen=True)
class Machine:
    """CPU cores this process may use, and CUDA devices."""

    cpus: int
    gpus: int


def this_machine(*, look_for_gpus: bool) -> Machine:
    """Counts cores (the process's affinity) and, where asked, CUDA devices; looking for those imports torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = 0
    if look_for_gpus:
        import torch

        gpus = torch.cuda.device_count()
    return Machine(cpus, gpus)


def check_resources(space: SearchSpace) -> Machine:
    """Refuses slots that this machine cannot hold.

    Raises: ConfigError with what was asked, what there is, and which setting to change.
    """
    wanted = space.resources
    machine = this_machine(look_for_gpus=wanted.gpus > 0)
    problems = [
        f"resources.{name}: {asked:g} asked for each trial, this machine has {there}. "
        f"Lower it in the space file, or with --set resources.{name}={max(there, fallback):g}."
        for name, asked, there, fallback in (
            ("cpus", wanted.cpus, machine.cpus, 1),
            ("gpus", wanted.gpus, machine.gpus, 0),
        )
        if asked > there
    ]
    problems += _device_problems(wanted, space)
    if problems:
        raise ConfigError(problems)
    return machine


def _device_problems(wanted: Resources, space: SearchSpace) -> list[str]:
    device = str(space.base.get("runtime.device", "cpu"))
    on_gpu = device.startswith("cuda")
    if on_gpu and wanted.gpus == 0:
        return [f"resources.gpus: 0, but runtime.device is {device}. Set resources.gpus, or runtime.device to cpu."]
    if wanted.gpus > 0 and not on_gpu:
        return [f"resources.gpus: {wanted.gpus:g}, but runtime.device is {device}. Set runtime.device to cuda."]
    return []


def num_slots(space: SearchSpace, machine: Machine) -> int:
    """Trials that run at once: what the machine holds, bounded by `max_concurrent`."""
    fits = int(machine.cpus / space.resources.cpus + 1e-9)
    if space.resources.gpus > 0:
        fits = min(fits, int(machine.gpus / space.resources.gpus + 1e-9))
    return max(1, min(fits, space.max_concurrent or fits))
