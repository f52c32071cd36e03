"""Replays of a study's curves: what is told to pruners, what is refused, what the tables say."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from typing import Any

import numpy as np
import pytest
from curve_cases import DOWNSTREAM, PRETRAIN, SPACE, curve_space, curve_trial, curve_trials

from licap.errors import ConfigError, StoreError
from search.insight.foresight import candidate_budgets, foresight
from search.insight.recorded import Signal, curves, recorded, signal_of
from search.insight.replay_plot import regret_png
from search.insight.replay_tables import foresight_words, replay_words
from search.insight.replays import Plan, Replay, pruners, replay_study
from search.space import PrunerConfig, SearchSpace
from search.study import TrialRecord

QUALITIES = [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8, 0.4, 0.6, 0.895]
TRIALS = curve_trials(QUALITIES)
NAMES = ("asha", "hyperband", "median", "none")


def replayed(trials: list[TrialRecord] = TRIALS, *, names: Any = NAMES, **changes: Any) -> Replay:
    space = curve_space()
    like = dataclasses.replace(space.pruner, **{k: changes.pop(k) for k in ("stage", "startup") if k in changes})
    graces = changes.pop("graces", (3,))
    plan: dict[str, Any] = {"samplers": ["random"], "orders": 30, "slots": 1, "seed": 0, "signal": None} | changes
    return replay_study(trials, space, Plan(pruners=pruners(names, graces, like), **plan), study="curves")


def test_without_a_pruner_a_search_pays_everything_and_misses_nothing() -> None:
    row = replayed(names=["none"]).rows[0]
    assert (row.cost.median, row.regret.median, row.regret.high, row.hits) == (1.0, 0.0, 0.0, 1.0)
    assert row.finished.low == len(TRIALS) and 0 < row.near.low < row.near.median < row.near.high <= 1


def test_pruners_save_epochs_on_curves_that_do_not_cross() -> None:
    rows = {row.label: row for row in replayed().rows}
    assert rows["asha"].cost.median < rows["hyperband"].cost.median < rows["none"].cost.median == 1.0
    assert rows["median"].cost.median < 1.0
    assert all(row.regret.high == 0.0 and row.hits == 1.0 for row in rows.values())
    assert rows["asha"].near.median < rows["none"].near.median
    assert rows["asha"].rungs == (8, 14, 32) and rows["median"].rungs == (8,) and rows["none"].rungs == ()


def test_a_pruner_is_set_against_the_same_epochs_without_one() -> None:
    rows = {row.label: row for row in replayed().rows}
    assert rows["none"].unpruned == rows["none"].regret
    assert rows["asha"].unpruned.median > rows["asha"].regret.median == 0.0


def test_a_signal_that_says_nothing_makes_a_pruner_lose_the_best() -> None:
    good, bad = (replayed(names=["asha"], stage="pretrain", signal=name).rows[0] for name in (HINT, "val.spearman"))
    assert good.hits == 1.0 and good.cost.median < 0.5
    assert bad.hits < 1.0 and bad.regret.high > 0.0


HINT = "probe.hint.spearman"


def test_the_whole_table_follows_from_its_arguments() -> None:
    first, again, other = (replayed(seed=seed, slots=3) for seed in (0, 0, 1))
    assert replay_words(first, "csv") == replay_words(again, "csv") != replay_words(other, "csv")
    assert regret_png(first) == regret_png(again)


def test_the_record_order_is_one_search() -> None:
    replay = replayed(samplers=["recorded-order", "random"], graces=(3, 9))
    labels = [row.label for row in replay.rows]
    assert labels[:2] == ["asha grace 3, recorded-order", "asha grace 9, recorded-order"] and len(set(labels)) == 14
    assert {row.searches for row in replay.rows if row.sampler == "recorded-order"} == {1}
    assert any("no spread" in note for note in replay.notes)


def test_a_failed_trial_costs_its_epochs_and_is_never_the_best() -> None:
    trials = [*TRIALS[:5], curve_trial(5, 0.99, epochs=10, state="failed")]
    replay = replayed(trials, names=["none"])
    assert replay.best == pytest.approx(0.9, abs=1e-3) and replay.rows[0].hits == 1.0
    assert replay.epochs == 5 * (PRETRAIN + DOWNSTREAM) + PRETRAIN + 10
    assert "Failed, and cost the epochs until then: trial 5." in replay.notes


def test_what_has_not_come_to_an_end_is_left_out_and_named() -> None:
    trials = [*TRIALS, dataclasses.replace(curve_trial(10, 0.99, epochs=3), state="interrupted")]
    trials.append(dataclasses.replace(curve_trial(11, 0.99, epochs=3), state="running"))
    replay = replayed(trials, names=["none"])
    assert replay.trials == len(TRIALS)
    assert any("(running): trial 11" in note for note in replay.notes)
    assert any("(interrupted): trial 10" in note for note in replay.notes)


def test_a_trial_whose_ranks_are_undefined_is_never_the_best() -> None:
    flagged = dataclasses.replace(curve_trial(10, 0.99), notes=("ranks undefined: all predictions are equal",))
    found = recorded([*TRIALS, flagged], curve_space())
    assert 10 not in found.values and any("trial 10" in note for note in found.notes)


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([*TRIALS, dataclasses.replace(TRIALS[0], number=10, state="pruned")], "--set pruner=none"),
        (TRIALS[:2], "not enough complete trials, at least 3 (2 trials: 2 complete)"),
    ],
)
def test_a_study_without_whole_curves_is_refused(trials: list[TrialRecord], words: str) -> None:
    with pytest.raises(StoreError, match=re.escape(words)):
        replayed(trials)
    with pytest.raises(StoreError, match=re.escape(words)):
        foresight(trials, curve_space(), [5], study="curves", seed=0)


def test_a_study_that_searched_a_stage_length_is_refused() -> None:
    text = SPACE.replace(", downstream.max_epochs: 40", "")
    text += "  downstream.max_epochs: {type: int, low: 10, high: 40}\n"
    space = SearchSpace.from_text(text, source="curves.yaml")
    with pytest.raises(StoreError, match=r"downstream\.max_epochs was searched"):
        recorded(TRIALS, space)


def test_a_study_whose_trials_train_several_folds_is_refused() -> None:
    space = SearchSpace.from_text(SPACE + "folds: [0, 3]\n", source="curves.yaml")
    with pytest.raises(StoreError, match="train folds 0, 3 one after the other"):
        recorded(TRIALS, space)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signal": "probe.hint.spaerman"}, "no trial reported it; did you mean probe.hint.spearman?"),
        ({"signal": "x"}, "there are: val.spearman, probe.hint.spearman"),
        ({"signal": "signal.odd"}, "Write signal.odd:max or signal.odd:min"),
        ({"signal": "signal.odd:up"}, "must be max or min (got up)"),
        ({"graces": (400,)}, "--grace 400: leaves no rung below the end, at epoch 45"),
        ({"stage": "pretrain"}, "median has no place in pretraining"),
    ],
)
def test_what_means_nothing_here_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        replayed(**changes)


def test_which_way_a_signal_is_good_is_known_or_given() -> None:
    found = recorded(TRIALS, curve_space())
    texts = (None, HINT, "pretrain.loss", "signal.odd:min", "pretrain.loss:max")
    assert [signal_of(text, found).direction for text in texts] == ["max", "max", "min", "min", "max"]


def test_a_signal_of_pretraining_stands_after_it() -> None:
    found = recorded(TRIALS, curve_space())
    curve = curves(found, Signal(name=HINT, direction="max"))[3]
    assert curve.signals == (0.45,) * (PRETRAIN + DOWNSTREAM)
    assert curve.loss == -found.values[3] and curve.budgets == tuple(range(1, PRETRAIN + DOWNSTREAM + 1))
    late = curves(found, Signal(name="downstream.loss", direction="min"))[0]
    assert late.signals[:PRETRAIN] == (None,) * PRETRAIN and late.signals[PRETRAIN] == 1.0


def test_where_the_metric_is_an_error_smaller_is_better() -> None:
    def turned(trial: TrialRecord) -> TrialRecord:
        reports = [
            dataclasses.replace(report, metrics={"val.rmse": 1 - report.metrics["val.spearman"]})
            for report in trial.reports
        ]
        return dataclasses.replace(trial, reports=tuple(reports))

    plan = Plan(
        pruners=pruners(["asha"], [3], PrunerConfig()), samplers=["random"], orders=20, slots=1, seed=0, signal=None
    )
    rmse = replay_study(map(turned, TRIALS), curve_space("metric=rmse"), plan, study="curves")
    plain = replayed(names=["asha"], orders=20)
    assert rmse.best == pytest.approx(1 - plain.best)
    assert rmse.rows[0].cost == plain.rows[0].cost and rmse.rows[0].hits == plain.rows[0].hits


def test_a_replay_is_written_as_text_markdown_and_csv() -> None:
    replay = replayed(slots=2, signal=HINT, stage="pretrain", names=("asha", "none"))
    text = replay_words(replay, "text")
    assert text.startswith("study curves: 10 recorded trials, 450 epochs, best validation Spearman 0.8997.\n")
    assert "Over 30 orders, 2 at a time" in text and f"Rungs rank by {HINT} (larger is better)." in text
    assert len(re.findall(r"^(asha|none) ", text, re.M)) == 2
    lines = replay_words(replay, "md").splitlines()
    assert lines[2].startswith("| pruner | rungs |") and lines[3].startswith("| --- | ---: |")
    rows = list(csv.DictReader(io.StringIO(replay_words(replay, "csv"))))
    assert [row["label"] for row in rows] == ["asha", "none"] and rows[1]["cost_median"] == "1.0"
    assert rows[0]["rungs"] == "3 9 27" and rows[1]["grace"] == "" and rows[0]["signal"] == HINT


def test_a_search_that_finds_nothing_never_gets_there() -> None:
    # Ranked by its opposite, the best trial is stopped unless it comes first.
    rows = replayed(names=["asha"], signal=f"{HINT}:min", stage="pretrain", graces=(1,)).rows
    assert rows[0].near.high == math.inf and "never" in replay_words(
        replayed(signal=f"{HINT}:min", names=["asha"]), "text"
    )


def test_the_picture_is_drawn_for_many_pruners_too() -> None:
    for replay in (replayed(names=["none"]), replayed(graces=(2, 3, 9), samplers=["random", "recorded-order"])):
        assert regret_png(replay).startswith(b"\x89PNG")


def test_foresight_marks_the_metric_that_ranks_as_the_end_does() -> None:
    table = foresight(TRIALS, curve_space(), [2, 3, 5, 8, 45], study="curves", seed=0)
    assert table.stages == ("pretrain",) * 3 + ("downstream",) * 2
    cells = dict(zip(table.names, table.cells, strict=True))
    hint = cells[HINT]
    assert [each and each.tau for each in hint] == [1.0, 1.0, 1.0, None, None]
    assert all(each is None or each.best for each in hint) and hint[0] and hint[0].trials == 10
    assert [each and each.tau for each in cells["pretrain.loss"]] == [-1.0, -1.0, -1.0, None, None]
    assert [each and each.tau for each in cells["val.spearman"]][3:] == [1.0, 1.0]
    assert cells["signal.odd"][1] is None, "not finite there"
    assert cells["downstream.loss"][4] and cells["downstream.loss"][4].tau is None, "the same in all trials"


def test_foresight_looks_at_the_last_report_of_the_stage() -> None:
    short = dataclasses.replace(TRIALS[0], reports=TRIALS[0].reports[:2] + TRIALS[0].reports[PRETRAIN:])
    plain = dataclasses.replace(TRIALS[1], reports=TRIALS[1].reports[PRETRAIN:])
    table = foresight([short, plain, *TRIALS[2:]], curve_space(), [4, 8], study="curves", seed=0)
    cell = table.cells[table.names.index(HINT)][0]
    assert cell is not None and cell.trials == 9, "the trial without pretraining has nothing to show"
    assert "Fewer trials report: 9 at 4." in foresight_words(table, "text")


def test_candidate_budgets_are_the_rungs_of_both_stages_and_the_seam() -> None:
    assert candidate_budgets(curve_space(), [3, 20], PrunerConfig()) == (3, 5, 8, 9, 14, 20, 25, 27, 32)


def test_foresight_is_written_as_text_markdown_and_csv() -> None:
    table = foresight(TRIALS, curve_space(), [5, 45], study="curves", seed=0)
    text = foresight_words(table, "text")
    assert "5 (pretrain)" in text and "+1.00 (+1.00 to +1.00)*" in text and "confirm it on another study" in text
    assert "| probe.hint.spearman | +1.00 (+1.00 to +1.00)\\* | - |" in foresight_words(table, "md")
    rows = list(csv.DictReader(io.StringIO(foresight_words(table, "csv"))))
    first = next(row for row in rows if row["metric"] == HINT)
    assert (first["budget"], first["stage"], float(first["tau"]), first["strongest"]) == ("5", "pretrain", 1.0, "true")
    assert text == foresight_words(foresight(TRIALS, curve_space(), [5, 45], study="curves", seed=0), "text")
    assert np.isfinite(float(first["low"]))
