"""What this machine, or those of a cluster, can give to trials: counted and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from licap.config import config_from
from licap.errors import ConfigError
from licap.machine import Memory, affinity_cpus, cpu_quota, memory, usable_cpus
from search.space import Resources, SearchSpace
from search.space.memory import SLACK, GraphSize, Span, trial_span

# The driver with MLflow and the pictures, and Ray's own processes: 0.7 and 0.5 GB were measured on FB15k-open.
SEARCH_BYTES = 1_300_000_000


@dataclass(frozen=True)
class Machine:
    """CPU cores that may be used, CUDA devices, and memory. A trial's slot lies on one machine.

    memory: None where it is not known, as on the machines of a cluster. cpu_quota: CPUs' worth of time that control
    groups grant, where that is less than the cores.
    """

    cpus: int
    gpus: int
    memory: Memory | None = None
    cpu_quota: float | None = None

    def slots(self, wanted: Resources, trial_bytes: int | None = None) -> int:
        """How many slots fit. trial_bytes: the most that a trial takes; None: memory is not looked at."""
        fits = int(self.cpus / wanted.cpus + 1e-9)
        if wanted.gpus > 0:
            fits = min(fits, int(self.gpus / wanted.gpus + 1e-9))
        if self.memory is None or trial_bytes is None:
            return fits
        return min(fits, held_at_once(self.memory, trial_bytes))


def held_at_once(memory: Memory, trial_bytes: int) -> int:
    """How many trials fit beside the search; one at least, for an estimate does not keep a trial from running."""
    return max(1, int((memory.free - SEARCH_BYTES) / trial_bytes))


def this_machine(*, look_for_gpus: bool) -> Machine:
    """Counts cores and memory as `licap.machine` does and, where asked, CUDA devices; for those torch is imported."""
    gpus = 0
    if look_for_gpus:
        import torch

        gpus = torch.cuda.device_count()
    quota = cpu_quota()
    return Machine(usable_cpus(), gpus, memory(), quota if quota is not None and quota < affinity_cpus() else None)


def check_resources(space: SearchSpace, machines: Sequence[Machine], *, where: str) -> None:
    """Refuses slots that none of the machines can hold. where: what messages call them.

    Raises: ConfigError with what was asked, what there is, and which setting to change.
    """
    wanted = space.resources
    quota = next((machine.cpu_quota for machine in machines if machine.cpu_quota is not None), None)
    problems = [
        f"resources.{name}: {asked:g} asked for each trial, {where} has {there}{why}. "
        f"Lower it in the space file, or with --set resources.{name}={max(there, fallback):g}."
        for name, asked, there, fallback, why in (
            ("cpus", wanted.cpus, max((each.cpus for each in machines), default=0), 1, _quota_words(quota)),
            ("gpus", wanted.gpus, max((each.gpus for each in machines), default=0), 0, ""),
        )
        if asked > there
    ]
    if not problems and not any(machine.slots(wanted) for machine in machines):
        problems.append(f"resources: {where} has no machine with both {wanted.cpus:g} cpus and {wanted.gpus:g} gpus.")
    problems += _device_problems(space)
    if problems:
        raise ConfigError(problems)


def _quota_words(quota: float | None) -> str:
    return "" if quota is None else f" (a CPU quota of {quota:g} for the container or job that this runs in)"


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
