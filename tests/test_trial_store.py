"""Stages 1 that are kept: replayed bit for bit, resumed in every combination, trained once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
import torch
from test_trial import through_a_file
from test_variants import VARIANTS
from trial_cases import tiny_config, tiny_dataset, two_channel_dataset

from licap.config import TrialConfig
from licap.datasets.dataset import Dataset
from licap.errors import DataError, DivergedError
from licap.fields import Scalar, specs_of
from licap.pretrain import Pretraining
from licap.stored import Stored, stage_key
from licap.trial import Trial

EARLY = {"pretrain.patience": 1, "pretrain.lr": 0.5, "pretrain.max_epochs": 30}
STAGES = {
    "plain": {},
    "stops early": EARLY,
    "best, float64": EARLY | {"pretrain.embeddings": "best", "runtime.dtype": "float64"},
    "looked at once": {"pretrain.probe_every": 100},
} | {name: VARIANTS[name] for name in ("two channels", "rgtn", "one channel stops before the other")}
CPU = torch.device("cpu")


class Kept:
    """A store in memory that holds what a file would give back, and counts."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, object]] = {}
        self.asked = self.hits = 0

    def get(self, key: str) -> Stored | None:
        """The entry, read anew."""
        self.asked += 1
        if key not in self.entries:
            return None
        self.hits += 1
        return Stored.from_state(through_a_file(self.entries[key]))

    def put(self, key: str, stored: Stored) -> None:
        """Keeps an entry."""
        self.entries[key] = through_a_file(stored.state_dict())


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The same arrays for all tests: nothing writes to them."""
    return two_channel_dataset()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts epochs of pretraining: one element for each."""
    epochs: list[int] = []
    step = Pretraining.step

    def counted(self: Pretraining) -> object:
        epochs.append(self.epoch)
        return step(self)

    monkeypatch.setattr(Pretraining, "step", counted)
    yield epochs


def assert_same(trial: Trial, other: Trial) -> None:
    """What is left of both, and all that they give at the end, to the last bit."""
    assert list(trial) == list(other)
    assert np.array_equal(trial.predictions(), other.predictions())
    assert np.array_equal(trial.embeddings(), other.embeddings())
    assert trial.evaluate("test") == other.evaluate("test")


@pytest.mark.parametrize("name", STAGES)
def test_a_kept_stage_gives_what_training_gives_bit_for_bit(dataset: Dataset, trained: list[int], name: str) -> None:
    config, store = tiny_config(STAGES[name]), Kept()
    list(Trial(config, dataset=dataset, store=store))
    trained.clear()
    replayed = Trial(config, dataset=dataset, store=store)
    list(islice(replayed, 3))
    assert not trained and store.hits == 1
    replayed = Trial(config, dataset=dataset, store=store)
    assert_same(replayed, Trial(config, dataset=dataset))


@pytest.mark.parametrize(
    "values",
    [
        {"downstream.lr": 0.02},
        {"downstream.input": "embeddings"},
        {"downstream.model": "mlp", "downstream.labels": "standardised"},
        {"downstream.max_epochs": 3, "downstream.geni.heads": 2},
    ],
)
def test_trials_that_differ_only_in_stage_2_pretrain_once(
    dataset: Dataset, trained: list[int], values: dict[str, object]
) -> None:
    store = Kept()
    list(Trial(tiny_config(), dataset=dataset, store=store))
    assert len(trained) == 6
    second = list(Trial(tiny_config(values), dataset=dataset, store=store))
    assert len(trained) == 6
    assert second == list(Trial(tiny_config(values), dataset=dataset))


@pytest.mark.parametrize(
    ("name", "cuts"), [("plain", (0, 1, 5, 6, 8)), ("stops early", (2,)), ("two channels", (2, 6))]
)
def test_a_trial_is_resumed_with_or_without_a_store_whichever_it_began_with(
    dataset: Dataset, name: str, cuts: tuple[int, ...]
) -> None:
    config, full = tiny_config(STAGES[name]), Kept()
    uncut = list(Trial(config, dataset=dataset, store=full))
    stores = {"none": lambda: None, "empty": Kept, "full": lambda: full}
    for (first, second), cut in product(product(stores.values(), repeat=2), cuts):
        cut_off = Trial(config, dataset=dataset, store=first())
        head = list(islice(cut_off, cut))
        resumed = Trial(config, dataset=dataset, store=second())
        resumed.load_state_dict(through_a_file(cut_off.state_dict()))
        assert head + list(resumed) == uncut


