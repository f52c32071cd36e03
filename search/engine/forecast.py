"""Memory and time of a search before it starts, for a dry run: estimates, from the real graph and a few real epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from licap.config import config_from
from licap.console import duration
from licap.errors import LicapError
from search.engine.resources import (
    SEARCH_BYTES,
    Machine,
    check_memory,
    check_resources,
    gigabytes,
    held_at_once,
    memory_words,
    num_slots,
    span_of,
    this_machine,
)
from search.space import SearchSpace
from search.space.estimate import estimate
from search.space.memory import GraphSize, Span

if TYPE_CHECKING:
    from licap.datasets.dataset import Dataset
    from search.engine.rehearsal import Pace

# Ray's start, the first workers, the pictures and tables at the end.
_AROUND_SECONDS = 15.0
# A dry run is to be over within some seconds, whatever the data.
_MEASURING_SECONDS = 8.0


@dataclass(frozen=True)
class Forecast:
    """warnings: what will not be as the space asks for. lines: what a description ends with, measured when asked."""

    warnings: tuple[str, ...]
    lines: Callable[[], Iterator[str]]


def forecast(space: SearchSpace, *, ray_address: str | None) -> Forecast:
    """Estimates of memory and time, on this machine unless the search joins a cluster.

    Raises: ConfigError where no trial of the space fits into this machine's memory.
    """
    from search.engine.rehearsal import rehearsal_dataset

    machine = this_machine(look_for_gpus=space.resources.gpus > 0) if ray_address is None else None
    try:
        if machine is not None:
            check_resources(space, [machine], where="this machine")
        dataset, size = rehearsal_dataset(config_from(space.base).data)
    except LicapError as error:
        line = f"Memory and time are not estimated: {_clause(error)}."
        return Forecast((), lambda: iter([line]))
    span = span_of(space, size)
    words = None
    if machine is not None and span is not None:
        check_memory(span, machine, where="this machine")
        words = memory_words(space, span, machine)

    def lines() -> Iterator[str]:
        yield from _memory_lines(space, span, machine, size)
        yield from _time_lines(space, dataset, span, machine)

    return Forecast(() if words is None else (words,), lines)


def _clause(error: LicapError) -> str:
    return " ".join(str(error).splitlines()).rstrip(".")


def _memory_lines(space: SearchSpace, span: Span | None, machine: Machine | None, size: GraphSize) -> Iterator[str]:
    if span is None:
        yield "Memory: not estimated for trials on a GPU."
        return
    least, most = gigabytes(span.least), gigabytes(span.most)
    a_trial = f"about {most}" if least == most else f"about {least} to {most}"
    yield f"Memory (estimate): a trial takes {a_trial} with {size.nodes:,} nodes and {size.edges:,} edges."
    if machine is None or machine.memory is None:
        return
    by_cores, by_memory = num_slots(space.resources, [machine], None), held_at_once(machine.memory, span.most)
    yield (
        f"  {gigabytes(machine.memory.free)} of {gigabytes(machine.memory.total)} are free, the search itself takes "
        f"{gigabytes(SEARCH_BYTES)}: memory holds {by_memory} at a time, cores {by_cores}."
    )


def _time_lines(space: SearchSpace, dataset: Dataset, span: Span | None, machine: Machine | None) -> Iterator[str]:
    from search.engine.rehearsal import rehearse

    try:
        pace = rehearse(space, dataset, limit_s=_MEASURING_SECONDS)
    except LicapError as error:
        yield f"Time is not estimated: {_clause(error)}."
        return
    slots = 1
    if machine is not None:
        slots = num_slots(space.resources, [machine], space.max_concurrent, None if span is None else span.most)
    yield from _told(space, pace, slots, clustered=machine is None)


def _told(space: SearchSpace, pace: Pace, slots: int, *, clustered: bool) -> Iterator[str]:
    cost = estimate(space)
    measured = f"measured at {pace.point} with {pace.model}"
    missing = "an epoch of pretraining" if pace.pretrain is None and cost.pretraining else ""
    missing = missing or ("an epoch of stage 2" if pace.downstream is None else "")
    if missing and not pace.cut_off:
        yield f"Time is not estimated: {missing} is not among what a trial does ({measured})."
        return
    if pace.setup is None or missing:
        there = missing or "the first epoch"
        yield (
            f"Time is not estimated: {there} was not over within {_MEASURING_SECONDS:g} s ({measured}). Kernels "
            "compile at their first use, which counts too: a second dry run may know more."
        )
        return
    at_once = max(1, min(slots, cost.trials))
    stage1, stage2 = pace.pretrain or 0.0, pace.downstream or 0.0
    epochs = cost.pretraining * stage1 + (cost.expected - cost.pretraining) * stage2
    total = _AROUND_SECONDS + (cost.trials * pace.setup + epochs) / at_once
    longest = _AROUND_SECONDS + (cost.trials * pace.setup + epochs * cost.full / cost.expected) / at_once
    bound = f", up to {duration(longest)} if none stops early" if cost.full > cost.expected else ""
    if space.time_budget_s is not None and space.time_budget_s < longest:
        bound += f"; time_budget ends it after {duration(space.time_budget_s)}"
    place = "one after another" if at_once == 1 else f"{at_once} at a time"
    yield f"Time (estimate): about {duration(total)} for {cost.trials:,} trials {place}{bound}."
    known = [f"{stage1:.2g} s in pretraining"] * (cost.pretraining > 0) + [f"{stage2:.2g} s downstream"]
    yield f"  An epoch takes {' and '.join(known)}, {measured} alone on {'this machine' if clustered else 'its cores'}."
