"""From a config to a complete data set: which kind it is, and what makes training impossible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import licap.datasets
from licap.config import DataConfig
from licap.datasets import DATASETS, load_dataset, load_raw
from licap.errors import DataError
from licap.fields import specs_of


def test_every_kind_can_be_named_in_a_config() -> None:
    assert {*DATASETS, "auto"} == set(specs_of(DataConfig)["dataset"].choices)


def test_every_promised_name_is_there() -> None:
    for name in licap.datasets.__all__:
        assert getattr(licap.datasets, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = licap.datasets.nothing_like_it


def test_without_a_path_the_graph_is_generated(tmp_path: Path) -> None:
    raw = load_raw(DataConfig())
    assert raw.name.startswith("synthetic")
    assert raw.graph.num_nodes == DataConfig().synthetic.num_nodes


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder\. Check data\.path"):
        load_dataset(DataConfig(path=str(tmp_path / "nowhere")))


def test_a_folder_of_nothing_known_is_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    with pytest.raises(DataError, match=r"holds no data set that is known here \(tsv: triples\.tsv.*NAME_rel\.pk"):
        load_dataset(DataConfig(path=str(tmp_path)))


def test_a_file_in_place_of_a_folder_is_refused(tsv: Any) -> None:
    tsv.write()
    with pytest.raises(DataError, match=r"nodes\.tsv: is a file\. Set data\.path to the folder"):
        load_dataset(DataConfig(path=str(tsv.folder / "nodes.tsv")))


def test_a_folder_of_both_kinds_asks_for_the_kind(tsv: Any, pickles: Any) -> None:
    pickles.folder = tsv.folder
    tsv.write()
    config = pickles.write()
    with pytest.raises(DataError, match=r"looks like tsv and like published\. Set data\.dataset"):
        load_dataset(config)
    assert load_raw(DataConfig(path=config.path, dataset="tsv")).name == "ring"
    assert load_raw(DataConfig(path=config.path, dataset="published")).name == "fb15k"


@pytest.mark.parametrize("dataset", ["tsv", "published"])
def test_the_wrong_kind_is_refused(tsv: Any, pickles: Any, dataset: str) -> None:
    config = pickles.write() if dataset == "tsv" else tsv.write()
    with pytest.raises(DataError, match="has no"):
        load_raw(DataConfig(path=config.path, dataset=dataset))


@pytest.mark.parametrize(("labelled", "enough"), [(49, False), (50, True), (0, False)])
def test_fewer_than_fifty_labelled_nodes_are_refused(tsv: Any, labelled: int, enough: bool) -> None:
    tsv.nodes = [line if i < labelled else line.replace("\t1\t", "\t0\t") for i, line in enumerate(tsv.nodes)]
    config = tsv.write()
    if enough:
        assert int(load_dataset(config).valid.sum()) == labelled
    else:
        with pytest.raises(DataError, match=rf"ring: {labelled} labelled nodes, at least 50 are needed"):
            load_dataset(config)


def test_constant_labels_are_noted(tsv: Any) -> None:
    tsv.nodes = [f"n{i:03}\t5\t1\t\t" for i in range(60)]
    dataset = load_dataset(tsv.write())
    assert any("nothing to rank" in note for note in dataset.notes)
    tsv.nodes[0] = "n000\t6\t1\t\t"
    assert not any("nothing to rank" in note for note in load_dataset(tsv.write()).notes)


def test_empty_texts_are_refused_where_they_are_needed(tsv: Any) -> None:
    tsv.nodes = [f"n{i:03}\t{i}\t1\t\t" for i in range(60)]
    tsv.write()
    with pytest.raises(DataError, match=r"are empty.*data\.semantic_file"):
        load_dataset(tsv.config(features="semantic"))


def test_progress_is_heard_where_features_are_computed_and_only_then(tsv: Any) -> None:
    heard: list[str] = []
    config = tsv.write()
    first = load_dataset(config, progress=heard.append)
    assert heard
    heard.clear()
    again = load_dataset(config, progress=heard.append)
    assert not heard
    np.testing.assert_array_equal(first.features["struct"], again.features["struct"])


def test_other_settings_are_other_features(tsv: Any) -> None:
    tsv.write()
    wide = load_dataset(tsv.config(node2vec=type(tsv.config().node2vec)(dim=8)))
    narrow = load_dataset(tsv.config(node2vec=type(tsv.config().node2vec)(dim=4)))
    assert (wide.features["struct"].shape, narrow.features["struct"].shape) == ((60, 8), (60, 4))


def test_the_room_loads_no_heavy_library_before_it_needs_one() -> None:
    code = (
        "import sys, licap.datasets.registry; "
        "heavy = {'torch', 'numba', 'gensim', 'sklearn', 'scipy', 'ray', 'dgl'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
