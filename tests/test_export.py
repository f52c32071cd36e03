"""`python search/export.py` as people call it, on a study written with the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from licap.config import load_config
from licap.fields import flatten
from search.insight import best_config
from search.space import SearchSpace
from search.study import Ended, Proposed, Reported, Study

SPACE = """
name: small
metric: spearman
search:
  pretrain.imp_ratio: {type: float, low: 0.02, high: 0.3, log: true}
  pretrain.eta2: {type: float, low: 0.0, high: 3.0}
"""


def write_study(root: Path, name: str, values: list[float | None]) -> Study:
    """A finished study; None stands for a failed trial."""
    space = SearchSpace.from_text(SPACE, source="small.yaml")
    with Study.create(root, name, space.to_yaml()) as study:
        for number, value in enumerate(values):
            drawn = {"pretrain.imp_ratio": 0.1 / (number + 3), "pretrain.eta2": 1 / 3}
            study.append(Proposed(trial=number, values=drawn, starting_point=False))
            if value is not None:
                metrics = {"val.spearman": value}
                study.append(Reported(trial=number, stage="downstream", epoch=0, budget=151, metrics=metrics))
            state, failure = ("failed", "diverged") if value is None else ("complete", None)
            study.append(
                Ended(trial=number, state=state, failure=failure, message="", budget=151, seconds=1.0, notes=())
            )
    return study


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies `first`, `hopeless` and, written last, `second`."""
    root = tmp_path_factory.mktemp("export") / "mlruns"
    write_study(root, "first", [0.25, 0.75, None, 0.5])
    write_study(root, "hopeless", [None])
    write_study(root, "second", [0.125])
    return root


def export(repository: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "search" / "export.py"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_best_config_is_written_and_loads(repository: Path, root: Path, tmp_path: Path) -> None:
    done = export(repository, tmp_path, "first", "--root", str(root))
    assert (done.returncode, done.stderr) == (0, "")
    assert "trial 1 of study first, rank 1 by validation Spearman (0.7500)" in done.stdout
    assert "licap run best.yaml" in done.stdout
    study = Study.open(root, "first")
    assert load_config(tmp_path / "best.yaml") == best_config(study.trials(), SearchSpace.load(study.space_path), 1)
    text = (tmp_path / "best.yaml").read_text(encoding="utf-8")
    assert (
        text.startswith("# trial 1 of study first") and "# Validation Spearman: 0.75\n# Run it: licap run best" in text
    )


def test_the_file_holds_plain_scalars_with_all_their_bits(repository: Path, root: Path, tmp_path: Path) -> None:
    assert export(repository, tmp_path, "first", "--root", str(root), "--rank", "3").returncode == 0
    flat = flatten(yaml.safe_load((tmp_path / "best.yaml").read_text(encoding="utf-8")))
    assert all(isinstance(value, (float, int, str, type(None))) for value in flat.values())
    assert flat == load_config(tmp_path / "best.yaml").flat()
    assert flat["pretrain.imp_ratio"] == 0.1 / 3 and flat["pretrain.eta2"] == 1 / 3


def test_without_a_name_the_latest_study_is_exported(repository: Path, root: Path, tmp_path: Path) -> None:
    done = export(repository, tmp_path, "--root", str(root), "--out", "a folder/config.yaml")
    assert done.returncode == 0 and "study second" in done.stdout and "licap run 'a folder/config.yaml'" in done.stdout
    assert load_config(tmp_path / "a folder" / "config.yaml").pretrain.eta2 == 1 / 3


def test_an_older_file_is_replaced_whole(repository: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text("x: 1\n" * 10_000, encoding="utf-8")
    assert export(repository, tmp_path, "first", "--root", str(root)).returncode == 0
    assert load_config(tmp_path / "best.yaml").pretrain.eta2 == 1 / 3
    assert [path.name for path in tmp_path.iterdir()] == ["best.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frist"], "there is no study frist; did you mean first?"),
        (["../first"], "'../first' cannot be the name of a study"),
        (["first", "--rank", "4"], "no rank 4: ranks go from 1 to 3"),
        (["first", "--rank", "0"], "no rank 0: ranks go from 1 to 3"),
        (["hopeless"], "there is no complete trial to choose from (1 trial: 1 failed)"),
        (["first", "--out", "."], "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(
    repository: Path, root: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    done = export(repository, tmp_path, *words, "--root", str(root))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_folder_without_studies_is_named(repository: Path, tmp_path: Path) -> None:
    done = export(repository, tmp_path)
    assert done.returncode == 2 and "mlruns: there is no study yet" in done.stderr


def test_a_study_that_is_still_running_can_be_exported(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    write_study(root, "done", [0.5])
    with Study.create(root, "live", (root / "studies" / "done" / "space.yaml").read_text(encoding="utf-8")) as study:
        for event in Study.open(root, "done").events[1:]:
            study.append(event)
        finished = export(repository, tmp_path, "live")
    assert finished.returncode == 0 and "still being run by process" in finished.stdout


def test_export_needs_no_heavy_library(repository: Path) -> None:
    code = "import search.export, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "optuna", "mlflow", "scipy", "sklearn", "dgl", "numba"}
    assert not heavy & set(done.stdout.split())
