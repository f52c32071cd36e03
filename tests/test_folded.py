"""Folds one after the other: budgets, means, and exact resumption."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import pytest
import torch
from test_trial_store import Kept
from trial_cases import tiny_config, tiny_dataset

from licap.errors import DataError, StoreError
from licap.folded import FoldedTrial, fold_metric
from licap.splits import make_split
from licap.trial import Report, Trial

DATASET = tiny_dataset()
CONFIG = tiny_config({"downstream.patience": 2, "downstream.lr": 0.3})
FOLDS = (3, 0, 1)


def folded(folds: tuple[int, ...] = FOLDS) -> FoldedTrial:
    return FoldedTrial(CONFIG, folds, dataset=DATASET)


def alone(fold: int) -> list[Report]:
    return list(Trial(replace(CONFIG, fold=fold), dataset=DATASET))


def own(report: Report) -> Mapping[str, float]:
    return {name: value for name, value in report.metrics.items() if name.startswith("val.")}


def test_one_fold_is_a_trial() -> None:
    assert list(folded((3,))) == alone(3)


def test_each_fold_reports_what_it_would_alone_under_a_later_budget() -> None:
    reports = list(folded())
    for place, fold in enumerate(FOLDS):
        expected = alone(fold)
        found, reports = reports[: len(expected)], reports[len(expected) :]
        assert [each.budget for each in found] == [each.budget + place * CONFIG.total_budget for each in expected]
        assert [each.epoch for each in found] == [each.epoch for each in expected]
        for ours, theirs in zip(found, expected, strict=True):
            prefix = fold_metric(place, "") if place else ""
            assert {name: ours.metrics[prefix + name] for name in own(theirs)} == own(theirs)
    assert not reports


def test_values_are_means_over_the_folds_that_have_ended() -> None:
    ends = [own(alone(fold)[-1]) for fold in FOLDS]
    second = [report for report in folded() if CONFIG.total_budget < report.budget <= 2 * CONFIG.total_budget]
    assert all(own(report) == ends[0] for report in second[:-1])
    assert own(second[-1]) == {name: pytest.approx((value + ends[1][name]) / 2) for name, value in ends[0].items()}
    *_, last = folded()
    assert own(last) == {name: pytest.approx(sum(end[name] for end in ends) / 3) for name in ends[0]}


@pytest.mark.parametrize("done", [0, 3, 9, 15, 20])
def test_it_goes_on_where_it_was_saved(done: int) -> None:
    expected = list(folded())
    first = folded()
    list(islice(first, done))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = folded()
    second.load_state_dict(torch.load(file, weights_only=True))
    assert list(second) == expected[done:]
    assert second.finished


def test_every_moment_can_be_saved_exactly() -> None:
    expected = list(folded())
    trial = folded()
    for done in range(len(expected)):
        other = folded()
        other.load_state_dict(trial.state_dict())
        assert next(other) == expected[done]
        assert next(trial) == expected[done]
    assert trial.finished


@pytest.mark.parametrize("place", [1, 2])
def test_what_a_later_fold_lacks_is_refused_before_the_first_is_trained(place: int) -> None:
    folds = (0, 1, 2)
    importance = DATASET.importance.copy()
    importance[make_split(DATASET.valid, fold=folds[place], seed=0).train] = 5.0
    data = replace(DATASET, importance=importance)
    assert FoldedTrial(CONFIG, folds[:place], dataset=data)
    with pytest.raises(DataError, match="top bin holds all"):
        FoldedTrial(CONFIG, folds, dataset=data)


def test_folds_share_a_store_and_none_gets_the_stage_1_of_another() -> None:
    config, store = tiny_config({"pretrain.max_epochs": 2, "downstream.max_epochs": 1}), Kept()
    expected = list(FoldedTrial(config, (0, 1), dataset=DATASET))
    for _ in range(2):
        assert list(FoldedTrial(config, (0, 1), dataset=DATASET, store=store)) == expected
    assert (len(store.entries), store.hits) == (2, 2)


def test_a_state_of_other_folds_is_refused() -> None:
    with pytest.raises(StoreError, match="other folds"):
        folded((0, 1)).load_state_dict(folded().state_dict())
