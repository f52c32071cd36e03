"""A search over recorded curves: what it finds, and what it costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.insight.simulation import Curve, Search, order_of, regret_bands, simulate, spread
from search.space import PrunerConfig
from search.strategy import ASHA, NoPruner, Pruner, TrialReport, build_pruner, replay

RUNGS = (3, 9)
NAMES = ("asha", "hyperband", "median", "none")


@st.composite
def pools(draw: st.DrawFn) -> list[Curve]:
    """Trials of various lengths; some come to nothing, some never report."""
    pool = []
    for _ in range(draw(st.integers(1, 12))):
        length = draw(st.integers(0, 12))
        signals = draw(st.lists(st.one_of(st.none(), st.integers(0, 5).map(float)), min_size=length, max_size=length))
        loss = draw(st.one_of(st.none(), st.integers(0, 9).map(float)))
        pool.append(Curve(budgets=tuple(range(1, length + 1)), signals=tuple(signals), loss=loss))
    return pool


def curve(*signals: float, loss: float | None = 0.0) -> Curve:
    return Curve(budgets=tuple(range(1, len(signals) + 1)), signals=signals, loss=loss)


def pruner(name: str) -> Pruner:
    return build_pruner(PrunerConfig(name=name, reduction=2, startup=1), RUNGS, "min")


@given(pool=pools(), slots=st.integers(1, 4))
def test_without_a_pruner_every_epoch_is_paid_and_the_best_is_found(pool: list[Curve], slots: int) -> None:
    search = simulate(pool, NoPruner(), slots=slots)
    there = [each for each in pool if each.budgets]
    assert search.epochs == sum(len(each.budgets) for each in pool)
    assert search.finished == len(there)
    assert search.loss == min((each.loss for each in there if each.loss is not None), default=math.inf)


@pytest.mark.parametrize("name", NAMES)
@given(pool=pools(), slots=st.integers(1, 4))
def test_a_pruner_never_costs_more_nor_finds_what_is_not_there(name: str, pool: list[Curve], slots: int) -> None:
    search, whole = simulate(pool, pruner(name), slots=slots), simulate(pool, NoPruner(), slots=slots)
    assert search == simulate(pool, pruner(name), slots=slots)
    assert search.epochs <= whole.epochs and search.finished <= whole.finished and search.loss >= whole.loss
    epochs, losses = zip(*search.found, strict=True) if search.found else ((), ())
    assert list(epochs) == sorted(set(epochs)) and list(losses) == sorted(set(losses), reverse=True)


@given(pool=pools())
def test_one_slot_decides_as_the_pruner_does_trial_by_trial(pool: list[Curve]) -> None:
    judge, epochs = ASHA(RUNGS, reduction=2, direction="min"), 0
    for number, each in enumerate(pool):
        for place, (budget, signal) in enumerate(zip(each.budgets, each.signals, strict=True)):
            epochs += 1
            told = [] if signal is None else [TrialReport(trial=number, budget=budget, value=signal)]
            if "STOP" in [decision.name for decision in replay(judge, told)] and place + 1 < len(each.budgets):
                break
    assert simulate(pool, pruner("asha"), slots=1).epochs == epochs


def test_slots_take_turns_epoch_by_epoch() -> None:
    pool = [curve(1, 1, 1, 1, loss=1.0), curve(1, 1, loss=2.0), curve(1, 1, 1, loss=0.0)]
    one, two = (simulate(pool, NoPruner(), slots=slots) for slots in (1, 2))
    assert one.found == ((4, 1.0), (9, 0.0))
    # Trials 0 and 1 alternate; at epoch 4 trial 1 has ended and trial 2 takes its slot.
    assert two.found == ((4, 2.0), (7, 1.0), (9, 0.0))


def test_a_stopped_trial_costs_what_it_trained_and_finds_nothing() -> None:
    pool = [curve(0, 0, 0, 0, 0, loss=5.0), curve(1, 1, 1, 1, 1, loss=0.0)]
    search = simulate(pool, pruner("asha"), slots=1)
    assert (search.epochs, search.finished, search.found) == (5 + 3, 1, ((5, 5.0),))


def test_a_trial_at_its_own_end_is_not_stopped_any_more() -> None:
    pool = [curve(0, 0, 0, loss=5.0), curve(1, 1, 1, loss=0.0)]
    assert simulate(pool, pruner("asha"), slots=1).found == ((3, 5.0), (6, 0.0))


def test_a_trial_without_a_signal_is_not_judged() -> None:
    silent = Curve(budgets=(1, 2, 3, 4), signals=(None,) * 4, loss=0.0)
    assert simulate([curve(0, 0, 0, 0), silent], pruner("asha"), slots=1).finished == 2


def test_what_was_found_is_known_at_any_cost() -> None:
    search = Search(epochs=20, finished=3, found=((4, 2.0), (9, 1.0)))
    assert search.losses_at(np.array([0.0, 3.9, 4.0, 8.0, 9.0, 99.0])).tolist() == [math.inf, math.inf, 2, 2, 1, 1]
    assert [search.epochs_to(loss) for loss in (2.5, 2.0, 1.5, 0.5)] == [4.0, 4.0, 9.0, math.inf]
    assert Search(epochs=5, finished=0, found=()).loss == math.inf


def test_spreads_are_values_and_take_infinity() -> None:
    assert vars(spread([3.0, 1.0, 2.0])) == {"median": 2.0, "low": 1.0, "high": 3.0}
    found = spread([1.0] * 18 + [math.inf] * 2)
    assert (found.median, found.low, found.high) == (1.0, 1.0, math.inf)
    assert spread([math.inf]).median == math.inf


def test_bands_are_quantiles_over_searches() -> None:
    searches = [Search(epochs=9, finished=1, found=((k, float(k)),)) for k in range(1, 10)]
    low, median, high = regret_bands(searches, 1.0, np.array([0.0, 9.0]))
    assert [low[0], median[0], high[0]] == [math.inf] * 3
    assert [low[1], median[1], high[1]] == [0.0, 4.0, 8.0]


def test_orders_are_permutations_that_follow_from_seed_and_index() -> None:
    orders = [order_of(20, seed, index) for seed in (0, 1) for index in range(3)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6 and order_of(20, 0, 1) == orders[1]
