"""The folder of a run: its name, and what may be replaced in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from licap.checkpoint import content_hash
from licap.config import TrialConfig
from licap.errors import StoreError
from licap.results import replaced_results, run_folder


def test_a_folder_tells_what_the_run_is_about() -> None:
    config = TrialConfig().with_values({"data.path": "data/fb15k", "downstream.input": "embeddings", "fold": 3})
    assert run_folder(Path("runs"), config, [3]) == Path(f"runs/fb15k_geni_embeddings_fold3_{content_hash(config)[:8]}")
    assert "_fold0-2_" in run_folder(Path("runs"), config, [0, 2]).name
    assert run_folder(Path("runs"), TrialConfig(), [0]).name.startswith("synthetic_geni_features+embeddings_fold0_")


def test_every_value_of_the_config_changes_the_folder(tmp_path: Path) -> None:
    config = TrialConfig()
    changes = {"pretrain.probe_every": 6, "data.node2vec.q": 1.5, "runtime.threads": 1, "seed": 1, "data.path": "x"}
    folders = {run_folder(tmp_path, config.with_values({key: value}), [0]) for key, value in changes.items()}
    assert len(folders | {run_folder(tmp_path, config, [0]), run_folder(tmp_path, config, [0, 1])}) == len(changes) + 2
    assert run_folder(tmp_path, TrialConfig(), [0]) == run_folder(tmp_path, config, [0])


@pytest.mark.parametrize("name", ["ein Graph: größer/als..", "a" * 255, "../../etc", "\u202e\n"])
def test_a_folder_stays_in_its_place_and_short_whatever_the_data_are_called(tmp_path: Path, name: str) -> None:
    config = TrialConfig().with_values({"data.path": f"/data/{name}", "pretrain.lr": 1 / 3})
    path = run_folder(tmp_path, config, range(5))
    assert path.parent == tmp_path
    assert path.name.isascii()
    assert len(path.name) < 100
    assert not path.name.startswith(".")
    path.mkdir()


def test_a_path_that_ends_in_dots_gives_a_name_all_the_same() -> None:
    for path in (".", "..", "/", "a/../.."):
        name = run_folder(Path("runs"), TrialConfig().with_values({"data.path": path}), [0]).name
        assert name and name[0].isalnum()


def test_only_a_few_of_many_differences_are_shown(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(TrialConfig().to_yaml(), encoding="utf-8")
    other = TrialConfig().with_values({"seed": 1, "fold": 1, "data.path": "x", "pretrain.lr": 0.1, "pretrain.eta1": 2})
    assert replaced_results(tmp_path, TrialConfig()) is not None
    with pytest.raises(StoreError, match=r"seed is 0 there, 1 here; .*data\.path is null there, 'x' here; 2 more\)"):
        replaced_results(tmp_path, other)


def test_a_folder_with_other_files_is_free(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert replaced_results(tmp_path, TrialConfig()) is None
    assert replaced_results(tmp_path / "absent", TrialConfig()) is None
