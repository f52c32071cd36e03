"""Which pruner would have found how much for how much, on the curves of a study: a table with spreads over orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from licap.errors import ConfigError
from licap.metrics import Metric
from search.insight.recorded import Recorded, Signal, curves, recorded, signal_of
from search.insight.simulation import Curve, Search, Spread, order_of, regret_bands, simulate, spread
from search.space import PrunerConfig, SearchSpace
from search.space.rungs import budgets
from search.strategy import build_pruner
from search.study import TrialRecord

ORDERS = ("random", "recorded-order")
# A search has got there when it is so near the best, relative to it.
NEAR = 0.01
_POINTS = 201


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be compared.

    pruners: each with its settings. samplers: some of `ORDERS`. orders: how many shuffled ones. signal: as `signal_of`
    takes it.
    """

    pruners: Sequence[PrunerConfig]
    samplers: Sequence[str]
    orders: int
    slots: int
    seed: int
    signal: str | None


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What one pruner came to over all orders.

    rungs: budgets at which it compares. cost, near: epochs in all, and until within 1 % of the best, as shares of the
    epochs of all trials. finished: trials that ran to their end. regret: by how much the best that was found falls
    short. unpruned: the regret of the same orders without a pruner, after as many epochs. hits: share of orders that
    found the best trial itself. bands: [3, E] of the regret at `Replay.costs`.
    """

    label: str
    sampler: str
    pruner: PrunerConfig
    rungs: tuple[int, ...]
    searches: int
    cost: Spread
    finished: Spread
    regret: Spread
    unpruned: Spread
    hits: float
    near: Spread
    bands: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The whole comparison. epochs: of all trials to their end. costs: [E] shares of them, for the bands."""

    study: str
    metric: Metric
    signal: Signal
    trials: int
    epochs: int
    best: float
    slots: int
    rows: tuple[Replayed, ...]
    costs: NDArray[np.float64]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pool:
    """The recorded curves, and what is asked of them."""

    found: Recorded
    signal: Signal
    curves: Sequence[Curve]
    plan: Plan

    @property
    def epochs(self) -> int:
        return sum(len(curve.budgets) for curve in self.curves)

    def searches(self, sampler: str, config: PrunerConfig, rungs: Sequence[int]) -> list[Search]:
        """A search for every order that a sampler stands for, each with a new pruner."""
        return [
            simulate(order, build_pruner(config, rungs, self.signal.direction), slots=self.plan.slots)
            for order in self._orders(sampler)
        ]

    def _orders(self, sampler: str) -> Iterator[list[Curve]]:
        count = len(self.curves)
        shuffled = (order_of(count, self.plan.seed, index) for index in range(self.plan.orders))
        for order in [range(count)] if sampler == "recorded-order" else shuffled:
            yield [self.curves[place] for place in order]


def replay_study(trials: Iterable[TrialRecord], space: SearchSpace, plan: Plan, *, study: str) -> Replay:
    """Simulates every pruner on every order.

    Raises: StoreError for a study without whole curves; ConfigError for settings or a signal that mean nothing here.
    """
    found = recorded(trials, space)
    signal = signal_of(plan.signal, found)
    pool = _Pool(found, signal, curves(found, signal), plan)
    rungs = [_rungs(config, space) for config in plan.pruners]
    costs = np.linspace(0.0, 1.0, _POINTS)
    rows: list[Replayed] = []
    for sampler in plan.samplers:
        unpruned = pool.searches(sampler, PrunerConfig(name="none"), ())
        for config, stops in zip(plan.pruners, rungs, strict=True):
            searches = unpruned if config.name == "none" else pool.searches(sampler, config, stops)
            rows.append(_replayed(pool, sampler, config, stops, searches, unpruned, costs))
    return Replay(
        study=study,
        metric=found.metric,
        signal=signal,
        trials=len(pool.curves),
        epochs=pool.epochs,
        best=found.best,
        slots=plan.slots,
        rows=tuple(rows),
        costs=costs,
        notes=(*found.notes, *_notes(rows)),
    )


def pruners(names: Sequence[str], graces: Sequence[int | None], like: PrunerConfig) -> list[PrunerConfig]:
    """Every pruner with every grace, its other settings like given ones; `none` has no grace."""
    return [
        replace(like, name=name, grace=grace) for name in names for grace in (graces if name != "none" else (None,))
    ]


def _rungs(config: PrunerConfig, space: SearchSpace) -> tuple[int, ...]:
    if config.name == "median" and config.stage == "pretrain":
        raise ConfigError("--stage pretrain: median has no place in pretraining. Name other pruners with --scheduler.")
    found = budgets(config, space.base)
    if config.name != "none" and not found:
        raise ConfigError(
            f"--grace {config.grace}: leaves no rung below the end, at epoch {space.max_budget}. Lower it."
        )
    return found


def _replayed(
    pool: _Pool,
    sampler: str,
    config: PrunerConfig,
    rungs: tuple[int, ...],
    searches: Sequence[Search],
    unpruned: Sequence[Search],
    costs: NDArray[np.float64],
) -> Replayed:
    total, best = pool.epochs, pool.found.loss(pool.found.best)
    after = [whole.losses_at(np.array([each.epochs]))[0] for whole, each in zip(unpruned, searches, strict=True)]
    near = best + NEAR * abs(best)
    return Replayed(
        label=_label(config, sampler, pool.plan),
        sampler=sampler,
        pruner=config,
        rungs=rungs,
        searches=len(searches),
        cost=spread([search.epochs / total for search in searches]),
        finished=spread([search.finished for search in searches]),
        regret=spread([search.loss - best for search in searches]),
        unpruned=spread([float(loss) - best for loss in after]),
        hits=sum(search.loss == best for search in searches) / len(searches),
        near=spread([search.epochs_to(near) / total for search in searches]),
        bands=regret_bands(searches, best, costs * total),
    )


def _label(config: PrunerConfig, sampler: str, plan: Plan) -> str:
    """The pruner, with what tells it apart from the others of the plan."""
    words = [config.name]
    if config.name != "none" and len({each.grace for each in plan.pruners if each.name != "none"}) > 1:
        words.append(f"grace {config.grace or 'default'}")
    return " ".join(words) + (f", {sampler}" if len(plan.samplers) > 1 else "")


def _notes(rows: Sequence[Replayed]) -> Iterable[str]:
    if any(row.cost.high < 1 for row in rows):
        yield (
            "A search ends when all recorded trials have had their turn. With the epochs that it saved it could have "
            "tried others: its final regret is what it loses by stopping trials, not all that it gains."
        )
    if any(row.sampler == "recorded-order" for row in rows):
        yield "In the recorded order, which the sampler chose by what it had seen, there is one search and no spread."
