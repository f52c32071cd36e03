"""Estimates of a trial's memory lie between its measured peak and half as much again, and grow with what they count."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from licap.config import TrialConfig, parse_overrides
from licap.model_configs import MODEL_NAMES
from search.space.memory import SLACK, GraphSize, trial_bytes, trial_span

FB15K = GraphSize(14_951, 381_186, 1_345, 14_105, {})
SMALL = GraphSize(2_400, 18_000, 24, 2_280, {})
# What Ray puts into a worker beyond what a process of its own has.
RAY = 60e6
# The data set is made before the peak is reset: reading text takes more for a while than the graph itself.
TRIAL = """
import sys
from licap.config import config_from, parse_overrides
from licap.trial import Trial
from search.engine.rehearsal import rehearsal_dataset
config = config_from(parse_overrides(sys.argv[1:]))
dataset, _ = rehearsal_dataset(config.data)
open("/proc/self/clear_refs", "w").write("5")
for report in Trial(config, dataset=dataset): pass
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024)
"""


def config(*words: str) -> TrialConfig:
    return TrialConfig().with_values(parse_overrides(words))


def peak(*words: str) -> float:
    """Bytes that a fresh process takes for a short trial of a config."""
    epochs = [f"{stage}.max_epochs=3" for stage in ("pretrain", "downstream")]
    command = [sys.executable, "-c", TRIAL, *words, *epochs, "runtime.threads=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) + RAY


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are measured as Linux tells them")
def test_an_estimate_is_near_the_measured_peak_on_the_generated_graph() -> None:
    measured = peak()
    assert measured / SLACK <= trial_bytes(config(), SMALL) <= measured * SLACK


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are measured as Linux tells them")
@pytest.mark.parametrize("words", [[], ["downstream.model=rgcn"]])
def test_an_estimate_is_near_the_measured_peak_on_fb15k(words: list[str], data_dir: Path) -> None:
    measured = peak(*words, f"data.path={data_dir / 'fb15k'}")
    assert measured / SLACK <= trial_bytes(config(*words), FB15K) <= measured * SLACK


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (["pretrain.heads=32"], ["pretrain.heads=8"]),
        (["pretrain.hidden=64"], []),
        (["pretrain.out_dim=512"], ["pretrain.out_dim=64"]),
        (["pretrain.imp_ratio=0.3"], []),
        (["data.features=concat"], []),
        (["data.features=both"], ["data.features=semantic"]),
        (["runtime.dtype=float64"], []),
        ([], ["downstream.input=features"]),
        (["pretrain.training=joint"], []),
        (["downstream.geni.heads=64"], []),
        (["downstream.geni.layers=64"], []),
        (["downstream.model=rgcn"], ["downstream.model=rgcn", "downstream.rgcn.num_bases=4"]),
        (["downstream.model=gcn", "downstream.gcn.hidden=2048"], ["downstream.model=gcn"]),
        (["downstream.model=random_forest", "downstream.random_forest.num_trees=1000"], ["downstream.model=mlp"]),
    ],
)
def test_an_estimate_grows_with_what_a_trial_computes(more: list[str], less: list[str]) -> None:
    assert trial_bytes(config(*more), FB15K) > trial_bytes(config(*less), FB15K)


SIZES = ("heads", "hidden", "layers", "list_num", "num_trees")


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_every_models_estimate_counts_its_own_arrays(model: str) -> None:
    own = getattr(TrialConfig().downstream, model)
    words = [f"downstream.model={model}", "downstream.input=features", "data.features=both"]
    plain = trial_bytes(config(*words), FB15K)
    options = (
        [each.name for each in fields(own) if each.name in SIZES] if own.trained or model == "random_forest" else []
    )
    for option in options:
        more = trial_bytes(config(*words, f"downstream.{model}.{option}={2 * getattr(own, option)}"), FB15K)
        assert more > plain, f"{option} is left out"
    assert options or not own.trained
    # Beside the graph itself, whose share is all that a model without inputs takes.
    bare = config("downstream.model=in_degree", "downstream.input=features", "data.features=both")
    larger = replace(FB15K, nodes=2 * FB15K.nodes)
    grown, share = (trial_bytes(each, larger) - trial_bytes(each, FB15K) for each in (config(*words), bare))
    assert grown > share if own.sees_inputs else grown == share


def test_a_space_has_a_smallest_and_a_largest_trial(read: Any) -> None:
    space = read(
        """
        search:
          pretrain.heads: {type: int, low: 1, high: 64}
          downstream.input: {type: categorical, choices: [features, embeddings]}
        """
    )
    span = trial_span(space, FB15K)
    assert span.least == trial_bytes(space.config_for({"pretrain.heads": 1, "downstream.input": "features"}), FB15K)
    assert span.most >= trial_bytes(space.config_for({"pretrain.heads": 64, "downstream.input": "embeddings"}), FB15K)