@pytest.mark.parametrize("cut", [0, 3, 5])
def test_a_resumed_stage_is_kept_when_it_ends_as_an_uncut_one_is(dataset: Dataset, cut: int) -> None:
    config, uncut, store = tiny_config(), Kept(), Kept()
    list(Trial(config, dataset=dataset, store=uncut))
    cut_off = Trial(config, dataset=dataset)
    list(islice(cut_off, cut))
    resumed = Trial(config, dataset=dataset, store=store)
    resumed.load_state_dict(through_a_file(cut_off.state_dict()))
    list(islice(resumed, 6 - cut))
    ((key, entry),) = store.entries.items()
    kept, expected = Stored.from_state(entry), Stored.from_state(uncut.entries[key])
    assert torch.equal(kept.embeddings[0], expected.embeddings[0])
    assert kept.history == expected.history


def test_embeddings_are_there_when_the_replay_is_over(dataset: Dataset) -> None:
    store = Kept()
    list(Trial(tiny_config(), dataset=dataset, store=store))
    replayed = Trial(tiny_config(), dataset=dataset, store=store)
    list(islice(replayed, 5))
    assert replayed.embeddings() is None
    next(replayed)
    assert replayed.embeddings() is not None


def test_a_trial_that_does_not_end_its_stage_keeps_nothing(dataset: Dataset) -> None:
    store = Kept()
    list(islice(Trial(tiny_config(), dataset=dataset, store=store), 5))
    with pytest.raises(DivergedError):
        list(Trial(tiny_config({"pretrain.lr": 1e30}), dataset=dataset, store=store))
    assert not store.entries


@pytest.mark.parametrize(
    "values", [{"downstream.input": "features"}, {"downstream.input": "untrained"}, {"pretrain.training": "joint"}]
)
def test_without_a_stage_1_the_store_is_left_alone(dataset: Dataset, values: dict[str, object]) -> None:
    store = Kept()
    list(Trial(tiny_config(values), dataset=dataset, store=store))
    assert not store.asked and not store.entries


def test_an_entry_that_does_not_fit_is_as_good_as_none_and_replaced(dataset: Dataset, trained: list[int]) -> None:
    store = Kept()
    config = tiny_config()
    uncut = list(Trial(config, dataset=dataset, store=store))
    ((key, entry),) = store.entries.items()
    store.entries[key] = entry | {"embeddings": [torch.zeros(150, 7)]}
    trained.clear()
    assert list(Trial(config, dataset=dataset, store=store)) == uncut
    assert len(trained) == 6
    assert Stored.from_state(store.entries[key]).fits(150, [8], torch.float32)


def other_than(name: str, value: Scalar) -> Scalar:
    """Another value that a field of the config may have."""
    spec = specs_of(TrialConfig)[name]
    if spec.choices:
        return next(each for each in spec.choices if each != value)
    if isinstance(value, bool):
        return not value
    if value is None:
        return 5
    return value + 1 if isinstance(value, int) else value * 0.9 + (value == 0)


PRETRAIN = [name for name in tiny_config().flat() if name.startswith("pretrain.")]


@pytest.mark.parametrize("name", [*PRETRAIN, "seed", "fold", "split_seed", "label_ties", "runtime.dtype"])
def test_the_key_follows_whatever_stage_1_depends_on(dataset: Dataset, name: str) -> None:
    config = tiny_config({"pretrain.beta.scale": 2.0})
    changed = config.with_values({name: other_than(name, config.flat()[name])})
    assert stage_key(changed, dataset, CPU) != stage_key(config, dataset, CPU)


