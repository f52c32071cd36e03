"""Raw text: `triples.tsv` (head, relation, tail) and `nodes.tsv` (node, importance, valid, name, description), or .gz.

Columns are found by their names in the header; `name` and `description` may be absent. Node ids are the rows of
nodes.tsv, relation ids the sorted relation names. Every triple becomes one edge, repeated ones and self loops too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from licap.config import DataConfig
from licap.datasets.lookalikes import told_apart, twins
from licap.datasets.raw import RawGraph
from licap.datasets.scores import score_notes
from licap.datasets.text_lines import LineProblems, columns_of, find_file, read_lines, split_rows
from licap.errors import DataError
from licap.graph import KnowledgeGraph

_NODES, _TRIPLES = "nodes.tsv", "triples.tsv"
_NODE_COLUMNS = ("node", "importance", "valid")
_TEXT_COLUMNS = ("name", "description")
_TRIPLE_COLUMNS = ("head", "relation", "tail")
# How databases, R, pandas and people write that there is no value, in lower case.
_MISSING = frozenset(["", r"\n", "na", "n/a", "#n/a", "<na>", "nan", "null", "nil", "none", "-", "--", "?", "."])
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Nodes:
    names: list[str]
    importance: NDArray[np.float32]
    valid: NDArray[np.bool_]
    texts: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def recognises(folder: Path) -> bool:
    """Whether the folder looks like this format."""
    return any((folder / f"{name}{end}").is_file() for name in (_NODES, _TRIPLES) for end in ("", ".gz"))


def load_tsv(config: DataConfig) -> RawGraph:
    """Reads the folder at `config.path`. Raises: DataError with every problem of a file and its line."""
    folder = Path(config.path or "")
    nodes_path, triples_path = find_file(folder, _NODES), find_file(folder, _TRIPLES)
    nodes = _read_nodes(nodes_path)
    graph, relations, notes = _read_triples(triples_path, nodes.names)
    return RawGraph(
        name=folder.resolve().name,
        graph=graph,
        importance=nodes.importance,
        valid=nodes.valid,
        names=tuple(nodes.names),
        relation_names=tuple(relations),
        titles=nodes.texts.get("name"),
        descriptions=nodes.texts.get("description"),
        notes=(*nodes.notes, *notes),
    )


def _read_nodes(path: Path) -> _Nodes:
    lines = read_lines(path)
    columns = columns_of(path, lines[0], _NODE_COLUMNS)
    if len(lines) == 1:
        raise DataError(f"{path}: has a header but no nodes. Add a line per node.")
    problems = LineProblems(path)
    rows = split_rows(lines, len(columns), problems)
    names = _node_names(rows, columns["node"], problems)
    importance, valid = _scores(rows, columns["importance"], columns["valid"], problems)
    problems.refuse()
    texts = {name: tuple(row[columns[name]] for row in rows) for name in _TEXT_COLUMNS if name in columns}
    absent = tuple(f"{path.name} has no column {name}." for name in _TEXT_COLUMNS if name not in columns)
    notes = absent + _unused(path, columns, _NODE_COLUMNS + _TEXT_COLUMNS) + score_notes(importance[valid])
    return _Nodes(names, importance.astype(np.float32), valid, texts, notes)


def _unused(path: Path, columns: dict[str, int], known: tuple[str, ...]) -> tuple[str, ...]:
    unused = [name for name in columns if name not in known]
    return (f"{path.name}: column {', '.join(unused)} is not used.",) if unused else ()


def _node_names(rows: list[list[str]], column: int, problems: LineProblems) -> list[str]:
    names = [row[column] for row in rows]
    first: dict[str, int] = {}
    for line, name in enumerate(names, start=2):
        if not name:
            problems.add(line, "the node has no name. Give one.")
        elif name in first:
            problems.add(line, f"node {name} stands twice, first on line {first[name]}. Keep one of the two.")
        first.setdefault(name, line)
    return names


def _scores(
    rows: list[list[str]], importance_column: int, valid_column: int, problems: LineProblems
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Importance and validity. Where valid is 0 the score may be any number or missing, and counts as 0."""
    scores, valid = np.zeros(len(rows), np.float64), np.zeros(len(rows), np.bool_)
    for index, row in enumerate(rows):
        text, mark = row[importance_column], row[valid_column]
        if mark not in ("0", "1"):
            problems.add(index + 2, f"valid is {mark!r}, must be 0 or 1.")
        value = _number(text)
        valid[index] = mark == "1"
        if value is None and not (mark == "0" and _is_missing(text)):
            problems.add(index + 2, _no_score(text, mark))
        elif value is not None and mark != "0" and not 0 <= value <= _LARGEST:
            problems.add(
                index + 2,
                f"importance is {text}, must be a finite number of 0 or more, {_LARGEST:.2g} at most. Give the raw "
                "score, or set valid to 0.",
            )
        elif value is not None and valid[index]:
            scores[index] = value
    return scores, valid


def _is_missing(text: str) -> bool:
    return text.strip().casefold() in _MISSING


def _no_score(text: str, mark: str) -> str:
    """What is wrong with an importance that is no number, and what to do."""
    if _is_missing(text):
        return f"importance is {text!r}, which marks a missing score. Give the raw score, or set valid to 0."
    if mark == "0":
        return (
            f"importance is {text!r}, neither a number nor a mark of a missing score, as \\N, NA or NaN. "
            "Leave the field empty."
        )
    return f"importance is {text!r}, must be a number. Give the raw score; or leave it empty, and set valid to 0."


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)  # float() reads 1_000, nobody else does
    except ValueError:
        return None


def _read_triples(path: Path, names: list[str]) -> tuple[KnowledgeGraph, list[str], tuple[str, ...]]:
    lines = read_lines(path)
    columns = columns_of(path, lines[0], _TRIPLE_COLUMNS)
    if len(lines) == 1:
        raise DataError(f"{path}: has a header but no edges. Add a line per triple.")
    problems = LineProblems(path)
    rows = split_rows(lines, len(columns), problems)
    node_ids = {name: index for index, name in enumerate(names)}
    src, dst = (_ids(rows, columns[end], node_ids, end, problems) for end in ("head", "tail"))
    relations = sorted({row[columns["relation"]] for row in rows})
    if not relations[0]:
        for line, row in enumerate(rows, start=2):
            if not row[columns["relation"]]:
                problems.add(line, "the relation has no name. Give one.")
    problems.refuse()
    relation_ids = {name: index for index, name in enumerate(relations)}
    kinds = np.array([relation_ids[row[columns["relation"]]] for row in rows], dtype=np.int64)
    graph = KnowledgeGraph.from_edges(src, dst, kinds, num_nodes=len(names), num_relations=len(relations))
    return graph, relations, _unused(path, columns, _TRIPLE_COLUMNS)


def _ids(
    rows: list[list[str]], column: int, node_ids: dict[str, int], end: str, problems: LineProblems
) -> NDArray[np.int64]:
    ids = np.array([node_ids.get(row[column], -1) for row in rows], dtype=np.int64)
    strange = {int(index): rows[index][column] for index in np.flatnonzero(ids < 0)}
    alike = twins(strange.values(), node_ids)
    for index, name in strange.items():
        if name in alike:
            words = f", though one looks like it: {told_apart([name, alike[name]])}. Write the name in one way."
        else:
            words = ". Add it there, or remove the triple."
        problems.add(index + 2, f"{end} {name!r} is no node of {_NODES}{words}")
    return ids
