"""`python search/replay.py` as people call it, on studies written with the API."""

from __future__ import annotations

import csv
import dataclasses
import io
import subprocess
from pathlib import Path

import pytest
from comparison_cases import write_study
from curve_cases import curve_space, curve_trials
from study_cases import modules_after, run_door

QUALITIES = [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8, 0.4, 0.6]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies `pruned` and, written last, `whole`."""
    root = tmp_path_factory.mktemp("replay") / "mlruns"
    trials = curve_trials(QUALITIES)
    write_study(root, "pruned", curve_space(), [trials[0], dataclasses.replace(trials[1], state="pruned")])
    write_study(root, "whole", curve_space(), trials)
    return root


def replay(cwd: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_door(cwd, "replay.py", *words, "--root", str(root))


def test_the_latest_study_is_replayed_with_every_pruner(root: Path, tmp_path: Path) -> None:
    done = replay(tmp_path, root, "--orders", "20", "--grace", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("study whole: 9 recorded trials, 405 epochs")
    assert [line.split()[0] for line in done.stdout.splitlines()[5:9]] == ["asha", "hyperband", "median", "none"]
    assert list(tmp_path.iterdir()) == []
    assert done.stdout == replay(tmp_path, root, "whole", "--orders", "20", "--grace", "3").stdout


def test_table_and_picture_are_written_to_a_folder(root: Path, tmp_path: Path) -> None:
    words = ("--orders", "5", "--scheduler", "asha,none", "--grace", "3,9", "--slots", "2", "--sampler", "random")
    done = replay(tmp_path, root, *words, "--format", "csv", "--out", "a folder")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a folder: replay.csv, regret.png of study whole\n"
    assert sorted(path.name for path in (tmp_path / "a folder").iterdir()) == ["regret.png", "replay.csv"]
    lines = list(csv.DictReader(io.StringIO((tmp_path / "a folder" / "replay.csv").read_text(encoding="utf-8"))))
    assert [line["label"] for line in lines] == ["asha grace 3", "asha grace 9", "none"]


def test_tau_is_told_for_every_metric_and_candidate_rung(root: Path, tmp_path: Path) -> None:
    done = replay(tmp_path, root, "--what", "tau", "--budget", "3,8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 (pretrain)" in done.stdout and "8 (downstream)" in done.stdout
    assert "probe.hint.spearman  +1.00 (+1.00 to +1.00)*" in done.stdout
    more = replay(tmp_path, root, "--what", "tau", "--format", "md", "--out", ".")
    assert more.stdout == ".: tau.md of study whole\n" and (tmp_path / "tau.md").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pruned"], "1 of 2 trials were pruned, so nobody knows what they would have come to"),
        (["pruned", "--what", "tau"], "--set pruner=none"),
        (["wohle"], "there is no study wohle; did you mean whole?"),
        (["--signal", "val.rsme"], "--signal val.rsme: no trial reported it"),
        (["--grace", "99"], "--grace 99: leaves no rung"),
        (["--reduction", "1"], "reduction: must be a whole number at least 2 and at most 1000000000 (got 1)"),
        (["--stage", "pretrain"], "median has no place in pretraining"),
        (["--scheduler", "ahsa"], "'ahsa' is none of asha, hyperband, median, none"),
        (["--grace", "3,x"], "must be a whole number of at least 1 (got 'x')"),
        (["--seed", "-1"], "must be a whole number of at least 0 (got '-1')"),
        (["--orders", "0"], "must be a whole number of at least 1 (got '0')"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_sentence(
    root: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    done = replay(tmp_path, root, *words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_replaying_loads_no_heavy_library() -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "scipy", "sklearn", "dgl", "numba"}
    assert not heavy & modules_after("import search.replay")
