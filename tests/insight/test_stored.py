"""A study as an Optuna storage: Optuna itself reads back what the record holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from licap.errors import StoreError
from licap.fields import Scalar
from search.insight.stored import stored_study
from search.space import SearchSpace
from search.strategy.storage import replaced_storage
from search.study import Reported, TrialRecord
from search.study.spans import Span

SPACE = """
metric: rmse
sampler: random
seed: 7
search:
  pretrain.imp_ratio: {type: float, low: 0.02, high: 0.3, log: true}
  pretrain.eta2: {type: float, low: 0.1, high: 2.0, step: 0.1}
  pretrain.heads: {type: int, low: 1, high: 8, log: true}
  pretrain.hidden: {type: int, low: 4, high: 16, step: 4}
  pretrain.clip_norm: {type: categorical, choices: [null, 1.0, 10.0]}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}
"""
VALUES: dict[str, Scalar] = {
    "pretrain.imp_ratio": 1 / 30,
    "pretrain.eta2": 0.3,
    "pretrain.heads": 8,
    "pretrain.hidden": 12,
    "pretrain.clip_norm": None,
    "pretrain.bins.kind": "quantile",
    "pretrain.bins.count": 3,
}
PLAIN = {name: value for name, value in VALUES.items() if name != "pretrain.bins.count"} | {
    "pretrain.bins.kind": "length"
}


def trial(number: int, state: str, values: dict[str, Scalar], reports: Sequence[float], **said: object) -> TrialRecord:
    """A trial that reports RMSE."""
    reported = tuple(
        Reported(
            trial=number, stage="downstream", epoch=e, budget=e + 3, metrics={"val.rmse": value, "val.spearman": 0.5}
        )
        for e, value in enumerate(reports)
    )
    return TrialRecord(
        number=number, values=values, starting_point=number == 0, state=state, reports=reported, seconds=2.5, **said
    )  # type: ignore[arg-type]


TRIALS = [
    trial(0, "complete", VALUES, [0.9, 1 / 3], notes=("a note", "another")),
    trial(1, "pruned", PLAIN, [0.8, math.nan, math.inf, -math.inf]),
    trial(2, "failed", PLAIN, [], failure="diverged", message="pretrain.loss is not finite"),
    trial(3, "complete", PLAIN, [math.nan]),
    trial(4, "interrupted", PLAIN, [0.7], message="cut off"),
    trial(5, "running", PLAIN, [0.6]),
]
SPANS = {number: Span(1e9 + number, 1e9 + number + 60.25) for number in range(5)} | {5: Span(1e9 + 5)}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace.from_text(SPACE, source="stored.yaml")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, space: SearchSpace) -> Path:
    path = tmp_path_factory.mktemp("stored") / "study.db"
    path.write_bytes(stored_study(TRIALS, space, SPANS, study="mine"))
    return path


@pytest.fixture(scope="module")
def study(path: Path) -> optuna.Study:
    return optuna.load_study(study_name="mine", storage=f"sqlite:///{path}")


def test_states_and_values_are_told_honestly(study: optuna.Study) -> None:
    told = [(each.state, each.value) for each in study.trials]
    assert told == [
        (TrialState.COMPLETE, 1 / 3),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
        (TrialState.FAIL, None),
        (TrialState.RUNNING, None),
        (TrialState.RUNNING, None),
    ]
    assert study.direction == optuna.study.StudyDirection.MINIMIZE and study.best_trial.number == 0


def test_every_report_is_there_finite_or_not(study: optuna.Study) -> None:
    reports = [each.intermediate_values for each in study.trials]
    assert reports[0] == {3: 0.9, 4: 1 / 3} and reports[2] == {}
    assert (
        reports[1][3] == 0.8 and math.isnan(reports[1][4]) and (reports[1][5], reports[1][6]) == (math.inf, -math.inf)
    )


def test_parameters_and_ranges_are_those_of_the_space(study: optuna.Study) -> None:
    assert [each.params for each in study.trials] == [VALUES, *[PLAIN] * 5]
    assert study.trials[0].distributions == {
        "pretrain.imp_ratio": FloatDistribution(0.02, 0.3, log=True),
        "pretrain.eta2": FloatDistribution(0.1, 2.0, step=0.1),
        "pretrain.heads": IntDistribution(1, 8, log=True),
        "pretrain.hidden": IntDistribution(4, 16, step=4),
        "pretrain.clip_norm": CategoricalDistribution([None, 1.0, 10.0]),
        "pretrain.bins.kind": CategoricalDistribution(["length", "quantile"]),
        "pretrain.bins.count": IntDistribution(2, 8),
    }
    assert "pretrain.bins.count" not in study.trials[1].distributions


def test_what_was_said_of_a_trial_is_kept(study: optuna.Study, space: SearchSpace) -> None:
    said = [each.user_attrs for each in study.trials]
    assert said[0]["notes"] == ["a note", "another"] and said[0]["starting_point"] is True
    assert (said[2]["failure"], said[2]["message"]) == ("diverged", "pretrain.loss is not finite")
    assert [each["state"] for each in said[3:]] == ["complete", "interrupted", "running"]
    assert said[0]["val.spearman"] == 0.5 and "val.rmse" not in said[3], "not finite"
    assert study.user_attrs["sampler"] == "random" and study.user_attrs["seed"] == 7
    assert SearchSpace.from_text(study.user_attrs["space"], source="stored.yaml") == space


def test_times_are_those_of_the_record(study: optuna.Study) -> None:
    first, last = study.trials[0], study.trials[5]
    assert first.datetime_start == datetime.fromtimestamp(1e9) and first.duration is not None
    assert first.duration.total_seconds() == 60.25 and last.datetime_complete is None


def test_optuna_can_go_on_with_a_copy(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'copy.db'}")
    asked = study.ask()
    assert asked.number == 6
    asked.suggest_float("pretrain.imp_ratio", 0.02, 0.3, log=True)
    study.tell(asked, 0.1)
    with pytest.raises(StoreError, match="was changed since"):
        replaced_storage(tmp_path / "copy.db")


def test_an_export_is_known_however_often_it_was_read(path: Path, tmp_path: Path) -> None:
    assert replaced_storage(tmp_path / "nothing.db") is None
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert len(study.trials) == len(TRIALS) and replaced_storage(path) == "study mine"


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    own = tmp_path / "own.db"
    optuna.create_study(storage=f"sqlite:///{own}", study_name="own")
    text = tmp_path / "text.db"
    text.write_text("x: 1\n", encoding="utf-8")
    for each in (own, text):
        before = each.read_bytes()
        with pytest.raises(StoreError, match="is not replaced"):
            replaced_storage(each)
        assert each.read_bytes() == before


def test_a_study_without_trials_is_a_storage_too(space: SearchSpace, tmp_path: Path) -> None:
    (tmp_path / "empty.db").write_bytes(stored_study([], space, {}, study="empty"))
    assert optuna.load_study(study_name="empty", storage=f"sqlite:///{tmp_path / 'empty.db'}").trials == []
