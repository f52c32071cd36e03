"""The trial config: what it refuses, how it says so, and that it reads back to the same bits."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.config import TrialConfig, config_from, load_config, parse_overrides
from licap.errors import ConfigError
from licap.fields import FieldSpec, Scalar, specs_of
from licap.model_configs import MODEL_NAMES
from licap.presets import PRESETS, preset_values

SPECS = specs_of(TrialConfig)


def write(folder: Path, text: str) -> Path:
    path = folder / "trial.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), overrides)
    return str(caught.value).replace(f"{folder}/", "")


def test_an_empty_file_is_the_default_config(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == TrialConfig()


def test_values_of_a_file_and_of_set_words_arrive(tmp_path: Path) -> None:
    text = "seed: 3\npretrain:\n  lr: 1e-3\n  bins: {kind: quantile, count: 4}\ndownstream.input: embeddings\n"
    config = load_config(write(tmp_path, text), ["seed=4", "pretrain.temperature=5E-2", "data.path=graphs/fb15k"])
    assert config.seed == 4
    assert config.pretrain.lr == 1e-3
    assert (config.pretrain.bins.kind, config.pretrain.bins.count) == ("quantile", 4)
    assert config.pretrain.temperature == 0.05
    assert config.downstream.input == "embeddings"
    assert config.data.path == "graphs/fb15k"


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = "seed: -1\npretrain:\n  imp_ratio: 1.5\n  lr: fast\n  bins:\n    knd: length\ndownstream:\n  model: genni\n"
    assert refusal(tmp_path, text, "fold=9").splitlines() == [
        "trial.yaml:1: seed: must be a whole number at least 0 and at most 4294967295 (got -1).",
        "trial.yaml:3: pretrain.imp_ratio: must be a number above 0 and below 1 (got 1.5).",
        "trial.yaml:4: pretrain.lr: must be a number above 0 and at most 1e+30 (got 'fast').",
        "trial.yaml:6: pretrain.bins.knd: unknown key; did you mean pretrain.bins.kind?",
        f"trial.yaml:8: downstream.model: must be one of {', '.join(MODEL_NAMES)} (got 'genni'); did you mean geni?",
        "--set: fold: must be a whole number at least 0 and at most 4 (got 9).",
    ]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("pretrain.temprature", "did you mean pretrain.temperature?"),
        ("imp_ratio", "did you mean pretrain.imp_ratio?"),
        ("lr", "did you mean pretrain.lr or downstream.lr?"),
        ("pretrain.learning_rate", "did you mean pretrain.lr?"),
        ("learning-rate", "did you mean pretrain.lr or downstream.lr?"),
        ("downstream.epochs", "did you mean downstream.max_epochs?"),
        ("pretrain.gamma", "did you mean pretrain.imp_ratio?"),
        ("tau", "did you mean pretrain.temperature?"),
        ("downstream.num_layers", "did you mean downstream.geni.layers or downstream.rgtn.layers?"),
        ("hidden_dim", "did you mean pretrain.hidden, downstream."),
        ("pretrain.batch_size", "there are no batches"),
        ("downstream.optimizer", "the optimiser is Adam"),
        ("pretrain.bins", "it is a group, give its keys (kind, length, count)"),
        ("downstream.geni.qqqqqqqqqqqqqqqqqq", "valid here: downstream.geni.layers"),
        ("zzz", "unknown key"),
        ("seed.x", "unknown key"),
    ],
)
def test_an_unknown_key_is_refused_with_what_is_near(tmp_path: Path, key: str, hint: str) -> None:
    assert hint in refusal(tmp_path, f"fold: 0\n{key}: 1\n")
    assert f"trial.yaml:2: {key}: " in refusal(tmp_path, f"fold: 0\n{key}: 1\n")
    assert f"--set: {key}: " in refusal(tmp_path, "", f"{key}=1")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("pretrain.eta1=0 pretrain.eta2=0", "pretrain.eta1: and eta2 are both 0"),
        ("pretrain.beta.p=0.6", "pretrain.beta.p: above 0.5 breaks the order"),
        ("data.dataset=tsv", "data.path: is missing"),
        ("data.dataset=synthetic data.path=x", "data.path: has no meaning"),
    ],
)
def test_rules_between_values_are_told_under_full_names(tmp_path: Path, assignment: str, message: str) -> None:
    assert message in refusal(tmp_path, "", *assignment.split())
    nested = "\n".join(f"{key}: {value}" for key, value in (word.split("=") for word in assignment.split()))
    assert message in refusal(tmp_path, nested)


def test_a_name_nested_and_with_dots_is_given_twice(tmp_path: Path) -> None:
    message = refusal(tmp_path, "pretrain:\n  lr: 0.1\npretrain.lr: 0.2\n")
    assert "pretrain.lr: stands twice, nested and with dots" in message
    assert message.startswith("trial.yaml:")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pretrain.lr", "true"),
        ("pretrain.lr", ".nan"),
        ("pretrain.lr", ".inf"),
        ("pretrain.lr", "1e999"),
        ("pretrain.lr", "1" + "0" * 400),
        ("pretrain.lr", "[0.1]"),
        ("pretrain.lr", ""),
        ("pretrain.lr", "0"),
        ("seed", "1.5"),
        ("seed", "-1"),
        ("seed", "true"),
        ("seed", "2020-01-01"),
        ("downstream.geni.centrality_scaling", "1"),
        ("downstream.geni.centrality_scaling", "maybe"),
        ("data.cache", "true"),
        ("data.cache", "''"),
        ("data.features", "[struct]"),
        ("data.features", "3"),
        ("downstream.model", "null"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_where_it_stands(tmp_path: Path, key: str, value: str) -> None:
    assert refusal(tmp_path, f"fold: 1\n{key}: {value}\n").startswith(f"trial.yaml:2: {key}: ")
    assert refusal(tmp_path, "", f"{key}={value}").startswith("--set: ")


def test_numbers_may_be_written_as_text_and_whole_ones_as_floats() -> None:
    config = config_from({"pretrain.lr": "1e-3", "seed": 5.0, "pretrain.eta1": 1, "downstream.geni.residual": "true"})
    assert (config.pretrain.lr, config.seed, config.pretrain.eta1) == (1e-3, 5, 1.0)
    assert [type(value) for value in (config.seed, config.pretrain.eta1)] == [int, float]
    assert config.downstream.geni.residual is True


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_in_for_the_defaults_and_the_file_has_the_last_word(tmp_path: Path, name: str) -> None:
    config = load_config(write(tmp_path, f"preset: {name}\n"))
    assert config == config_from(preset_values(name))
    changed = load_config(write(tmp_path, f"downstream:\n  patience: 7\npreset: {name}\n"), ["downstream.max_epochs=9"])
    assert (changed.downstream.patience, changed.downstream.max_epochs) == (7, 9)
    assert changed.downstream.input == config.downstream.input


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_a_preset_has_values_for_every_model(tmp_path: Path, model: str) -> None:
    config = load_config(write(tmp_path, f"preset: published\ndownstream: {{model: {model}}}\n"))
    assert config == config_from(preset_values("published", model))
    named = set(preset_values("published", model))
    assert {name for name in SPECS if name.startswith(f"downstream.{model}.")} <= named
    assert {name for name in SPECS if name.startswith("downstream.") and name.count(".") == 1} <= named
    assert config.downstream.labels == "plain"
    assert (config.label_ties, config_from({}).label_ties) == ("position", "mean")


def test_a_model_given_on_the_command_line_gets_its_own_preset(tmp_path: Path) -> None:
    path = write(tmp_path, "preset: published\n")
    config = load_config(path, ["downstream.model=rgtn"])
    assert (config.data.features, config.downstream.monitor) == ("both", "spearman")
    assert load_config(path).downstream.monitor == "loss"


def test_the_published_preset_is_what_the_authors_ran() -> None:
    config = config_from(preset_values("published"))
    assert (config.pretrain.max_epochs, config.pretrain.patience, config.pretrain.lr) == (1000, 20, 0.005)
    assert (config.pretrain.clip_norm, config.pretrain.weight_decay) == (10.0, 5e-4)
    assert (config.pretrain.embeddings, config.downstream.input) == ("last", "embeddings")
    assert (config.downstream.max_epochs, config.downstream.patience) == (10_000, 1000)
    assert (config.downstream.clip_norm, config.downstream.geni.centrality_scaling) == (None, False)
    assert (config.downstream.geni.layers, config.downstream.geni.heads, config.downstream.geni.dropout) == (3, 4, 0.3)


@pytest.mark.parametrize("value", ["publishd", "[published]", "3"])
def test_an_unknown_preset_is_refused_with_those_there_are(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, f"seed: 1\npreset: {value}\n")
    assert message.startswith("trial.yaml:2: preset: unknown preset")
    assert "published" in message


@pytest.mark.parametrize("word", ["pretrain.lr", "=3", "pretrain.lr:3", ""])
def test_a_set_word_needs_a_key_and_a_value(word: str) -> None:
    with pytest.raises(ConfigError, match="must have the form key=value"):
        parse_overrides(["seed=1", word])


def test_only_the_first_equals_sign_of_a_set_word_counts() -> None:
    assert parse_overrides(["data.path=a=b", "x= 5 ", "y=", "x=6"]) == {"data.path": "a=b", "x": "6", "y": None}


def test_a_config_cannot_exist_with_wrong_values() -> None:
    with pytest.raises(ConfigError, match="imp_ratio"):
        dataclasses.replace(TrialConfig().pretrain, imp_ratio=2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialConfig().seed = 1  # type: ignore[misc]


def test_a_copy_with_values_leaves_the_original() -> None:
    config = TrialConfig()
    assert config.with_values({"pretrain.bins.count": 9}).pretrain.bins.count == 9
    assert config == TrialConfig()
    with pytest.raises(ConfigError, match="unknown key"):
        config.with_values({"pretrain.bins.cuont": 9})


def test_the_budget_is_the_length_of_both_stages() -> None:
    assert config_from({"pretrain.max_epochs": 5, "downstream.max_epochs": 7}).total_budget == 12


@pytest.mark.parametrize("name", SPECS)
def test_every_key_has_a_meaning_and_a_default_that_it_allows(name: str) -> None:
    spec = SPECS[name]
    assert spec.meaning
    assert spec.parse(spec.default) == spec.default


def floats_of(spec: FieldSpec) -> st.SearchStrategy[Scalar]:
    low = spec.above if spec.above is not None else spec.at_least
    high = spec.below if spec.below is not None else spec.at_most
    return st.floats(
        low,
        high,
        exclude_min=spec.above is not None,
        exclude_max=spec.below is not None,
        allow_nan=False,
        allow_infinity=False,
    )


FLOATS = {name: floats_of(spec) for name, spec in SPECS.items() if spec.kind is float}


@settings(deadline=None, max_examples=60)
@given(values=st.fixed_dictionaries({}, optional=FLOATS))
def test_every_float_reads_back_to_the_same_bits(values: dict[str, float]) -> None:
    try:
        config = config_from(values | {"pretrain.beta.allow_unordered": True})
    except ConfigError as error:
        assert "eta2 are both 0" in str(error)
        return
    text = config.to_yaml()
    read = yaml.safe_load(text)
    for name, value in config.flat().items():
        branch = read
        for part in name.split("."):
            branch = branch[part]
        assert type(branch) is type(value)
        assert branch.hex() == value.hex() if isinstance(value, float) else branch == value


def test_a_written_config_is_complete_and_loads_to_an_equal_one(tmp_path: Path) -> None:
    config = config_from(preset_values("published")).with_values(
        {"data.path": "1e5", "seed": 2**32 - 1, "pretrain.lr": 0.1 + 0.2}
    )
    assert load_config(write(tmp_path, config.to_yaml())) == config
    assert set(config.flat()) == set(SPECS)
    assert all(type(value) in (int, float, bool, str, type(None)) for value in config.flat().values())


def test_checking_a_config_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'ray', 'optuna', 'mlflow', 'dgl', 'numba', 'gensim', 'sklearn', 'scipy'}"
    code = f"import sys, licap.config; licap.config.TrialConfig(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "fold: {}\npretrain: {lr: {}, heads: 8}\nunknown: {}\nruntime: {}\n",
            ["fold", "pretrain.lr", "unknown"],
        ),
        (
            "pretrain.lr: 2\npretrain.heads: 3\npretrain: {lr: 1, heads: 2}\ndownstream: {lr: 1}\ndownstream.lr: 2\n",
            ["pretrain.lr", "pretrain.heads", "downstream.lr"],
        ),
        # A preset's values stand in an order of their own.
        (
            "preset: published\ndownstream: {model: foo}\npretrain.beta.p: 0.8\nruntime.threads: 99999\n",
            ["downstream.model", "pretrain.beta.p", "runtime.threads"],
        ),
    ],
    ids=["empty mappings", "twice", "preset"],
)
def test_each_problem_is_told_once_in_the_order_of_the_file(tmp_path: Path, text: str, said: list[str]) -> None:
    assert [line.split(": ")[1] for line in refusal(tmp_path, text).splitlines()] == said


@pytest.mark.parametrize(("given", "named"), [("null", "null"), ("true", "true"), ("[published]", "[published]")])
def test_a_preset_is_named_as_the_file_spells_it(tmp_path: Path, given: str, named: str) -> None:
    assert f"unknown preset {named}" in refusal(tmp_path, f"preset: {given}\n")


def test_an_update_checks_and_changes_what_it_names_alone() -> None:
    config = TrialConfig()
    changed = config.with_values({"pretrain.bins.count": 7.0, "downstream.lr": "1e-3"})
    assert (changed.pretrain.bins.count, changed.downstream.lr) == (7, 0.001)
    assert type(changed.pretrain.bins.count) is int
    assert changed.data is config.data and changed.pretrain.beta is config.pretrain.beta
    assert changed.with_values({"pretrain.bins.count": 5, "downstream.lr": config.downstream.lr}) == config
