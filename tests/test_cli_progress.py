"""What `licap run` says of its progress."""

from __future__ import annotations

import pytest

from licap.cli import EpochLines
from licap.config import TrialConfig
from licap.trial import Report


def progress(folds: int, reports: list[tuple[float, int, int]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of reports: (seconds, fold, budget) each, of at most 10 epochs a fold."""
    config = TrialConfig().with_values({"pretrain.max_epochs": 4, "downstream.max_epochs": 6})
    now = [0.0]
    lines = EpochLines(config, folds, clock=lambda: now[0])
    for seconds, fold, budget in reports:
        now[0] = seconds
        lines(fold, Report("pretrain" if budget <= 4 else "downstream", budget, budget, {}))
    return [line.partition("/10")[2] for line in capsys.readouterr().err.splitlines()]


def test_the_time_left_shows_once_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(1, [(100.0, 0, 1), (103.0, 0, 2), (106.0, 0, 3), (130.0, 0, 10)], capsys) == [
        "",
        ", at most about 24 s left",
        ", at most about 21 s left",
        "",
    ]


def test_epochs_that_are_jumped_over_make_no_pace(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(1, [(0.0, 0, 1), (3.0, 0, 5)], capsys)[-1] == ", at most about 15 s left"


def test_without_pretraining_its_epochs_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    config = TrialConfig().with_values({"downstream.input": "features", "downstream.max_epochs": 6})
    lines = EpochLines(config, 1)
    lines(0, Report("downstream", 0, config.pretrain.max_epochs + 1, {}))
    assert capsys.readouterr().err == "downstream epoch 0, 1/6\n"


def test_the_time_left_holds_the_folds_to_come_as_long_as_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(3, [(0.0, 0, 5), (60.0, 0, 6)], capsys)[-1] == ", at most about 16 min 00 s left"
    assert progress(2, [(0.0, 0, 9), (60.0, 0, 10), (120.0, 1, 9)], capsys)[1:] == [
        ", at most about 2 min 00 s left",
        ", at most about 1 min 00 s left",
    ]
