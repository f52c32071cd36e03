"""The published early stopping rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.early_stopping import EarlyStopping


def stopping(patience: int = 3, min_epoch: int = -1) -> EarlyStopping:
    return EarlyStopping(patience=patience, min_epoch=min_epoch, save_path="best.pt")


def run(rule: EarlyStopping, scores: list[float]) -> tuple[list[int], list[int]]:
    """Saved epochs and counters until the rule stops."""
    saved, counters = [], []
    for epoch, score in enumerate(scores):
        if rule.update(score, epoch):
            saved.append(epoch)
        counters.append(rule.counter)
        if rule.early_stop:
            break
    return saved, counters


def test_a_lower_score_counts_up_and_a_higher_one_counts_from_zero() -> None:
    rule = stopping()
    assert run(rule, [1.0, 0.5, 0.7, 2.0, 1.9, 1.8, 1.7, 9.0]) == ([0, 3], [0, 1, 2, 0, 1, 2, 3])
    assert (rule.best_score, rule.best_epoch, rule.early_stop) == (2.0, 3, True)


def test_a_tie_moves_the_best_epoch() -> None:
    rule = stopping()
    assert run(rule, [1.0, 1.0, 0.0, 1.0]) == ([0, 1, 3], [0, 0, 1, 0])
    assert rule.best_epoch == 3


def test_epochs_before_the_first_watched_one_do_not_exist() -> None:
    rule = stopping(patience=2, min_epoch=3)
    assert run(rule, [9.0, 8.0, math.nan, 1.0, 0.5, 0.4]) == ([3], [0, 0, 0, 0, 1, 2])
    assert rule.best_score == 1.0


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_improves_and_counts_up(broken: float) -> None:
    rule = stopping()
    assert run(rule, [broken, 1.0, broken, 1.5, broken, broken, broken]) == ([1, 3], [1, 0, 1, 0, 1, 2, 3])
    assert (rule.best_score, rule.early_stop) == (1.5, True)


def test_without_a_finite_score_there_is_no_best() -> None:
    rule = stopping(patience=2)
    assert run(rule, [math.nan, math.nan]) == ([], [1, 2])
    assert (rule.best_score, rule.best_epoch, rule.early_stop) == (None, None, True)


def test_the_seven_fields_are_there() -> None:
    assert set(stopping().state_dict()) == {
        "early_stop",
        "patience",
        "counter",
        "best_score",
        "best_epoch",
        "save_path",
        "min_epoch",
    }


scores = st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), max_size=30)


@settings(deadline=None, max_examples=40)
@given(head=scores, tail=scores, patience=st.integers(1, 5), min_epoch=st.integers(-1, 10))
def test_a_rule_restored_from_its_state_goes_on_as_if_uncut(
    head: list[float], tail: list[float], patience: int, min_epoch: int
) -> None:
    uncut, restored = stopping(patience, min_epoch), stopping(1, 99)
    run(uncut, head)
    restored.load_state_dict(uncut.state_dict())
    assert [restored.update(s, 20 + i) for i, s in enumerate(tail)] == [
        uncut.update(s, 20 + i) for i, s in enumerate(tail)
    ]
    assert restored == uncut


@settings(deadline=None, max_examples=40)
@given(scores=scores, patience=st.integers(1, 5))
def test_the_best_score_is_the_largest_finite_one(scores: list[float], patience: int) -> None:
    rule = stopping(patience)
    for epoch, score in enumerate(scores):
        rule.update(score, epoch)
    finite = [score for score in scores if math.isfinite(score)]
    assert rule.best_score == (max(finite) if finite else None)


def test_a_foreign_state_changes_nothing() -> None:
    rule = stopping()
    before = rule.state_dict()
    with pytest.raises(ValueError, match="early stopping state"):
        rule.load_state_dict({"patience": 9})
    assert rule.state_dict() == before
