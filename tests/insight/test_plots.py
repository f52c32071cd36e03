"""Pictures and curves of a study: there for every record, the same for the same record."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import random
import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from licap.metrics import METRICS
from search.insight import curves_csv, study_plots
from search.insight.drawing import limits, log_ticks
from search.space import SearchSpace
from search.study import Reported, TrialRecord

Make = Callable[..., TrialRecord]
NAMES = {"history.png", "curves.png", "parameters.png"}
STATES = ("complete", "pruned", "failed", "interrupted", "running")


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def ink(png: bytes) -> set[tuple[int, int, int]]:
    """The colours in a PNG."""
    from matplotlib.image import imread

    pixels = (imread(io.BytesIO(png), format="png")[..., :3] * 255).round().astype(np.uint8)
    packed = np.unique(pixels.astype(np.int64) @ np.array([65536, 256, 1]))
    return {(int(each) >> 16, int(each) >> 8 & 255, int(each) & 255) for each in packed}


def long_trial(number: int, space: SearchSpace, state: str, epochs: int = 60) -> TrialRecord:
    """A trial with drawn values and a curve over both stages; a failed one ends with values that are not finite."""
    rng = random.Random(number)
    reports = []
    for budget in range(1, epochs + 1):
        stage, epoch = ("pretrain", budget - 1) if budget <= 30 else ("downstream", budget - 31)
        value = 0.9 - 1 / (1 + budget) + rng.gauss(0, 0.02)
        if state == "failed" and budget == epochs:
            value = rng.choice([math.nan, math.inf, -math.inf])
        metrics = {"val.spearman": value, "val.rmse": 1 / (value + 0.2)}
        reports.append(Reported(trial=number, stage=stage, epoch=epoch, budget=budget, metrics=metrics))
    values = space.sample(rng)
    return TrialRecord(number=number, values=values, starting_point=False, state=state, reports=tuple(reports))


@pytest.fixture(scope="module")
def fixed_stages() -> SearchSpace:
    """A space with a seam, two rungs, and every kind of parameter."""
    text = """
config: {pretrain: {max_epochs: 30}, downstream: {max_epochs: 60}}
search:
  pretrain.lr: {type: float, low: 1e-3, high: 3e-2, log: true}
  pretrain.beta.p: {type: float, low: 0.1, high: 0.5}
  downstream.geni.heads: {type: int, low: 1, high: 6}
  downstream.input: {type: categorical, choices: [features, embeddings, features+embeddings]}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}
pruner: {name: asha, grace: 10, reduction: 2}
"""
    return SearchSpace.from_text(text, source="seam.yaml")


@pytest.mark.parametrize(("metric", "count"), [("spearman", 1), ("rmse", 14), ("spearman", 200)])
def test_a_study_of_any_size_has_its_pictures(fixed_stages: SearchSpace, metric: str, count: int) -> None:
    space = dataclasses.replace(fixed_stages, metric=METRICS[metric])
    trials = [long_trial(n, space, STATES[n % 5], 90 if n % 5 == 0 else 20 + n % 60) for n in range(count)]
    pictures = study_plots(trials, space, study="seam")
    assert pictures.keys() == NAMES
    for name, png in pictures.items():
        width, height = size_of(png)
        assert 700 <= width <= 2000 and 400 <= height <= 2000
        assert (0xD5, 0x5E, 0x00) in ink(png), f"{name} shows the best trial"


def test_without_a_complete_trial_nothing_is_called_best(fixed_stages: SearchSpace) -> None:
    trials = [long_trial(n, fixed_stages, STATES[1 + n % 4], 20 + 6 * n) for n in range(8)]
    for png in study_plots(trials, fixed_stages, study="seam").values():
        colours = ink(png)
        assert (0xD5, 0x5E, 0x00) not in colours and (0xA3, 0xAE, 0xB8) in colours


def test_a_record_without_values_gives_words(space: SearchSpace, trial: Make) -> None:
    for trials in ([], [trial(0, None, "failed", "data")], [trial(0, math.nan, "failed", "diverged")]):
        pictures = study_plots(trials, space, study="empty")
        assert pictures.keys() == NAMES
        assert len({size_of(png) for png in pictures.values()}) == 1
        assert all(len(ink(png)) > 2 for png in pictures.values())


def test_all_equal_values_and_a_far_one_can_be_drawn(space: SearchSpace, trial: Make) -> None:
    by_error = dataclasses.replace(space, metric=METRICS["rmse"])
    far = [*(trial(n, 0.5 + n / 100) for n in range(9)), trial(9, -1e30, "failed")]
    for trials, each in (([trial(n, 0.5) for n in range(3)], space), (far, by_error)):
        pictures = study_plots(trials, each, study="odd")
        assert all(len(ink(png)) > 2 for png in pictures.values())


def test_the_same_record_gives_the_same_bytes(fixed_stages: SearchSpace) -> None:
    trials = [long_trial(n, fixed_stages, STATES[n % 2]) for n in range(4)]
    assert study_plots(trials, fixed_stages, study="seam") == study_plots(trials, fixed_stages, study="seam")


def test_far_values_do_not_squeeze_an_axis_but_results_are_always_on_it() -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1e6]
    assert limits(values, [1.0])[1] < 2
    assert limits(values, [1e6])[1] > 1e6
    low, high = limits([0.0], [])
    assert low < 0 < high


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-1), (0.02, 0.3), (1e-8, 1e4), (0.021, 0.022), (1, 10)])
def test_logarithmic_axes_have_a_few_round_ticks(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks) and ticks == sorted(set(ticks))


def test_drawing_leaves_no_trace_in_pyplot_and_costs_nothing_before(space: SearchSpace) -> None:
    code = "import sys, search.insight; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = (
        "import sys; from search.insight import study_plots; from search.space import SearchSpace\n"
        "space = SearchSpace.from_text('search: {pretrain.eta2: {type: float, low: 1, high: 2}}', source='a.yaml')\n"
        "study_plots([], space, study='a'); assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_curves_hold_every_report_in_full_precision() -> None:
    first = Reported(trial=3, stage="pretrain", epoch=0, budget=1, metrics={"pretrain.loss": 1 / 3})
    second = Reported(
        trial=3, stage="downstream", epoch=0, budget=31, metrics={"val.ndcg@20": 0.1 + 0.2, "downstream.loss": math.nan}
    )
    text = curves_csv(TrialRecord(number=3, values={}, starting_point=False, reports=(first, second)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["budget", "stage", "epoch", "pretrain.loss", "val.ndcg@20", "downstream.loss"]
    assert [(row["budget"], row["stage"], row["epoch"]) for row in rows] == [
        ("1", "pretrain", "0"),
        ("31", "downstream", "0"),
    ]
    assert float(rows[0]["pretrain.loss"]) == 1 / 3 and float(rows[1]["val.ndcg@20"]) == 0.1 + 0.2
    assert (rows[0]["val.ndcg@20"], rows[1]["pretrain.loss"], rows[1]["downstream.loss"]) == ("", "", "nan")
    assert curves_csv(TrialRecord(number=0, values={}, starting_point=False)) == "budget,stage,epoch\n"
