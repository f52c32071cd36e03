"""What acts in a trial and what does not, and a config that means the same from any folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trial_cases import tiny_config, tiny_dataset

from licap.config import TrialConfig, config_from, load_config
from licap.errors import ConfigError, DataError
from licap.fields import FieldSpec, Scalar, flatten, specs_of
from licap.model_configs import MODEL_NAMES
from licap.portable import absolute, active_values, located, portable_yaml
from licap.trial import Trial
from licap.yaml_file import parse_yaml

SPECS = specs_of(TrialConfig)
CASES: Mapping[str, Mapping[str, Scalar]] = {
    "as it is": {},
    "features": {"downstream.input": "features"},
    "untrained": {"downstream.input": "features+untrained"},
    "joint": {"downstream.input": "embeddings", "pretrain.training": "joint"},
    "gat encoder": {"pretrain.encoder": "gat", "downstream.model": "gcn"},
    "quantile": {"pretrain.bins.kind": "quantile", "pretrain.bins.count": 3, "downstream.model": "gcn"},
    "no L2": {"pretrain.eta2": 0.0, "downstream.model": "gcn"},
    "no L1": {"pretrain.eta1": 0.0, "downstream.model": "gcn"},
    "no beta": {"pretrain.beta.kind": "none", "downstream.model": "gcn"},
    "no scaling": {"downstream.geni.centrality_scaling": False, "downstream.input": "features"},
    "fitted": {"downstream.model": "random_forest", "downstream.input": "features"},
    "graph alone": {"downstream.model": "pagerank", "downstream.input": "features"},
}


def another(spec: FieldSpec, value: Scalar) -> Scalar:
    """A value that the field may have and has not."""
    if spec.choices:
        return next(choice for choice in spec.choices if choice != value)
    if spec.kind is bool:
        return not value
    if spec.kind is str:
        return f"{value}-other"
    candidates: list[float | int] = [2, 3, 0.25, 0.4, 0.75, 61, 1.5]
    for candidate in candidates:
        try:
            if candidate != value:
                return spec.parse(candidate)
        except ValueError:
            continue
    raise AssertionError(f"no other value for {spec.name}")


def changed_where_it_does_not_act(config: TrialConfig) -> TrialConfig:
    """Every value that does not act is another one, as far as the config's own rules let it."""
    for name in SPECS.keys() - active_values(config).keys():
        # Data are at hand in these tests.
        if not name.startswith("data."):
            try:
                config = config.with_values({name: another(SPECS[name], config.flat()[name])})
            except ConfigError:
                continue
    return config


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_what_does_not_act_changes_no_digit(values: Mapping[str, Scalar]) -> None:
    config = tiny_config(values)
    other = changed_where_it_does_not_act(config)
    assert sum(config.flat()[name] != value for name, value in other.flat().items()) > 20
    dataset = tiny_dataset()
    trials = [Trial(each, dataset=dataset) for each in (config, other)]
    # A loss of weight 0 is reported, and so are signals of its bins, but nothing is trained by them.
    idle = {"pretrain.l1"} if config.pretrain.eta1 == 0 else set()
    idle |= {"pretrain.l2", "signal.alignment"} if config.pretrain.eta2 == 0 else set()
    # Stage 2 begins at the budget behind a stage 1 that there may not be.
    reports = [
        [
            (each.stage, each.epoch, {name: value for name, value in each.metrics.items() if name not in idle})
            for each in trial
        ]
        for trial in trials
    ]
    assert reports[0] == reports[1]
    np.testing.assert_array_equal(trials[0].predictions(), trials[1].predictions())


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_options_of_one_model_act(model: str) -> None:
    values: dict[str, object] = {"downstream.model": model, "downstream.input": "features", "data.features": "both"}
    names = [name for name in active_values(config_from(values)) if name.startswith("downstream.")]
    owners = {name.split(".")[1] for name in names if name.count(".") == 2}
    assert owners <= {model}


@pytest.mark.parametrize(
    ("values", "given", "acting", "idle"),
    [
        ({}, (), ["data.synthetic.seed", "data.node2vec.dim", "data.cache"], ["data.text.dim", "data.semantic_file"]),
        ({"data.path": "kg"}, (), ["data.node2vec.p", "data.cache"], ["data.synthetic.noise"]),
        ({"data.path": "kg"}, ("struct",), ["data.path"], ["data.node2vec.p", "data.cache", "data.text.encoder"]),
        ({"data.struct_file": "f.npy"}, (), ["data.struct_file"], ["data.node2vec.p", "data.cache"]),
        ({"data.features": "both"}, ("struct",), ["data.text.dim", "data.cache"], ["data.node2vec.p"]),
        ({"data.features": "concat", "data.text.encoder": "sentence"}, (), ["data.text.model"], ["data.text.dim"]),
        ({"downstream.input": "features"}, (), ["downstream.lr"], ["pretrain.lr", "pretrain.heads"]),
        ({"downstream.input": "untrained"}, (), ["pretrain.heads"], ["pretrain.lr", "pretrain.eta1"]),
        ({"downstream.model": "mlp"}, (), ["downstream.mlp.hidden"], ["downstream.lr", "downstream.monitor"]),
        ({}, (), ["pretrain.bins.length", "pretrain.beta.allow_unordered"], ["pretrain.bins.count"]),
    ],
)
def test_values_act_beside_others(
    values: dict[str, object], given: tuple[str, ...], acting: list[str], idle: list[str]
) -> None:
    config = config_from(values)
    found = active_values(config, given)
    assert set(acting) <= found.keys() and not set(idle) & found.keys()


