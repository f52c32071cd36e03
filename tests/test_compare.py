"""`python search/compare.py` as people call it, on studies over a grid written with the API."""

from __future__ import annotations

import csv
import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import pytest
from comparison_cases import GRID, SEEDS, append, grid, trials_of, write_study

from search.study import Study

AXES = ("--rows", "data.features", "--columns", "downstream.input")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies `seeds`, `hopeless` and, written last, `folds`."""
    root = tmp_path_factory.mktemp("compare") / "mlruns"
    twice = grid(GRID + SEEDS)
    write_study(root, "seeds", twice, trials_of(twice))
    write_study(root, "hopeless", grid(), [dataclasses.replace(trial, state="pruned") for trial in trials_of(grid())])
    write_study(root, "folds", grid(), trials_of(grid()))
    return root


def compare(repository: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "search" / "compare.py"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)


def test_the_latest_study_is_compared_with_every_metric(repository: Path, root: Path, tmp_path: Path) -> None:
    done = compare(repository, tmp_path, *AXES, "--root", str(root))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("study folds: data.features by downstream.input\n")
    assert done.stdout.count("is better)\n") == 11
    assert "0.7408 ± 0.1587" in done.stdout and "+5.8 %, p 0.0625" in done.stdout
    assert "too few for the Wilcoxon signed-rank test to reach 5 %" in done.stdout and "6 pairs would do" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_two_seeds_are_enough_for_a_clear_win(repository: Path, root: Path, tmp_path: Path) -> None:
    done = compare(repository, tmp_path, "seeds", *AXES, "--root", str(root), "--metric", "NDCG@20", "--metric", "rmse")
    assert done.returncode == 0 and done.stdout.count("is better)\n") == 2
    assert "p 0.00195" in done.stdout and "too few" not in done.stdout
    assert "over 5 folds and 2 seeds" in done.stdout


@pytest.mark.parametrize(
    ("name", "begins"), [("text", "study folds"), ("md", "data.features by"), ("tex", "\\begin{table}")]
)
def test_a_file_is_written_in_any_format(repository: Path, root: Path, tmp_path: Path, name: str, begins: str) -> None:
    words = ("folds", *AXES, "--root", str(root), "--format", name, "--metric", "spearman", "--out", "tables/t")
    done = compare(repository, tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tables/t: 2 × 3 cells of study folds\n"
    assert (tmp_path / "tables" / "t").read_text(encoding="utf-8").startswith(begins)
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["t"]


def test_csv_on_stdout_is_nothing_but_csv(repository: Path, root: Path, tmp_path: Path) -> None:
    done = compare(repository, tmp_path, "folds", *AXES, "--root", str(root), "--format", "csv", "--metric", "spearman")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0 and len(lines) == 6 and {line["n"] for line in lines} == {"5"}
    assert "note: p rests on 5 pairs" in done.stderr


def test_another_baseline_turns_the_improvement_round(repository: Path, root: Path, tmp_path: Path) -> None:
    words = ("folds", *AXES, "--root", str(root), "--metric", "spearman", "--baseline", "embeddings")
    done = compare(repository, tmp_path, *words)
    assert done.returncode == 0 and "-5.5 %, p 0.0625" in done.stdout
    assert "over downstream.input = embeddings" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fold", *AXES], "there is no study fold; did you mean folds?"),
        (["hopeless", *AXES], "there is no complete trial to compare (30 trials: 30 pruned)"),
        (["folds", "--rows", "fold", "--columns", "fold"], "--columns fold: is what --rows names too"),
        (["folds", "--rows", "fold", "--columns", "downstream.inptu"], "did you mean downstream.input?"),
        (["folds", *AXES, "--baseline", "embedding"], "did you mean embeddings?"),
        (["folds", *AXES, "--metric", "mse"], "unknown metric 'mse'"),
        (["folds", *AXES, "--out", "."], "cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_sentence(
    repository: Path, root: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    done = compare(repository, tmp_path, *words, "--root", str(root))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_folder_without_studies_is_named(repository: Path, tmp_path: Path) -> None:
    done = compare(repository, tmp_path, *AXES)
    assert done.returncode == 2 and "mlruns: there is no study yet" in done.stderr


def test_a_study_that_is_still_running_can_be_compared(repository: Path, tmp_path: Path) -> None:
    root, trials = tmp_path / "mlruns", trials_of(grid())
    with Study.create(root, "live", grid().to_yaml()) as study:
        append(study, [*trials[:12], dataclasses.replace(trials[12], state="running", reports=())])
        done = compare(repository, tmp_path, *AXES, "--metric", "spearman")
    assert done.returncode == 0
    assert "Note: The study is still being run by process" in done.stdout
    assert "Note: 13 of 30 trials have been started." in done.stdout
    assert "Note: Only 2 of 5 folds: struct × features+embeddings." in done.stdout


def test_a_grid_over_folds_says_how_large_it_is_before_it_runs(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID + SEEDS, encoding="utf-8")
    command = [sys.executable, str(repository / "search" / "run.py"), "--space", "grid.yaml", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and "60 trials, every point of the grid once" in done.stdout
    assert "Cost: 60 trials" in done.stdout and "asha" not in done.stdout


def test_comparing_needs_no_heavy_library_before_there_is_a_test_to_make(repository: Path) -> None:
    code = "import search.compare, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "optuna", "mlflow", "scipy", "sklearn", "dgl", "numba"}
    assert not heavy & set(done.stdout.split())