@pytest.mark.parametrize(
    "values",
    [
        {"downstream.lr": 0.1},
        {"downstream.input": "embeddings"},
        {"downstream.input": "features", "downstream.model": "pagerank"},
        {"runtime.backend": "torch"},
        {"data.path": "elsewhere", "data.cache": "elsewhere"},
    ],
)
def test_the_key_does_not_follow_stage_2_nor_where_data_lie(dataset: Dataset, values: dict[str, object]) -> None:
    backend = {"runtime.backend": "torch"}
    own, others = tiny_config(backend), tiny_config(backend | values)
    assert stage_key(own, dataset, CPU) == stage_key(others, dataset, CPU)


def test_the_key_follows_data_features_channels_and_threads(dataset: Dataset) -> None:
    config = tiny_config()
    features = {"struct": dataset.features["struct"] + 1, "semantic": dataset.features["semantic"]}
    keys = {
        stage_key(config, dataset, CPU),
        stage_key(config, replace(dataset, fingerprint="other"), CPU),
        stage_key(config, replace(dataset, features=features), CPU),
        stage_key(config.with_values({"data.features": "semantic"}), dataset, CPU),
        stage_key(config.with_values({"data.features": "both"}), dataset, CPU),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    keys.add(stage_key(config, dataset, CPU))
    torch.set_num_threads(threads)
    assert len(keys) == 6


def test_the_key_follows_what_last_digits_depend_on(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {stage_key(tiny_config({"runtime.backend": name}), dataset, CPU) for name in ("torch", "numba")}
    assert len(keys) == 2
    own = stage_key(tiny_config(), dataset, CPU)
    with monkeypatch.context() as other_torch:
        other_torch.setattr(torch, "__version__", "9.9.9")
        assert stage_key(tiny_config(), dataset, CPU) != own
    with monkeypatch.context() as other_cpu:
        other_cpu.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
        assert stage_key(tiny_config(), dataset, CPU) != own
    assert stage_key(tiny_config(), dataset, CPU) == own


OTHER_PROGRAM = """
import importlib, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads({threads})
from trial_cases import tiny_config, tiny_dataset
from licap import stored
def key():
    return importlib.reload(stored).stage_key(tiny_config(), tiny_dataset(), torch.device("cpu"))
changed = Path("licap/models/geni.py").resolve()
assert Path(stored.__file__).resolve().parent == changed.parent.parent, "the copy is not what runs"
print(key())
content = changed.read_bytes()
changed.write_bytes(content + b" ")
print(key())
changed.write_bytes(content.replace(b"0", b"1", 1))
print(key())
"""


def test_the_key_follows_the_program(tmp_path: Path, repository: Path) -> None:
    shutil.copytree(repository / "licap", tmp_path / "licap", ignore=shutil.ignore_patterns("__pycache__"))
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROGRAM.format(tests=tests, threads=torch.get_num_threads())],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same, longer, other = done.stdout.splitlines()
    assert same == stage_key(tiny_config(), tiny_dataset(), CPU), "where a program lies does not matter"
    assert len({same, longer, other}) == 3


def spoilt(change: str) -> dict[str, object]:
    """The state of a kept stage with something wrong."""
    store = Kept()
    list(islice(Trial(tiny_config(), dataset=tiny_dataset(), store=store), 6))
    (state,) = store.entries.values()
    history = dict(state["history"])
    changes = {
        "no history": {"history": None},
        "no embeddings": {"embeddings": 3},
        "flat embeddings": {"embeddings": [torch.zeros(3)]},
        "not finite": {"embeddings": [torch.full((150, 8), torch.nan)]},
        "a look is missing": {"history": history | {"looks": history["looks"][1:]}},
        "a name is missing": {"history": history | {"names": history["names"][1:]}},
        "a number is missing": {"history": history | {"epochs": history["epochs"][:, 1:]}},
        "no epochs": {"history": history | {"epochs": history["epochs"][:0], "looks": history["looks"][:0]}},
        "never looked at": {"history": history | {"probe_every": 0}},
    }
    return {**state, **changes[change]}


@pytest.mark.parametrize(
    "change",
    [
        "no history",
        "no embeddings",
        "flat embeddings",
        "not finite",
        "a look is missing",
        "a name is missing",
        "a number is missing",
        "no epochs",
        "never looked at",
    ],
)
def test_a_state_that_is_no_whole_stage_is_refused(change: str) -> None:
    with pytest.raises(DataError, match="stage 1"):
        Stored.from_state(spoilt(change))
