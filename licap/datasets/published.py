"""The pickles that the authors of RGTN and LICAP published: `*_rel*.pk` with the graph, `*_lang*.pk` for the texts.

`fb15k_rel.pk` + `fb_lang.pk`, `tmdb_rel.pk` + `tmdb_lang.pk`, `ga16k_rel.pk` + `ga_lang.pk`, and IMDB, whose structure
features are in a third file `*_node2vec*.pk`. A file `*_rel*.pk` is a dict: edges (two arrays [E]), edge_types [E],
labels [N] raw, features [N, D], invalid_masks [N] (1 = invalid). The format has no names: row numbers stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.config import DataConfig
from licap.datasets.feature_arrays import checked_features
from licap.datasets.raw import RawGraph
from licap.datasets.restricted import load_pickle
from licap.datasets.scores import score_notes
from licap.errors import DataError
from licap.graph import KnowledgeGraph

Array = NDArray[Any]
_KEYS = ("edges", "edge_types", "labels", "invalid_masks")
# The published loader fixes the number of relations of two data sets, whatever the file holds.
_NUM_RELATIONS = {"tmdb": 34, "imdb": 30}
_NO_NAMES = "The format has no names: row numbers stand in for the names of nodes and relations."


@dataclass(frozen=True)
class _Files:
    graph: Path
    semantic: Path | None
    struct: Path | None


def recognises(path: Path) -> bool:
    """Whether the folder (or the file itself) looks like this format."""
    return bool(_graph_files(path))


def load_published(config: DataConfig) -> RawGraph:
    """Reads the folder (or the `*_rel*.pk` file) at `config.path`.

    Raises: DataError naming file and key; for unequal row counts with both numbers.
    """
    files = _find(Path(config.path or ""))
    content = _graph_content(files.graph)
    scores, valid = _labels(content, files.graph)
    importance = scores.astype(np.float32)
    graph = _graph(content, files.graph, importance.size)
    return RawGraph(
        name=files.graph.name.partition("_rel")[0],
        graph=graph,
        importance=importance,
        valid=valid,
        names=tuple(map(str, range(graph.num_nodes))),
        relation_names=tuple(map(str, range(graph.num_relations))),
        features=_features(content, files, importance.size),
        notes=(_NO_NAMES, *score_notes(scores[valid])),
    )


def _graph_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.match("*_rel*.pk") or path.match("*_rel*.pkl") else []
    return _matching(path, "rel")


def _matching(folder: Path, kind: str) -> list[Path]:
    return sorted(file for end in ("pk", "pkl") for file in folder.glob(f"*_{kind}*.{end}") if file.is_file())


def _find(path: Path) -> _Files:
    graphs = _graph_files(path)
    if not graphs:
        raise DataError(f"{path}: has no file *_rel*.pk, such as fb15k_rel.pk. Check data.path.")
    if len(graphs) > 1:
        raise DataError(
            f"{path}: has several graphs ({', '.join(file.name for file in graphs)}). "
            "Set data.path to one of these files."
        )
    return _Files(graphs[0], _companion(graphs[0], "lang"), _companion(graphs[0], "node2vec"))


def _companion(graph: Path, kind: str) -> Path | None:
    """The file of features beside the graph: the only one, or the one whose name begins alike (fb15k_rel, fb_lang)."""
    found = _matching(graph.parent, kind)
    if len(found) > 1 or len(_matching(graph.parent, "rel")) > 1:
        stem = graph.name.partition("_rel")[0]
        prefixes = [(file.name.partition(f"_{kind}")[0], file) for file in found]
        found = [file for prefix, file in prefixes if stem.startswith(prefix)]
    if len(found) > 1:
        raise DataError(
            f"{graph.parent}: {', '.join(file.name for file in found)} could all belong to {graph.name}. Keep one."
        )
    return found[0] if found else None


def _graph_content(path: Path) -> Mapping[Any, Any]:
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, must be a dict with {', '.join(_KEYS)}.")
    missing = [key for key in _KEYS if key not in content]
    if missing:
        found = ", ".join(map(str, content)) or "none"
        raise DataError(f"{path}: has no {', '.join(missing)} (found: {found}). Add what is missing.")
    return content


def _array(value: Any, place: str) -> Array:
    """Tensor, array or list of numbers as an array."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = (value if str(value.dtype) != "torch.bfloat16" else value.float()).numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place} must be an array of numbers (got {type(value).__name__}). Write a tensor or array.")
    return array


