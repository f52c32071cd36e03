"""Features of one's own, by place or by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from licap.datasets import load_dataset
from licap.datasets.own_features import load_own_features
from licap.errors import DataError

NAMES = ("a", "b", "c")
ROWS = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1", ">f4"])
def test_rows_are_taken_in_the_order_of_the_nodes(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "x.npy", ROWS.astype(dtype))
    features = load_own_features(tmp_path / "x.npy", NAMES)
    np.testing.assert_array_equal(features, ROWS)
    assert features.dtype == np.float32


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_rows_with_names_may_stand_in_any_order(tmp_path: Path, order: list[int]) -> None:
    path = saved(tmp_path / "x.npz", names=np.array(NAMES)[order], features=ROWS[order])
    np.testing.assert_array_equal(load_own_features(path, NAMES), ROWS)


def test_names_that_are_no_nodes_are_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", names=np.array(["z", *NAMES]), features=np.vstack([ROWS[:1] * 9, ROWS]))
    np.testing.assert_array_equal(load_own_features(path, NAMES), ROWS)


def test_numbers_may_name_the_nodes_of_a_format_without_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", names=np.array([2, 1, 0]), features=ROWS)
    np.testing.assert_array_equal(load_own_features(path, ("0", "1", "2")), ROWS[::-1])


BAD_NPY = {
    "rows": (np.ones((4, 2)), r"has 4 rows of features, but there are 3 nodes"),
    "flat": (np.ones(3), r"\[nodes, width\] \(got shape \(3,\)\)"),
    "no column": (np.ones((3, 0)), r"got shape \(3, 0\)"),
    "nan": (np.array([[1, 2], [3, np.nan], [5, 6]]), r"row 1, column 1 \(counted from 0\) is nan"),
    "inf": (np.array([[1, 2], [3, 4], [-np.inf, 6]]), r"row 2, column 0 .* is -inf"),
    "too large": (np.array([[1, 1e300], [3, 4], [5, 6]]), r"row 0, column 1 .* is 1e\+300"),
    "text": (np.array([["a"], ["b"], ["c"]]), r"must be numbers \(got an array of type <U1\)"),
    "complex": (np.ones((3, 2), complex), r"must be numbers"),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_arrays_are_refused_with_the_place(tmp_path: Path, name: str) -> None:
    values, message = BAD_NPY[name]
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=rf"x\.npy: .*{message}"):
        load_own_features(tmp_path / "x.npy", NAMES)
    path = saved(tmp_path / "x.npz", names=np.array(NAMES), features=values)
    with pytest.raises(DataError, match=rf"x\.npz: .*{message}"):
        load_own_features(path, NAMES)


BAD_NPZ = {
    "missing names": ({"names": ["a", "x", "y"], "features": ROWS}, r"2 of 3 nodes have no features: b, c are not in"),
    "repeated names": ({"names": ["a", "b", "c", "b"], "features": np.ones((4, 2))}, r"b is in names more than once"),
    "no names": ({"features": ROWS}, r"has no array names \(found: features\)"),
    "no features": ({"names": NAMES, "x": ROWS}, r"has no array features \(found: names, x\)"),
    "object names": ({"names": np.array(NAMES, dtype=object), "features": ROWS}, r"object array.*dtype=str"),
    "real names": ({"names": ROWS[:, 0], "features": ROWS}, r"names must be a one-dimensional array of texts"),
    "object features": ({"names": NAMES, "features": ROWS.astype(object)}, r"object array"),
}


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_archives_are_refused(tmp_path: Path, name: str) -> None:
    arrays, message = BAD_NPZ[name]
    path = saved(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=rf"x\.npz: .*{message}"):
        load_own_features(path, NAMES)


def test_an_object_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[{}], [1], [2]], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy: holds an object array"):
        load_own_features(tmp_path / "x.npy", NAMES)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04N."])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy: "):
        load_own_features(tmp_path / "x.npy", NAMES)


@pytest.mark.parametrize("keep", [0.3, 0.95])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_truncated_files_are_refused(tmp_path: Path, keep: float, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    if ending == "npy":
        np.save(path, ROWS)
    else:
        saved(path, names=np.array(NAMES), features=ROWS)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=rf"x\.{ending}: cannot be read"):
        load_own_features(path, NAMES)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.npy: no such file"):
        load_own_features(tmp_path / "nowhere.npy", NAMES)


def test_ones_own_features_come_before_those_that_came_along(pickles: Any, tmp_path: Path) -> None:
    mine = np.random.default_rng(5).normal(size=(60, 3)).astype(np.float32)
    np.save(tmp_path / "mine.npy", mine)
    config = pickles.write()
    given = type(config)(path=config.path, struct_file=str(tmp_path / "mine.npy"), features="concat")
    dataset = load_dataset(given)
    np.testing.assert_array_equal(dataset.features["concat"][:, :3], mine)
    np.testing.assert_array_equal(dataset.features["concat"][:, 3:], pickles.semantic.astype(np.float32))


def test_named_features_follow_the_nodes_when_lines_are_shuffled(tsv: Any, tmp_path: Path) -> None:
    names = np.array([line.split("\t")[0] for line in tsv.nodes])
    saved(tmp_path / "mine.npz", names=names, features=np.arange(60.0)[:, None])
    tsv.nodes.reverse()
    tsv.write()
    dataset = load_dataset(tsv.config(struct_file=str(tmp_path / "mine.npz")))
    assert dataset.names[0] == "n059"
    assert dataset.features["struct"][:, 0].tolist() == list(range(59, -1, -1))
