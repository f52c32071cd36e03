"""What this machine, or those of a cluster, can give to trials: counted and checked before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from licap.config import config_from
from licap.errors import ConfigError
from search.space import Resources, SearchSpace
from search.space.memory import SLACK, GraphSize, Span, trial_span

# The driver with MLflow and the pictures, and Ray's own processes: 0.7 and 0.5 GB were measured on FB15k-open.
SEARCH_BYTES = 1_300_000_000
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class Memory:
    """Bytes that a machine, or the container that this is, has in all, and how many of them nobody has taken."""

    total: int
    free: int

    def holds(self, trial_bytes: int) -> int:
        """How many trials fit beside the search; one at least, for an estimate does not keep a trial from running."""
        return max(1, int((self.free - SEARCH_BYTES) / trial_bytes))


@dataclass(frozen=True)
class Machine:
    """CPU cores that may be used, CUDA devices, and memory. A trial's slot lies on one machine.

    memory: None where it is not known, as on the machines of a cluster.
    """

    cpus: int
    gpus: int
    memory: Memory | None = None

    def slots(self, wanted: Resources, trial_bytes: int | None = None) -> int:
        """How many slots fit. trial_bytes: the most that a trial takes; None: memory is not looked at."""
        fits = int(self.cpus / wanted.cpus + 1e-9)
        if wanted.gpus > 0:
            fits = min(fits, int(self.gpus / wanted.gpus + 1e-9))
        if self.memory is None or trial_bytes is None:
            return fits
        return min(fits, self.memory.holds(trial_bytes))


def this_machine(*, look_for_gpus: bool) -> Machine:
    """Counts cores (the process's affinity) and, where asked, CUDA devices; looking for those imports torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = 0
    if look_for_gpus:
        import torch

        gpus = torch.cuda.device_count()
    return Machine(cpus, gpus, _memory())


def _memory() -> Memory | None:
    """What Linux says of the machine, or of the control group where that has a limit; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        stated = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        found = Memory(stated["MemTotal"], stated["MemAvailable"])
    except (OSError, ValueError, LookupError):
        return None
    for limit, used in _CGROUPS:
        try:
            total, taken = (int(Path(path).read_text(encoding="ascii")) for path in (limit, used))
        except (OSError, ValueError):  # not there, or `max`
            continue
        found = Memory(min(found.total, total), max(0, min(found.free, total - taken)))
    return found


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


def checked_machine(space: SearchSpace) -> Machine:
    """This machine, which can run the space's trials. Imports torch.

    Raises: ConfigError, DeviceError where it cannot, as `check_resources` and `licap.trial.check_machine`.
    """
    machine = this_machine(look_for_gpus=space.resources.gpus > 0)
    check_resources(space, [machine], where="this machine")
    from licap.trial import check_machine

    check_machine(config_from(space.base).runtime)
    return machine


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


def num_slots(
    wanted: Resources, machines: Sequence[Machine], max_concurrent: int | None, trial_bytes: int | None = None
) -> int:
    """Trials that run at once: what the machines' cores, GPUs and memory hold, bounded by `max_concurrent`."""
    fits = sum(machine.slots(wanted, trial_bytes) for machine in machines)
    return min(fits, max_concurrent or fits)


def span_of(space: SearchSpace, size: GraphSize) -> Span | None:
    """The least and most that a trial takes in main memory; None where trials compute on a GPU."""
    return trial_span(space, size) if str(space.base["runtime.device"]).startswith("cpu") else None


def check_memory(span: Span, machine: Machine, *, where: str) -> None:
    """Refuses a space none of whose trials fits, even where the estimate is as far off as it may be.

    Raises: ConfigError with the estimate, what there is, and what to lower.
    """
    if machine.memory is not None and span.least / SLACK > machine.memory.total:
        raise ConfigError(
            f"resources: a trial takes about {gigabytes(span.least)} of memory at least, {where} has "
            f"{gigabytes(machine.memory.total)}. Lower heads and widths (pretrain.heads, pretrain.hidden, "
            "pretrain.out_dim, those of the model), pretrain.imp_ratio, or give narrower features."
        )


def memory_words(space: SearchSpace, span: Span, machine: Machine) -> str | None:
    """Why fewer trials run at a time than could, and how many; None where memory is enough."""
    wished = num_slots(space.resources, [machine], space.max_concurrent)
    fits = num_slots(space.resources, [machine], space.max_concurrent, span.most)
    if machine.memory is None or (fits == wished and span.most + SEARCH_BYTES <= machine.memory.free):
        return None
    key = "max_concurrent" if space.max_concurrent == wished else "resources.cpus"
    return (
        f"{key}: {wished} trials at a time do not fit into memory: each takes up to about {gigabytes(span.most)}, the "
        f"search itself {gigabytes(SEARCH_BYTES)}, and {gigabytes(machine.memory.free)} are free; "
        f"{fits} {'run' if fits > 1 else 'runs'} at a time"
    )


def gigabytes(count: float) -> str:
    """Bytes as people say them: 0.7 GB, 12 GB."""
    return f"{count / 1e9:.{1 if count < 1e10 else 0}f} GB"