def _column(content: Mapping[Any, Any], key: str, path: Path) -> Array:
    """[N] or [N, 1] as [N]."""
    array = _array(content[key], f"{path}: {key}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{path}: {key} must be one-dimensional (got shape {array.shape}). Reshape it.")
    return array


def _labels(content: Mapping[Any, Any], path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    labels = _column(content, "labels", path).astype(np.float64)
    masks = _column(content, "invalid_masks", path)
    if labels.size != masks.size:
        raise DataError(
            f"{path}: has {labels.size} rows of labels, but {masks.size} of invalid_masks. Give one of each per node."
        )
    if not np.isin(masks, (0, 1)).all():
        raise DataError(f"{path}: invalid_masks must hold 0 and 1 only. Write 1 where a label is invalid.")
    valid = masks == 0
    largest = float(np.finfo(np.float32).max)
    wrong = np.flatnonzero(valid & ~((labels >= 0) & (labels <= largest)))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{path}: labels[{row}] is {labels[row]}, must be a finite number of 0 or more, {largest:.2g} at most "
            f"({wrong.size} such labels). Give the raw score, or set invalid_masks to 1 there."
        )
    return np.where(valid, labels, 0.0), valid


def _graph(content: Mapping[Any, Any], path: Path, num_nodes: int) -> KnowledgeGraph:
    src, dst = _ends(content["edges"], path)
    rel = _column(content, "edge_types", path)
    if src.size == 0:
        raise DataError(f"{path}: has no edges. Give at least one.")
    largest = int(max(src.max(), dst.max()))
    if largest >= num_nodes:
        raise DataError(
            f"{path}: edges name node {largest}, but there are {num_nodes} rows of labels. "
            "Give a label (and an invalid mask) for every node."
        )
    fixed = next((count for name, count in _NUM_RELATIONS.items() if path.name.lower().startswith(name)), 0)
    num_relations = max(fixed, int(rel.max(initial=-1)) + 1)
    try:
        return KnowledgeGraph.from_edges(src, dst, rel, num_nodes=num_nodes, num_relations=num_relations)
    except DataError as error:
        raise DataError(f"{path}: edges and edge_types: {error}") from None


def _ends(edges: Any, path: Path) -> tuple[Array, Array]:
    if isinstance(edges, (tuple, list)) and len(edges) == 2:
        src, dst = (_array(end, f"{path}: edges") for end in edges)
        if src.shape == dst.shape:
            return src, dst
        raise DataError(
            f"{path}: edges has {src.size} sources, but {dst.size} destinations. Give one of each per edge."
        )
    pair = _array(edges, f"{path}: edges")
    if pair.ndim != 2 or pair.shape[0] != 2:
        raise DataError(f"{path}: edges must be two arrays, sources and destinations (got shape {pair.shape}).")
    return pair[0], pair[1]


def _features(content: Mapping[Any, Any], files: _Files, num_nodes: int) -> dict[str, NDArray[np.float32]]:
    features = {}
    if files.struct is not None:
        features["struct"] = _file_features(files.struct, num_nodes)
    elif content.get("features") is not None:
        place = f"{files.graph}: features"
        features["struct"] = checked_features(_array(content["features"], place), place=place, num_nodes=num_nodes)
    if files.semantic is not None:
        features["semantic"] = _file_features(files.semantic, num_nodes)
    return features


def _file_features(path: Path, num_nodes: int) -> NDArray[np.float32]:
    return checked_features(_array(load_pickle(path), str(path)), place=str(path), num_nodes=num_nodes)
