"""`python search/export.py` as people call it, on a study written with the API."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import optuna
import pytest
import yaml
from study_cases import modules_after, run_door, write_study

from licap.config import TrialConfig, load_config
from licap.fields import flatten
from licap.portable import active_values
from search.insight import best_config
from search.space import SearchSpace
from search.study import Study


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies `first`, `hopeless` and, written last, `second`."""
    root = tmp_path_factory.mktemp("export") / "mlruns"
    write_study(root, "first", [0.25, 0.75, None, 0.5])
    write_study(root, "hopeless", [None])
    write_study(root, "folded", [0.5], "folds=[2, 0]")
    write_study(root, "second", [0.125])
    return root


def export(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `python search/export.py WORDS…` in a folder."""
    return run_door(cwd, "export.py", *words)


def command_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The words behind `licap` of the command that runs an export again."""
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("run it again: ")]
    program, *words = shlex.split(line.removeprefix("run it again: "))
    assert Path(program).name == "licap"
    return words


def located(config: TrialConfig, folder: Path) -> TrialConfig:
    """The config as the command found it: its only relative path is the default one."""
    return config.with_values({"data.cache": str(folder / config.data.cache)})


def test_the_best_config_is_written_and_loads(root: Path, tmp_path: Path) -> None:
    done = export(tmp_path, "first", "--root", str(root))
    assert (done.returncode, done.stderr) == (0, "")
    assert "trial 1 of study first, rank 1 by validation Spearman (0.7500)" in done.stdout
    assert command_of(done) == ["run", str(tmp_path / "best.yaml")]
    study = Study.open(root, "first")
    ran = best_config(study.trials(), SearchSpace.load(study.space_path), 1)
    assert active_values(load_config(tmp_path / "best.yaml")) == active_values(located(ran, tmp_path))
    text = (tmp_path / "best.yaml").read_text(encoding="utf-8")
    assert text.startswith("# trial 1 of study first") and "# Validation Spearman: 0.75\n# Run it: " in text


def test_of_a_study_with_folds_the_command_names_them(root: Path, tmp_path: Path) -> None:
    done = export(tmp_path, "folded", "--root", str(root))
    command = ["run", str(tmp_path / "best.yaml"), "--folds", "2,0"]
    assert done.returncode == 0 and command_of(done) == command
    text = (tmp_path / "best.yaml").read_text(encoding="utf-8")
    assert "# Validation Spearman: 0.5, the mean over folds 2, 0\n" in text
    assert f"/licap run {tmp_path}/best.yaml --folds 2,0\n" in text.replace(" licap ", " /licap ")


def test_the_file_holds_plain_scalars_with_all_their_bits(root: Path, tmp_path: Path) -> None:
    assert export(tmp_path, "first", "--root", str(root), "--rank", "3").returncode == 0
    flat = flatten(yaml.safe_load((tmp_path / "best.yaml").read_text(encoding="utf-8")))
    assert all(isinstance(value, (float, int, str, type(None))) for value in flat.values())
    acting = active_values(load_config(tmp_path / "best.yaml"))
    assert flat == {name: value for name, value in acting.items() if name != "data.fingerprint"}
    assert flat["pretrain.imp_ratio"] == 0.1 / 3 and flat["pretrain.eta2"] == 1 / 3


def test_without_a_name_the_latest_study_is_exported(root: Path, tmp_path: Path) -> None:
    done = export(tmp_path, "--root", str(root), "--out", "a folder/config.yaml")
    assert done.returncode == 0 and "study second" in done.stdout
    assert command_of(done) == ["run", str(tmp_path / "a folder" / "config.yaml")]
    assert load_config(tmp_path / "a folder" / "config.yaml").pretrain.eta2 == 1 / 3


def test_exporting_the_same_trial_again_says_nothing_of_it(root: Path, tmp_path: Path) -> None:
    first, again = (export(tmp_path, "first", "--root", str(root)) for _ in range(2))
    assert again.returncode == 0 and again.stdout == first.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["best.yaml"]


