"""The rule for names and values, held against MLflow's own validation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.config import TrialConfig
from search.tracking import mlflow_name
from search.tracking.names import clipped, param_text

METRICS = [
    "rmse",
    "median_ae",
    "spearman",
    *(f"{kind}@{k}" for kind in ("ndcg", "overlap") for k in (20, 50, 100, 200)),
]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("NDCG@20", "ndcg_at_20"),
        ("ndcg@20", "ndcg_at_20"),
        ("val.ndcg@20", "val.ndcg_at_20"),
        ("pretrain.imp_ratio", "pretrain.imp_ratio"),
        ("features+embeddings", "features_and_embeddings"),
        ("probe.features‖embeddings", "probe.features_embeddings"),
        ("RMSE (val)", "rmse__val_"),
        ("a[0]", "a_0_"),
        ("../up", "___up"),
        ("", "_"),
    ],
)
def test_the_rule(ours: str, theirs: str) -> None:
    assert mlflow_name(ours) == theirs


@settings(deadline=None)
@given(st.text(max_size=400) | st.text("./@+:[]aB\\ ", max_size=300))
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

    mapped = mlflow_name(name)
    _validate_metric(mapped, 1.0, 0, 0)
    _validate_param(mapped, "1")
    _validate_tag(mapped, "1")
    assert not set("[](){}:/ ") & set(mapped)
    assert mlflow_name(mapped) == mapped


def test_our_names_stay_apart() -> None:
    names = list(TrialConfig().flat()) + [f"{part}.{metric}" for part in ("val", "probe") for metric in METRICS]
    assert len({mlflow_name(name) for name in names}) == len(names)


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    assert mlflow_name("a" * 300 + "b") != mlflow_name("a" * 300 + "c")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (1, "1"), (5e-324, "5e-324"), (0.1 + 0.2, repr(0.1 + 0.2)), ("x", "x")],
)
def test_a_parameter_reads_as_in_yaml(value: object, text: str) -> None:
    assert param_text(value) == text  # type: ignore[arg-type]


@given(st.text(st.characters(), max_size=30), st.integers(1, 20))
def test_clipped_text_can_be_stored(text: str, limit: int) -> None:
    cut = clipped(text, limit)
    assert len(cut) <= limit
    assert "\0" not in cut
    cut.encode("utf-8")
