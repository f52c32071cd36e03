"""One path, one meaning: `~` is a home folder wherever a path can be written, however its option is spelt."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from study_cases import write_study

import licap.cli
import search.check
import search.compare
import search.export
import search.replay
import search.run
import search.summarize
from licap.config import DataConfig, TrialConfig, load_config
from licap.errors import ConfigError, StoreError
from licap.fields import specs_of
from licap.paths import expanded, path_option
from search.space import SearchSpace
from search.tracking import tracking_uri

PARSERS: tuple[Callable[[], argparse.ArgumentParser], ...] = (
    licap.cli.build_parser,
    search.check.build_parser,
    search.compare.build_parser,
    search.export.build_parser,
    search.replay.build_parser,
    search.run.build_parser,
    search.summarize.build_parser,
)
MAINS: Mapping[str, Callable[[list[str]], int]] = {
    "licap": licap.cli.main,
    "check": search.check.main,
    "compare": search.compare.main,
    "export": search.export.main,
    "replay": search.replay.main,
    "run": search.run.main,
    "summarize": search.summarize.main,
}
NOBODY = "~nobody_such_user/x"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and another folder to work in."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def path_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Options and arguments that name a file or folder, those of subcommands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from path_actions(inner)
        elif action.metavar in ("FILE", "DIR") or action.type is Path or action.dest == "config":
            yield action


def test_every_option_that_names_a_path_reads_it_the_same_way() -> None:
    actions = [action for build in PARSERS for action in path_actions(build())]
    assert len(actions) >= 12
    assert {action.type for action in actions} == {path_option}


def test_only_a_home_folder_at_the_beginning_is_expanded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAR", "x")
    assert expanded("~") == str(home) and expanded("~/a b/~c") == str(home / "a b" / "~c")
    for text in ("a/~", "./~/x", "$HOME/x", "$VAR", "/~", ".", "a//b/", " ~", "é" * 127):
        assert expanded(text) == text
    user = os.environ.get("USER") or "root"
    assert expanded(f"~{user}/x") == os.path.expanduser(f"~{user}/x")  # noqa: PTH111 - an independent reading


@pytest.mark.parametrize("words", [["--root=~/x"], ["--root", "~/x"], ["--root", "~//x/"]])
def test_an_option_means_the_same_in_both_spellings(home: Path, words: list[str]) -> None:
    assert search.run.build_parser().parse_args(words).root == home / "x"


def test_studies_and_database_are_looked_for_in_the_same_home(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.run.tell_forecast", lambda space, options: None)
    write_study(home / "x", "small", [0.5])
    (home / "x" / "mlflow.db").write_text("not a database", encoding="utf-8")
    (home / "s.yaml").write_text("trials: 3\nsearch: {pretrain.lr: {type: float, low: 0.1, high: 0.2}}\n", "utf-8")
    for tracking in ([], ["--tracking-uri=sqlite:///~/x/mlflow.db"], ["--tracking-uri", "~/x/mlflow.db"]):
        assert search.run.main(["--dry-run", "--space=~/s.yaml", "--study", "small", "--root=~/x", *tracking]) == 0
        told = capfd.readouterr().err
        assert f"{home}/x/studies/small: this study exists already" in told
        assert f"{home}/x/mlflow.db: is not an SQLite database" in told
    assert search.export.main(["--root=~/x", "--out=~/out.yaml"]) == 0
    assert load_config(home / "out.yaml").pretrain.imp_ratio == 0.1 / 3
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--space", NOBODY],
        ["run", f"--root={NOBODY}", "--resume"],
        ["run", "--space", "s.yaml", "--dry-run", "--tracking-uri", NOBODY],
        ["run", "--space", "s.yaml", "--dry-run", "--tracking-uri", f"sqlite:///{NOBODY}"],
        ["run", "--space", "s.yaml", "--set", f"data.path={NOBODY}"],
        ["export", "--root", NOBODY],
        ["export", f"--out={NOBODY}"],
        ["check", "--root", NOBODY],
        ["check", "--tracking-uri", NOBODY],
        ["compare", "--rows", "a", "--columns", "b", "--out", NOBODY],
        ["replay", "--out", NOBODY],
        ["summarize", "--root", NOBODY],
        ["licap", "run", NOBODY],
        ["licap", "run", "s.yaml", "--out", NOBODY],
        ["licap", "data", "inspect", NOBODY],
        ["licap", "data", "inspect", "--set", f"data.struct_file={NOBODY}"],
    ],
    ids=" ".join,
)
def test_the_home_of_nobody_is_one_sentence(
    home: Path, words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.run.tell_forecast", lambda space, options: None)
    Path("s.yaml").write_text("search: {pretrain.lr: {type: float, low: 0.1, high: 0.2}}\n", encoding="utf-8")
    try:
        code: object = MAINS[words[0]](words[1:])
    except SystemExit as error:
        code = error.code
    told = [line for line in capfd.readouterr().err.splitlines() if "~nobody_such_user is no home folder" in line]
    # A dry run describes the space all the same.
    assert len(told) == 1 and code == (0 if "--dry-run" in words else 2)


def test_paths_of_a_config_are_those_of_a_home_wherever_they_are_written(home: Path) -> None:
    names = [name for name, spec in specs_of(TrialConfig).items() if spec.is_path]
    assert set(names) >= {"data.path", "data.struct_file", "data.semantic_file", "data.cache", "data.text.model"}
    for name in names:
        Path("c.yaml").write_text(f"{name}: ~/kg\n", encoding="utf-8")
        for config in (
            load_config(Path("c.yaml")),
            load_config(Path("c.yaml"), [f"{name}=~/kg"]),
            TrialConfig().with_values({name: "~/kg"}),
        ):
            assert config.flat()[name] == f"{home}/kg"
    assert DataConfig(path="~/kg").path == f"{home}/kg" and DataConfig(path="./~/kg").path == "./~/kg"
    with pytest.raises(ConfigError, match=r"path: ~nobody_such_user is no home folder .*or \./~nobody_such_user/x for"):
        DataConfig(path=NOBODY)


def test_paths_of_a_space_are_those_of_a_home_wherever_they_are_written(home: Path) -> None:
    text = """
    config: {data.cache: ~/cache}
    search:
      data.path: {type: categorical, choices: [~/a, /b]}
      data.features: {type: categorical, choices: [struct, both], when: {data.path: ~/a}}
    start: [{data.path: ~/a}]
    """
    space = SearchSpace.from_text(text, source="s.yaml")
    assert space.base["data.cache"] == f"{home}/cache"
    assert space.parameters[0].choices == (f"{home}/a", "/b")
    assert space.starting_points[0]["data.path"] == f"{home}/a"
    assert space.parameters[1].when == {"data.path": (f"{home}/a",)}


def test_data_are_read_from_a_home(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (home / "kg").mkdir()
    (home / "kg" / "triples.tsv").write_text("head\trelation\ttail\na\tr\tb\n", encoding="utf-8")
    (home / "kg" / "nodes.tsv").write_text("node\timportance\tvalid\na\t1\t1\nb\t2\t1\n", encoding="utf-8")
    np.save(home / "f.npy", np.eye(2, 3, dtype=np.float32))
    assert licap.cli.main(["data", "inspect", "--set=data.path=~/kg", "--set=data.struct_file=~/f.npy"]) == 0
    assert "3 wide" in capfd.readouterr().out


@pytest.mark.parametrize("given", ["~/x.db", "sqlite:///~/x.db", " SQLITE:///~/x.db"])
def test_a_tracking_database_lies_in_a_home(home: Path, given: str) -> None:
    assert tracking_uri(Path("mlruns"), given) == f"sqlite:///{home}/x.db"
    with pytest.raises(StoreError, match="~nobody_such_user is no home folder"):
        tracking_uri(Path("mlruns"), given.replace("~", "~nobody_such_user"))


def test_a_folder_that_is_called_so_is_no_home(home: Path) -> None:
    assert tracking_uri(path_option("./~/x"), None) == f"sqlite:///{Path.cwd()}/~/x/mlflow.db"
    assert tracking_uri(Path("mlruns"), "sqlite:///./~/x.db") == f"sqlite:///{Path.cwd()}/~/x.db"


LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["licap", "run", "tiny.yaml", "--set", f"data.path={LONG}"],
        ["licap", "run", "tiny.yaml", "--out", LONG],
        ["licap", "data", "inspect", LONG],
        ["licap", "data", "inspect", ""],
        ["run", "--space", "s.yaml", "--dry-run", "--set", f"data.path=x/{LONG}/y"],
        ["run", "--space", "s.yaml", "--dry-run", "--root", f"{'a/' * 3000}"],
        ["export", "--root", "é" * 128],
        ["export", "--out", ""],
        ["check", "--root", LONG],
        ["summarize", "--root", ""],
    ],
    ids=lambda words: f"{words[0]} {words[-1][:12]}",
)
def test_a_name_that_no_file_can_have_is_refused_in_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text("", encoding="utf-8")
    (tmp_path / "s.yaml").write_text("search: {pretrain.lr: {type: float, low: 0.1, high: 1}}\n", encoding="utf-8")
    try:
        code = MAINS[words[0]](words[1:])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert "must be a path" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.yaml", "tiny.yaml"]