@pytest.mark.parametrize(
    ("words", "replaced"),
    [(["second"], "trial 1 of study first"), (["first", "--rank", "2"], "trial 1 of study first")],
)
def test_the_export_of_another_trial_is_replaced_whole_and_named(
    root: Path, tmp_path: Path, words: list[str], replaced: str
) -> None:
    assert export(tmp_path, "first", "--root", str(root)).returncode == 0
    done = export(tmp_path, *words, "--root", str(root))
    assert done.returncode == 0 and f"\nreplaced the export of {replaced}\n" in done.stdout
    alone = export(tmp_path, *words, "--root", str(root), "--out", "other.yaml")
    assert alone.returncode == 0 and "replaced" not in alone.stdout
    assert load_config(tmp_path / "best.yaml") == load_config(tmp_path / "other.yaml")


def test_a_file_that_was_not_exported_is_not_replaced(root: Path, tmp_path: Path) -> None:
    for content in (b"pretrain.lr: 0.1\n", b"# trial 1 of study first, of which I copied\nseed: 1\n", b"", b"\xff\xfe"):
        (tmp_path / "best.yaml").write_bytes(content)
        done = export(tmp_path, "first", "--root", str(root))
        assert done.returncode == 2 and "best.yaml: is not replaced" in done.stderr and "--out" in done.stderr
        assert done.stdout == "" and (tmp_path / "best.yaml").read_bytes() == content


def test_an_export_that_somebody_changed_is_not_replaced(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    assert export(tmp_path, "first", "--root", str(root)).returncode == 0
    changed = path.read_text(encoding="utf-8").replace("\nseed: 0\n", "\nseed: 1\n")
    path.write_text(changed, encoding="utf-8")
    assert load_config(path).seed == 1
    assert export(tmp_path, "second", "--root", str(root)).returncode == 2
    assert path.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frist"], "there is no study frist; did you mean first?"),
        (["../first"], "'../first' cannot be the name of a study"),
        (["first", "--rank", "4"], "no rank 4: ranks go from 1 to 3"),
        (["first", "--rank", "0"], "no rank 0: ranks go from 1 to 3"),
        (["hopeless"], "there is no complete trial to choose from (1 trial: 1 failed)"),
        (["first", "--out", "."], "cannot be written"),
        (["first", "--what", "optuna", "--rank", "1"], "--rank: all trials are written"),
        (["first", "--what", "optuna", "--out", "."], "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(
    root: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    done = export(tmp_path, *words, "--root", str(root))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_folder_without_studies_is_named(tmp_path: Path) -> None:
    done = export(tmp_path)
    assert done.returncode == 2 and "mlruns: there is no study yet" in done.stderr


def test_a_study_that_is_still_running_can_be_exported(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    write_study(root, "done", [0.5])
    with Study.create(root, "live", (root / "studies" / "done" / "space.yaml").read_text(encoding="utf-8")) as study:
        for event in Study.open(root, "done").events[1:]:
            study.append(event)
        finished = export(tmp_path, "live")
    assert finished.returncode == 0 and "still being run by process" in finished.stdout


def test_export_needs_no_heavy_library() -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "scipy", "sklearn", "dgl", "numba"}
    assert not heavy & modules_after("import search.export")


def test_a_whole_study_is_written_for_optuna(root: Path, tmp_path: Path) -> None:
    for words in ((), ("replaced the export of study first",)):
        done = export(tmp_path, "first", "--what", "optuna", "--root", str(root))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("study.db: study first for Optuna, 4 trials: 3 complete, 1 failed\n")
        assert f"optuna-dashboard sqlite:///{tmp_path}/study.db" in done.stdout
        assert all(each in done.stdout for each in words)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    loaded = optuna.load_study(study_name="first", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.value for trial in loaded.trials] == [0.25, 0.75, None, 0.5]
    assert loaded.best_params == {"pretrain.imp_ratio": 0.1 / 4, "pretrain.eta2": 1 / 3}


def test_what_was_not_exported_is_not_replaced_by_a_storage(root: Path, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("notes", encoding="utf-8")
    done = export(tmp_path, "first", "--what", "optuna", "--root", str(root))
    assert done.returncode == 2 and "study.db: is not replaced" in done.stderr and done.stdout == ""
    assert (tmp_path / "study.db").read_text(encoding="utf-8") == "notes"
