"""The published pickles: keys, row counts, relation counts, and what is refused."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from licap.config import DataConfig
from licap.datasets import load_dataset, load_raw
from licap.errors import DataError


def test_graph_scores_and_features_come_out_as_given(pickles: Any) -> None:
    raw = load_raw(pickles.write())
    src, dst = pickles.graph["edges"]
    assert raw.graph.src.tolist() == src.tolist()
    assert raw.graph.dst.tolist() == dst.tolist()
    assert raw.graph.rel.tolist() == pickles.graph["edge_types"].tolist()
    assert (raw.graph.num_nodes, raw.graph.num_relations) == (60, 4)
    assert raw.valid.tolist() == [node != 3 for node in range(60)]
    assert raw.importance[:5].tolist() == [0, 1, 2, 0, 4]
    np.testing.assert_array_equal(raw.features["struct"], pickles.graph["features"].numpy())
    np.testing.assert_array_equal(raw.features["semantic"], pickles.semantic.astype(np.float32))
    assert raw.names[:3] == ("0", "1", "2")
    assert raw.name == "fb15k"
    assert any("row numbers stand in" in note for note in raw.notes)


def test_repeated_triples_and_self_loops_are_kept(pickles: Any) -> None:
    edges = load_raw(pickles.write()).graph
    triples = list(zip(edges.src.tolist(), edges.rel.tolist(), edges.dst.tolist(), strict=True))
    assert triples.count((0, 0, 1)) == 2
    assert (5, 2, 5) in triples


@pytest.mark.parametrize("features", ["struct", "semantic", "concat"])
def test_a_complete_data_set_has_what_was_asked_for(pickles: Any, features: str) -> None:
    config = pickles.write()
    dataset = load_dataset(DataConfig(path=config.path, features=features))
    struct, semantic = pickles.graph["features"].numpy(), pickles.semantic.astype(np.float32)
    expected = {"struct": struct, "semantic": semantic, "concat": np.concatenate([struct, semantic], axis=1)}
    assert list(dataset.features) == [features]
    np.testing.assert_array_equal(dataset.features[features], expected[features])


@pytest.mark.parametrize("kind", ["arrays", "lists", "columns", "stacked", "old protocol", "torch.save"])
def test_other_ways_to_write_the_same_read_equal(pickles: Any, kind: str, tmp_path: Path) -> None:
    expected = load_raw(pickles.write())
    graph = pickles.graph
    dump: Any = pickle.dumps
    if kind == "arrays":
        graph |= {key: graph[key].numpy() for key in graph.keys() - {"edges"}}
        graph["edges"] = [end.numpy() for end in graph["edges"]]
    elif kind == "lists":
        graph |= {key: graph[key].tolist() for key in graph.keys() - {"edges"}}
        graph["edges"] = [end.tolist() for end in graph["edges"]]
    elif kind == "columns":
        graph |= {"labels": graph["labels"][:, None].double(), "invalid_masks": graph["invalid_masks"].bool()}
    elif kind == "stacked":
        graph["edges"] = torch.stack(graph["edges"])
    elif kind == "old protocol":
        dump = lambda value: pickle.dumps(value, 2)  # noqa: E731
    else:
        pickles.semantic = torch.from_numpy(pickles.semantic)
        dump = torch_saved
    raw = load_raw(pickles.write(dump))
    np.testing.assert_array_equal(raw.graph.dst, expected.graph.dst)
    np.testing.assert_array_equal(raw.importance, expected.importance)
    np.testing.assert_array_equal(raw.valid, expected.valid)
    for name in ("struct", "semantic"):
        np.testing.assert_array_equal(raw.features[name], expected.features[name])


def torch_saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("names", "num_relations"),
    [
        (("tmdb_rel.pk", "tmdb_lang.pk"), 34),
        (("imdb_s_rel_150000.pk", "imdb_s_lang_150000.pk"), 30),
        (("ga16k_rel.pk", "ga_lang.pk"), 4),
        (("mine_rel.pkl", "mine_lang.pkl"), 4),
    ],
)
def test_other_published_names_are_known(pickles: Any, names: tuple[str, str], num_relations: int) -> None:
    pickles.names = names
    raw = load_raw(pickles.write())
    assert raw.graph.num_relations == len(raw.relation_names) == num_relations
    assert raw.features["semantic"].shape == (60, 5)


def test_structure_features_in_a_file_of_their_own_are_taken(pickles: Any) -> None:
    pickles.names = ("imdb_s_rel_150000.pk", "imdb_s_lang_150000.pk")
    del pickles.graph["features"]
    config = pickles.write()
    assert set(load_raw(config).features) == {"semantic"}
    (pickles.folder / "imdb_s_node2vec_new_150000.pk").write_bytes(pickle.dumps(np.ones((60, 3))))
    assert load_raw(config).features["struct"].shape == (60, 3)


def test_several_data_sets_in_a_folder_are_told_apart_by_the_file(pickles: Any) -> None:
    pickles.write()
    pickles.names, pickles.semantic = ("tmdb_rel.pk", "tmdb_lang.pk"), np.ones((60, 2))
    pickles.write()
    with pytest.raises(DataError, match=r"several graphs \(fb15k_rel\.pk, tmdb_rel\.pk\).*data\.path"):
        load_raw(DataConfig(path=str(pickles.folder)))
    for name, width in (("fb15k", 5), ("tmdb", 2)):
        raw = load_raw(DataConfig(path=str(pickles.folder / f"{name}_rel.pk")))
        assert raw.name == name
        assert raw.features["semantic"].shape == (60, width)


def without(key: str) -> Any:
    return lambda graph: graph.pop(key)


def with_value(key: str, value: Any) -> Any:
    return lambda graph: graph.__setitem__(key, value)


def with_item(key: str, index: int, value: Any) -> Any:
    return lambda graph: graph[key].__setitem__(index, value)


BAD = {
    "no labels": (without("labels"), r"fb15k_rel\.pk: has no labels \(found: edges, edge_types, features"),
    "no masks": (without("invalid_masks"), r"has no invalid_masks"),
    "labels and masks": (with_value("labels", torch.ones(70)), r"has 70 rows of labels, but 60 of invalid_masks"),
    "too few labels": (
        lambda graph: graph.update(labels=torch.ones(59), invalid_masks=torch.zeros(59)),
        r"edges name node 59, but there are 59 rows of labels",
    ),
    "features": (with_value("features", torch.ones(61, 4)), r"features: has 61 rows of features, but there are 60"),
    "flat features": (with_value("features", torch.ones(60)), r"features: .*got shape \(60,\)"),
    "nan feature": (with_item("features", (7, 2), float("nan")), r"features: row 7, column 2 .* is nan"),
    "infinite feature": (with_item("features", (0, 1), float("inf")), r"row 0, column 1 .* is inf"),
    "nan label": (with_item("labels", 9, float("nan")), r"labels\[9\] is nan"),
    "infinite label": (with_item("labels", 9, float("inf")), r"labels\[9\] is inf"),
    "negative label": (with_item("labels", 9, -2), r"labels\[9\] is -2"),
    "masks": (with_item("invalid_masks", 4, 2), r"invalid_masks must hold 0 and 1"),
    "negative id": (lambda graph: graph["edges"][0].__setitem__(3, -1), r"src\[3\] is -1"),
    "negative type": (with_item("edge_types", 3, -1), r"rel\[3\] is -1"),
    "types": (with_value("edge_types", torch.zeros(9, dtype=torch.int64)), r"equally long \(got \[62, 62, 9\]\)"),
    "real types": (with_value("edge_types", torch.zeros(62)), r"must hold integer ids"),
    "ends": (
        lambda graph: graph.update(edges=(graph["edges"][0], graph["edges"][1][:-1])),
        r"edges has 62 sources, but 61 destinations",
    ),
    "one end": (lambda graph: graph.update(edges=graph["edges"][:1]), r"edges must be two arrays"),
    "no edges": (
        lambda graph: graph.update(edges=(torch.empty(0).long(),) * 2, edge_types=torch.empty(0).long()),
        r"has no edges",
    ),
    "text": (with_value("labels", "many"), r"labels must be an array of numbers \(got str\)"),
    "square labels": (with_value("labels", torch.ones(60, 60)), r"labels must be one-dimensional \(got shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_refused_with_file_and_place(pickles: Any, name: str) -> None:
    change, message = BAD[name]
    change(pickles.graph)
    config = pickles.write()
    with pytest.raises(DataError, match=message) as caught:
        load_raw(config)
    assert str(pickles.folder / "fb15k_rel.pk") in str(caught.value)


def test_the_score_of_an_invalid_node_does_not_matter(pickles: Any) -> None:
    pickles.graph["labels"][3] = float("nan")
    assert load_raw(pickles.write()).importance[3] == 0


def test_semantic_features_of_other_length_are_refused_with_both_numbers(pickles: Any) -> None:
    pickles.semantic = np.ones((58, 3))
    with pytest.raises(DataError, match=r"fb_lang\.pk: has 58 rows of features, but there are 60 nodes"):
        load_raw(pickles.write())


def test_missing_semantic_features_are_refused_with_the_remedy(pickles: Any) -> None:
    pickles.semantic = None
    config = pickles.write()
    with pytest.raises(DataError, match=r"data\.features is concat.*data\.semantic_file"):
        load_dataset(DataConfig(path=config.path, features="concat"))


@pytest.mark.parametrize("value", [[1, 2], "text", np.ones(3)])
def test_a_pickle_of_something_else_is_refused(pickles: Any, value: Any) -> None:
    pickles.graph = value
    with pytest.raises(DataError, match=r"fb15k_rel\.pk: holds a \w+, must be a dict with edges"):
        load_raw(pickles.write())


class Attack:
    """Pickles to a call that would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("where", ["graph", "semantic"])
def test_code_in_either_file_does_not_run(pickles: Any, tmp_path: Path, where: str) -> None:
    if where == "graph":
        pickles.graph["labels"] = Attack(tmp_path / "ran")
    else:
        pickles.semantic = Attack(tmp_path / "ran")
    config = pickles.write()
    with pytest.raises(DataError, match=r"\.pk: posix\.system is not allowed in a data file"):
        load_raw(config)
    assert not (tmp_path / "ran").exists()
