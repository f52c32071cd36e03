"""An exported config, and every printed command, mean the same from any folder, and know other data from their own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from study_cases import write_study
from test_portable import write_graph

import licap.cli
import search.export
from licap.config import config_from, load_config
from licap.datasets import load_dataset
from licap.errors import ConfigError
from licap.portable import active_values
from search.insight.exported import trial_yaml
from search.insight.next_steps import export_command, resume_command, summary_command
from search.space import SearchSpace, as_begun, check_same, located
from search.study import Proposed, Study

SPACE = """
name: moved
config:
  data.path: kg
  data.node2vec: {dim: 4, num_walks: 1, walk_length: 4}
  pretrain: {max_epochs: 2, heads: 1, hidden: 2, out_dim: 2, imp_ratio: 0.3}
  downstream: {max_epochs: 2, input: features}
  runtime.threads: 1
search:
  downstream.model: {type: categorical, choices: [gcn, geni]}
  downstream.lr: {type: float, low: 0.001, high: 0.1}
"""
VALUES = {"downstream.model": "gcn", "downstream.lr": 0.1 / 3}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with spaces and quotes in its name, a graph in it, and a study on that graph."""
    folder = tmp_path / "it's a project"
    write_graph(folder / "kg", lambda i: i + 1)
    monkeypatch.chdir(folder)
    space = located(SearchSpace.from_text(SPACE, source="moved.yaml"))
    dataset = load_dataset(config_from(space.base).data)
    with Study.create(Path("mlruns"), "moved", space.to_yaml(), dataset.fingerprint) as study:
        study.append(Proposed(trial=0, values=VALUES, starting_point=False))
        config = space.config_for(VALUES)
        Path("best.yaml").write_text(trial_yaml(config, space, study), encoding="utf-8")
    return folder


def run(*words: str) -> int:
    return licap.cli.main(["run", *words])


def test_an_export_runs_elsewhere_and_refuses_other_data(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    best = str(project / "best.yaml")
    assert run(best, "--out", "here") == 0
    elsewhere = tmp_path / "elsewhere"
    write_graph(elsewhere / "kg", lambda i: 2 * i + 1)
    monkeypatch.chdir(elsewhere)
    assert run(best, "--out", "there") == 0
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (project / "here", elsewhere / "there")]
    assert metrics[0] == metrics[1]
    capfd.readouterr()
    assert run(best, "--set", "data.path=kg", "--out", "other") == 2
    told = capfd.readouterr().err
    assert told.count("error:") == 1 and "kg: has other graph or scores" in told and not Path("other").exists()
    assert run(best, "--set", "data.path=kg", "--out", "there", "--other-data") == 2
    assert "holds results of another config" in capfd.readouterr().err
    assert run(best, "--set", "data.path=kg", "--out", "other", "--other-data") == 0
    other = json.loads(Path("other/metrics.json").read_text())
    assert other["fingerprint"] != metrics[0]["fingerprint"]
    # What a run leaves can be run again, and is found again as it was.
    monkeypatch.chdir("/")
    assert run(str(elsewhere / "other" / "config.yaml"), "--out", str(elsewhere / "other")) == 0


def test_results_of_other_data_under_the_same_path_are_not_replaced(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("plain.yaml").write_text("data.path: kg\ndownstream: {model: in_degree, input: features}\n", encoding="utf-8")
    assert run("plain.yaml", "--out", "out") == 0
    before = Path("out/metrics.json").read_bytes()
    (project / "kg").rename(project / "old")
    write_graph(project / "kg", lambda i: 3 * i + 1)
    assert run("plain.yaml", "--out", "out") == 2
    assert "out: holds results of other data" in capfd.readouterr().err
    assert Path("out/metrics.json").read_bytes() == before


def test_the_file_holds_what_acts_and_repeats_each_digit(project: Path) -> None:
    config = load_config(project / "best.yaml")
    text = (project / "best.yaml").read_text(encoding="utf-8")
    for name in ("geni:", "pretrain:", "synthetic:", "text:", "rgtn:"):
        assert name not in text
    assert config.data.path == str(project / "kg") and config.downstream.lr == 0.1 / 3
    assert config.data.cache == str(project / "data" / "cache") and len(config.data.fingerprint or "") == 64
    space = SearchSpace.load(Study.open(Path("mlruns"), "moved").space_path)
    ran = space.config_for(VALUES)
    assert active_values(config) == active_values(replace(ran, data=config.data))


def test_a_trial_on_other_data_than_the_space_names_has_no_fingerprint_of_these(project: Path) -> None:
    space = SearchSpace.load(Study.open(Path("mlruns"), "moved").space_path)
    study = Study.open(Path("mlruns"), "moved")
    config = space.config_for(VALUES)
    for name, value in (("data.path", "/other"), ("data.dataset", "tsv")):
        assert "fingerprint" not in trial_yaml(config.with_values({name: value}), space, study)
    assert "fingerprint" in trial_yaml(config.with_values({"data.features": "semantic"}), space, study)


def test_a_study_goes_on_from_another_folder_and_where_its_data_were_moved(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SearchSpace.load(Study.open(Path("mlruns"), "moved").space_path)
    assert before.base["data.path"] == str(project / "kg")
    given = SearchSpace.from_text(SPACE, source="moved.yaml")
    assert as_begun(before, given, data_known=True).base == before.base
    # A record of an earlier version, whose paths are relative, keeps them.
    assert as_begun(given, located(given), data_known=True) == given
    monkeypatch.chdir("/")
    with pytest.raises(ConfigError, match=r"config\.data\.path: /kg, but the study began with"):
        check_same(before, given)
    assert as_begun(before, given, data_known=True).base["data.path"] == "/kg"


@pytest.mark.parametrize(
    "make", [export_command, summary_command, lambda *each: resume_command(*each, "sqlite:////x.db")]
)
def test_a_printed_command_finds_its_study_from_the_root_folder(project: Path, make: object) -> None:
    command = make("moved", Path("mlruns"))  # type: ignore[operator]
    program, script, *words = shlex.split(command)
    assert Path(script).is_absolute() and Path(script).is_file() and Path(program).name.startswith("python")
    assert str(project / "mlruns") in words


def test_the_printed_commands_run_in_a_shell_from_another_folder(project: Path, tmp_path: Path) -> None:
    write_study(Path("mlruns"), "moved-2", [0.5])
    command = export_command("moved-2", Path("mlruns"))
    folder = tmp_path / "away"
    folder.mkdir()
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["best.yaml"]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("run it again: ")]
    assert shlex.split(line)[-2:] == ["run", str(folder / "best.yaml")]


def test_a_space_with_a_stale_fingerprint_is_refused(project: Path) -> None:
    assert search.export.main(["moved", "--out", "x.yaml"]) == 2  # no trial is complete yet
    text = SPACE.replace("data.path: kg\n", "data.path: kg\n  data.fingerprint: abc\n")
    from licap.errors import DataError
    from search.engine.rehearsal import rehearsal_dataset

    data = config_from(SearchSpace.from_text(text, source="s.yaml").base).data
    for load in (load_dataset, rehearsal_dataset):
        with pytest.raises(DataError, match="other graph or scores"):
            load(data)
