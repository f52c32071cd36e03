"""What the `licap` command refuses: one message, exit code 2, nothing written."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_cases import SMALL, contents, licap_here, refused, write_tsv

from licap.commands import script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the small config."""
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("words", ["5", "x", "0,,1", "-1"])
def test_a_fold_that_does_not_exist_is_refused(folder: Path, words: str) -> None:
    refused(licap_here(folder, "run", "small.yaml", f"--folds={words}", "--out", "out"), "--folds", "0 to 4")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", SMALL),
        ("config.yaml", "[not, mine"),
        ("metrics.json", "{}"),
        ("checkpoint.pt", ""),
    ],
    ids=["a config by hand", "no config", "metrics of nobody knows what", "a checkpoint of nobody knows what"],
)
def test_files_of_other_origin_are_not_replaced(folder: Path, name: str, text: str) -> None:
    (folder / "out").mkdir()
    (folder / "out" / name).write_text(text, encoding="utf-8")
    refused(licap_here(folder, "run", "small.yaml", "--out", "out"), "out", "replaced", name, "--out")
    assert contents(folder / "out") == {name: text.encode()}


class Runs:
    """Pickles to a call that would leave a file behind."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


def pickled(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "fb15k_rel.pk").write_bytes(content)


def published(**changes: object) -> bytes:
    import torch

    generator = np.random.default_rng(0)
    data = {
        "edges": (torch.tensor(generator.integers(0, 80, 200)), torch.tensor(generator.integers(0, 80, 200))),
        "edge_types": torch.tensor(generator.integers(0, 4, 200)),
        "labels": torch.tensor(generator.uniform(1, 100, 80)),
        "features": torch.randn(80, 8),
        "invalid_masks": torch.zeros(80, dtype=torch.int64),
    }
    return pickle.dumps(data | changes)


def tensor(values: object) -> object:
    import torch

    return torch.tensor(values)


DATA = {
    "a folder that is not there": (lambda kg: None, ["kg"]),
    "an empty folder": (lambda kg: kg.mkdir(), ["kg"]),
    "a truncated pickle": (lambda kg: pickled(kg, published()[:900]), ["fb15k_rel.pk"]),
    "a foreign file": (lambda kg: pickled(kg, b"GIF89a"), ["fb15k_rel.pk"]),
    "a pickle that runs code": (lambda kg: pickled(kg, pickle.dumps(Runs())), ["fb15k_rel.pk", "system"]),
    "ids out of range": (
        lambda kg: pickled(kg, published(edges=(tensor([0, 99]), tensor([1, 2])), edge_types=tensor([0, 1]))),
        ["99"],
    ),
    "features that are not finite": (
        lambda kg: pickled(kg, published(features=tensor([[float("nan")] * 8] * 80))),
        ["features", "nan"],
    ),
    "labels that are not finite": (lambda kg: pickled(kg, published(labels=tensor([float("inf")] * 80))), ["inf"]),
    "negative importance": (lambda kg: write_tsv(kg, importance="-3"), ["nodes.tsv:81", "-3"]),
    "importance that is no number": (lambda kg: write_tsv(kg, importance="much"), ["nodes.tsv:81", "much"]),
    "an empty graph": (
        lambda kg: (write_tsv(kg) / "triples.tsv").write_text("head\trelation\ttail\n", encoding="utf-8"),
        ["triples.tsv"],
    ),
    "too few labels": (
        lambda kg: (write_tsv(kg) / "nodes.tsv").write_text(
            "node\timportance\tvalid\n" + "".join(f"n{i}\t5\t{int(i < 30)}\n" for i in range(79)) + "odd\t5\t0\n",
            encoding="utf-8",
        ),
        ["30", "50"],
    ),
    "a truncated gzip": (
        lambda kg: (
            (write_tsv(kg) / "nodes.tsv").rename(kg / "x")
            and (kg / "nodes.tsv.gz").write_bytes(gzip.compress((kg / "x").read_bytes())[:200])
        ),
        ["nodes.tsv.gz"],
    ),
}


@pytest.mark.parametrize("case", DATA.values(), ids=DATA)
def test_bad_data_is_refused_with_file_and_place(
    folder: Path, case: tuple[Callable[[Path], object], list[str]]
) -> None:
    make, parts = case
    make(folder / "kg")
    before = set(folder.rglob("*"))
    done = licap_here(folder, "run", "small.yaml", "--out", "out", "--set", "data.path=kg")
    refused(done, *parts)
    assert set(folder.rglob("*")) == before


CONFIGS = {
    "a misspelt key": ("pretrain.imp_ration: 0.2", ["bad.yaml:1", "pretrain.imp_ratio"]),
    "a key twice": ("seed: 1\nfold: 0\nseed: 2", ["bad.yaml:3", "line 1"]),
    "text for a number": ("seed: 1\npretrain:\n  lr: fast", ["bad.yaml:3", "pretrain.lr", "fast"]),
    "more bins than top nodes": (SMALL + "pretrain.bins: {kind: quantile, count: 90}", ["pretrain.bins.count", "90"]),
    "an unknown device": (SMALL + "runtime.device: warp", ["runtime.device", "warp"]),
    "a list": ("- 1", ["bad.yaml"]),
    "no YAML": ("a: [1", ["bad.yaml"]),
}


def test_a_space_file_is_told_where_it_belongs_in_one_line(folder: Path, repository: Path) -> None:
    done = licap_here(folder, "run", str(repository / "spaces" / "default.yaml"))
    refused(done, "this is a space file", script("run.py", "--space", repository / "spaces" / "default.yaml"))
    assert done.stderr.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("command", [("run", "small.yaml"), ("data", "inspect")], ids=["run", "inspect"])
def test_two_values_for_one_key_are_refused(folder: Path, command: tuple[str, ...]) -> None:
    done = licap_here(folder, *command, "--set", "seed=1", "--set", "seed=2")
    refused(done, "--set seed=1 and --set seed=2", "two values for seed")
    assert licap_here(folder, *command, "--set", "seed=1", "--set", "seed=x").returncode == 2


@pytest.mark.parametrize(("text", "parts"), CONFIGS.values(), ids=CONFIGS)
def test_a_bad_config_is_refused_with_its_line(folder: Path, text: str, parts: list[str]) -> None:
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    refused(licap_here(folder, "run", "bad.yaml", "--out", "out"), *parts)
    assert not (folder / "out").exists()


def test_an_out_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "out").write_text("mine", encoding="utf-8")
    refused(licap_here(folder, "run", "small.yaml", "--out", "out"), "out")
    assert (folder / "out").read_text(encoding="utf-8") == "mine"


def test_a_bad_file_is_refused_without_torch(folder: Path) -> None:
    (folder / "bad.yaml").write_text("seed: x", encoding="utf-8")
    code = (
        "import sys, licap.cli\n"
        "code = licap.cli.main(['run', 'bad.yaml'])\n"
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