def test_a_condition_names_an_option_that_is_there() -> None:
    for spec in SPECS.values():
        assert {each.key for each in spec.acts} | set(spec.serves) <= SPECS.keys()


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_the_file_gives_back_all_that_acts(values: Mapping[str, Scalar], tmp_path: Path) -> None:
    config = located(tiny_config({**values, "pretrain.temperature": 0.1 + 0.2, "data.cache": "/c"}))
    path = tmp_path / "c.yaml"
    path.write_text(portable_yaml(config, fingerprint=None), encoding="utf-8")
    again = load_config(path)
    assert active_values(again) == active_values(config)
    assert flatten(parse_yaml(path.read_text(encoding="utf-8"), "c").data).keys() == active_values(config).keys() - {
        "data.fingerprint"
    }
    assert portable_yaml(again, fingerprint=None) == path.read_text(encoding="utf-8")


def test_paths_are_absolute_and_names_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_from(
        {"data.path": "a b/kg", "data.struct_file": "/f.npy", "data.cache": "./~c", "data.features": "concat"}
        | {"data.text.encoder": "sentence"}
    )
    data = located(config).data
    assert (data.path, data.struct_file, data.cache) == (f"{tmp_path}/a b/kg", "/f.npy", f"{tmp_path}/~c")
    assert data.semantic_file is None and data.text.model == config.data.text.model
    (tmp_path / "encoder").mkdir()
    assert absolute("data.text.model", "encoder") == f"{tmp_path}/encoder"
    assert absolute("data.dataset", "tsv") == "tsv" and located(located(config)) == located(config)


def write_graph(folder: Path, importance: Any, *, first: str = "n0") -> Path:
    """A graph of 60 nodes as text."""
    folder.mkdir(parents=True)
    names = [first, *(f"n{i}" for i in range(1, 60))]
    rows = [f"{name}\t{importance(i)}\t1" for i, name in enumerate(names)]
    (folder / "nodes.tsv").write_text("node\timportance\tvalid\n" + "\n".join(rows) + "\n", encoding="utf-8")
    edges = [f"{names[i]}\tr\t{names[(7 * i + 1) % 60]}" for i in range(60)]
    (folder / "triples.tsv").write_text("head\trelation\ttail\n" + "\n".join(edges) + "\n", encoding="utf-8")
    np.save(folder / "features.npy", np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32))
    return folder


def test_a_fingerprint_refuses_other_labels_nodes_and_features(tmp_path: Path) -> None:
    from licap.datasets import load_dataset

    kg = write_graph(tmp_path / "kg", lambda i: i + 1)
    values = {"data.path": str(kg), "data.struct_file": str(kg / "features.npy")}
    dataset = load_dataset(config_from(values).data)
    graph, _, features = dataset.identity.partition("+")
    assert (graph, features, dataset.given) == (dataset.fingerprint, dataset.features_fingerprint, ("struct",))
    for known in (dataset.identity, graph):
        assert load_dataset(config_from(values | {"data.fingerprint": known}).data).fingerprint == graph
    named = config_from(values | {"data.fingerprint": dataset.identity}).data
    for other in (
        write_graph(tmp_path / "labels", lambda i: i + 1 + (i == 30)),
        write_graph(tmp_path / "names", lambda i: i + 1, first="other"),
    ):
        with pytest.raises(DataError, match=rf"{other}: has other graph or scores .*--other-data") as caught:
            load_dataset(replace(named, path=str(other)))
        assert len(str(caught.value).splitlines()) == 1
    np.save(kg / "features.npy", np.ones((60, 4), dtype=np.float32))
    with pytest.raises(DataError, match="has other features"):
        load_dataset(named)
    # Whoever names the graph alone does not ask for its features.
    load_dataset(replace(named, fingerprint=graph))


def test_a_fingerprint_is_no_part_of_what_a_trial_is() -> None:
    config, dataset = tiny_config(), tiny_dataset()
    named = config.with_values({"data.fingerprint": "tiny"})
    trial = Trial(config, dataset=dataset)
    next(trial)
    again = Trial(named, dataset=dataset)
    again.load_state_dict(trial.state_dict())
    assert next(again) == next(trial)
