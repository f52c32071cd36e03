"""The `licap` command from outside: what it writes, and how it resumes."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_cases import NAMES, RESULTS, SMALL, command, contents, licap, licap_here, refused, write_tsv

from licap.cli import parse_folds
from licap.config import TrialConfig


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where computed features are kept."""
    return tmp_path_factory.mktemp("features")


def make_folder(folder: Path, features: Path) -> Path:
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    (folder / "cache").symlink_to(features)
    return folder


@pytest.fixture
def folder(tmp_path: Path, features: Path) -> Path:
    return make_folder(tmp_path, features)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, features: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A run of the small config, and its results."""
    folder = make_folder(tmp_path_factory.mktemp("ended"), features)
    done = licap(folder, "run", "small.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


@pytest.fixture
def after(folder: Path, ended: tuple[object, Path]) -> Path:
    """A folder in which the small config has run."""
    shutil.copytree(ended[1], folder / "out")
    return folder


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """The results of a run that nothing interrupted."""
    folder = make_folder(tmp_path_factory.mktemp("uncut"), features)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_a_run_prints_a_table_and_writes_its_files(
    after: Path, ended: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    folder, (done, _) = after, ended
    assert "Spearman" in done.stdout and "written to out" in done.stdout
    assert {path.name for path in (folder / "out").iterdir()} == {*RESULTS, "config.yaml", "checkpoint.pt"}
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["folds"]["0"]) == {"val", "test", "notes"}
    assert np.load(folder / "out" / "embeddings.npy", allow_pickle=False).shape == (150, 8)
    assert licap(folder, "run", "out/config.yaml", "--out", "again").returncode == 0
    assert (folder / "again" / "metrics.json").read_bytes() == (folder / "out" / "metrics.json").read_bytes()


def test_a_note_says_which_nodes_it_speaks_of(ended: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, _ = ended
    assert "note: validation nodes: can only be 1 with" in done.stdout
    assert "note: test nodes: can only be 1 with" in done.stdout


def test_each_fold_has_its_folder(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--folds", "0,2", "--out", "out", "--set", "pretrain.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout
    assert sorted(path.name for path in (folder / "out").glob("fold-*")) == ["fold-0", "fold-2"]
    first, second = (nodes_tested(folder / "out" / f"fold-{fold}" / "predictions.csv") for fold in (0, 2))
    assert first and second and not set(first) & set(second)


def test_all_folds_are_the_five() -> None:
    assert parse_folds("all", TrialConfig()) == [0, 1, 2, 3, 4]
    assert parse_folds(None, TrialConfig(fold=3)) == [3]


def nodes_tested(predictions: Path) -> list[str]:
    """The nodes of the test split in a file of predictions."""
    with predictions.open(encoding="utf-8", newline="") as file:
        return [row["node"] for row in csv.DictReader(file) if row["split"] == "test"]


def interrupt(folder: Path, number: int, when: Callable[[str], bool]) -> None:
    """Runs the small config and sends a signal once the progress says so."""
    process = subprocess.Popen(
        command("run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if when(line):
            process.send_signal(number)
            break
    errors = said + process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert (folder / "out" / "checkpoint.pt").exists()
    assert not (folder / "out" / "metrics.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_was_cut_off_resumes_to_the_same_bits(folder: Path, uncut: Path, number: int) -> None:
    interrupt(folder, number, lambda line: "epoch" in line)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    for name in RESULTS:
        assert (folder / "out" / name).read_bytes() == (uncut / name).read_bytes(), name


def test_resuming_without_a_checkpoint_starts_afresh_and_says_so(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert "starting afresh" in done.stderr


def test_a_checkpoint_of_another_config_is_refused(after: Path) -> None:
    config = after / "out" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("seed: 0\n", "seed: 1\n", 1), encoding="utf-8")
    before = contents(after / "out")
    refused(licap_here(after, "run", "out/config.yaml", "--out", "out", "--resume"), "checkpoint.pt")
    assert contents(after / "out") == before


def test_results_of_another_config_are_not_replaced(after: Path) -> None:
    before = contents(after / "out")
    for words in (("--set", "pretrain.lr=0.01"), ("--folds", "1"), ("--set", "pretrain.lr=0.01", "--resume")):
        other = licap_here(after, "run", "small.yaml", "--out", "out", *words)
        refused(other, "out: holds results of another", "--out")
        assert ("pretrain.lr is 0.005 there, 0.01 here" in other.stderr) == ("--folds" not in words)
    assert contents(after / "out") == before


def test_results_of_the_same_config_are_replaced_and_said_to_be(
    after: Path, ended: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    before = contents(after / "out")
    again = licap(after, "run", "small.yaml", "--out", "out", "--folds", "0")
    assert "replacing" not in ended[0].stderr
    assert again.returncode == 0 and "out: replacing the results of the same config" in again.stderr
    assert {name: contents(after / "out")[name] for name in RESULTS} == {name: before[name] for name in RESULTS}


def test_without_out_each_config_and_set_of_folds_has_a_folder(folder: Path) -> None:
    short = ("--set", "pretrain.max_epochs=1", "--set", "downstream.max_epochs=1")
    for words in ((), ("--folds", "1"), ("--folds", "0,1"), ("--set", "pretrain.temperature=0.07234234")):
        done = licap(folder, "run", "small.yaml", *short, *words)
        assert done.returncode == 0 and "replacing" not in done.stderr, done.stderr
    names = [path.name for path in (folder / "runs").iterdir()]
    assert len(names) == 4 and max(map(len, names)) < 70
    assert all(name.startswith("synthetic_geni_features+embeddings_fold") for name in names)


def test_a_run_that_did_not_end_is_replaced_only_with_a_word(folder: Path) -> None:
    interrupt(folder, signal.SIGINT, lambda line: "epoch" in line)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "did not come to its end" in done.stderr and "--resume" in done.stderr


def test_a_damaged_checkpoint_is_refused(after: Path) -> None:
    path = after / "out" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    before = contents(after / "out")
    refused(licap_here(after, "run", "small.yaml", "--out", "out", "--resume"), "checkpoint.pt")
    assert contents(after / "out") == before


def test_a_run_that_diverges_says_where_and_keeps_its_checkpoint(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--out", "out", "--set", "downstream.lr=1e30")
    refused(done, "downstream epoch", "downstream.lr")
    assert (folder / "out" / "checkpoint.pt").exists()
    refused(licap(folder, "run", "out/config.yaml", "--out", "out", "--resume"), "downstream epoch")


def test_the_published_preset_runs_from_a_file(folder: Path) -> None:
    text = "preset: published\n" + SMALL.replace("max_epochs: 12", "max_epochs: 3")
    (folder / "published.yaml").write_text(text, encoding="utf-8")
    done = licap(folder, "run", "published.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    config = (folder / "out" / "config.yaml").read_text(encoding="utf-8")
    assert "centrality_scaling: false" in config and "input: embeddings" in config


def test_names_come_out_of_the_predictions_verbatim(folder: Path) -> None:
    write_tsv(folder / "kg")
    words = ("--set", "data.path=kg", "--set", "downstream.max_epochs=1", "--set", "pretrain.imp_ratio=0.2")
    done = licap(folder, "run", "small.yaml", "--out", "out", *words)
    assert done.returncode == 0, done.stderr
    with (folder / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["node"]: row for row in csv.DictReader(file)}
    assert tuple(rows[f"n{i}"]["name"] for i in range(5)) == NAMES
    assert float(rows["odd"]["true"]) == 7.0
    assert len(rows) == 80


def test_inspect_shows_counts_and_warnings_of_a_data_set(folder: Path) -> None:
    write_tsv(folder / "kg")
    done = licap_here(folder, "data", "inspect", "kg")
    assert done.returncode == 0, done.stderr
    for part in ("nodes", "80", "repeated triples", "self loops", "degrees"):
        assert part in done.stdout
    refused(licap_here(folder, "data", "inspect", "absent"), "absent")


def test_config_lists_every_key_with_its_rule() -> None:
    done = licap(Path.cwd(), "config")
    assert done.returncode == 0, done.stderr
    assert "pretrain.imp_ratio = 0.1" in done.stdout
    assert "above 0 and below 1" in done.stdout


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m licap.cli config | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
