"""The look at a data set: what is counted, and what is warned of."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from licap.config import DataConfig, PretrainConfig
from licap.datasets import inspect_dataset, inspect_text, load_raw
from licap.datasets.inspect import isolated_nodes, repeated_triples, self_loops, warnings_about
from licap.errors import DataError
from licap.graph import KnowledgeGraph
from licap.sampling import sample_fold
from licap.splits import make_split, transform_labels


def count(report: str, what: str) -> str:
    found = re.search(rf"^  {what} +(.+)$", report, re.MULTILINE)
    assert found, report
    return found.group(1)


def test_counts_are_those_of_the_files(tsv: Any) -> None:
    tsv.triples += [tsv.triples[0], tsv.triples[0], "n005\trel1\tn005", "n005\trel1\tn005"]
    tsv.nodes.append("alone\t3\t0\t\t")
    report = inspect_dataset(tsv.write())
    assert count(report, "nodes") == "61"
    assert count(report, "edges") == "64"
    assert count(report, "relations") == "4"
    assert count(report, "labelled nodes") == "60 (98.4%)"
    assert count(report, "repeated triples") == "3"
    assert count(report, "self loops") == "2"
    assert count(report, "isolated nodes") == "1"
    assert "1 isolated nodes (0 of them labelled)" in report
    assert not (tsv.folder / "cache").exists()


def test_repeated_triples_and_self_loops_of_pickles_are_counted(pickles: Any) -> None:
    report = inspect_dataset(pickles.write())
    assert count(report, "repeated triples") == "1"
    assert count(report, "self loops") == "1"
    assert count(report, "struct") == "8 wide"
    assert "note: The format has no names: row numbers stand in" in report


def test_the_histogram_counts_every_label_once(tsv: Any) -> None:
    report = inspect_dataset(tsv.write())
    rows = re.findall(r"^ +[\d.]+ to +[\d.]+ +([\d,]+)(?:  (█*\S?))?$", report, re.MULTILINE)
    assert len(rows) == 10
    assert sum(int(number) for number, _ in rows) == 60
    widest = max(rows, key=lambda row: int(row[0]))
    assert widest[1] == "█" * 40


def scored(tsv: Any, scores: list[float]) -> str:
    """The report where the nodes have these importances."""
    tsv.nodes = [f"n{i:03}\t{score!r}\t1\t\t" for i, score in enumerate(scores)]
    return inspect_dataset(tsv.write())


def test_a_length_of_bins_is_suggested_that_divides_the_top_labels_into_five(tsv: Any) -> None:
    report = scored(tsv, [float(np.expm1(i / 10)) for i in range(60)])
    # The border is the label at place 6, counted from 0: seven nodes are on top.
    assert "bins: the labels of the top 10% go from 5.300 to 5.900\n" in report
    assert "  suggested: pretrain.bins.length=0.12 (the fullest of 5 holds 29% of them)" in report


def test_quantile_bins_are_suggested_where_one_label_towers_over_all(tsv: Any) -> None:
    tsv = dataclasses.replace(tsv, size=600)
    report = scored(tsv, [*(100.0 + i / 600 for i in range(599)), 1e9])
    assert "  suggested: pretrain.bins.kind=quantile (of bins of one length, 3.3, the fullest of 5 holds 98%" in report


def test_no_bins_are_suggested_where_the_top_labels_are_equal(tsv: Any) -> None:
    report = scored(tsv, [float(min(i, 40)) for i in range(60)])
    assert "bins: all labels of the top 10% are equal, so it cannot be divided" in report and "suggested" not in report


@pytest.mark.parametrize("zeros", [0.95, 0.985])
def test_where_most_scores_are_zero_an_imp_ratio_is_suggested_with_which_every_fold_trains(
    tsv: Any, zeros: float
) -> None:
    tsv = dataclasses.replace(tsv, size=1000)
    above = round(1000 * (1 - zeros))
    report = scored(tsv, [*np.zeros(1000 - above).tolist(), *(float(i) for i in range(1, above + 1))])
    found = re.search(r"Set pretrain\.imp_ratio=([\d.]+)", report)
    assert found and f"  suggested: pretrain.imp_ratio={found[1]} " in report
    assert f"{1000 - above} nodes have the label 0, at the border of the top bin" in report
    labels = transform_labels(load_raw(tsv.config()).importance)
    trains = [make_split(np.ones(1000, bool), fold=fold, seed=0).train for fold in range(5)]
    for fold in range(5):
        sample_fold(labels, trains[: fold + 1], PretrainConfig(imp_ratio=float(found[1])))
        with pytest.raises(DataError, match=r"the top bin holds all .* Lower pretrain\.imp_ratio"):
            sample_fold(labels, trains[: fold + 1], PretrainConfig())


def test_labels_that_no_ratio_divides_are_warned_of(tsv: Any) -> None:
    report = scored(tsv, [7.0, *[0.0] * 59])
    assert "bins: no pretrain.imp_ratio makes a top bin of these labels" in report
    assert "LICAP cannot pretrain. Set downstream.input to features" in report


def test_few_labels_are_warned_of_and_not_refused(tsv: Any) -> None:
    tsv.nodes = [line if i < 20 else line.replace("\t1\t", "\t0\t") for i, line in enumerate(tsv.nodes)]
    assert "warning: 20 labelled nodes: a trial needs at least 50" in inspect_dataset(tsv.write())


def test_a_data_set_without_labels_is_reported(tsv: Any) -> None:
    tsv.nodes = [line.replace("\t1\t", "\t0\t") for line in tsv.nodes]
    assert "labels: none" in inspect_dataset(tsv.write())


@pytest.mark.parametrize(("change", "warned"), [(True, True), (False, False)])
def test_constant_labels_are_warned_of(tsv: Any, change: bool, warned: bool) -> None:
    if change:
        tsv.nodes = [f"n{i:03}\t5\t1\t\t" for i in range(60)]
    assert ("all labels are equal" in inspect_dataset(tsv.write())) == warned


def test_constant_columns_and_empty_rows_are_warned_of(pickles: Any) -> None:
    pickles.graph["features"][:, [2, 5]] = 0.5
    pickles.semantic[7] = 0
    report = inspect_dataset(pickles.write())
    assert "struct features: 2 of 8 columns are constant (column 2, 5)" in report
    assert "semantic features: 1 nodes have nothing but zeros" in report


def test_files_of_ones_own_are_looked_at(tsv: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.ones((60, 3)))
    tsv.write()
    report = inspect_dataset(tsv.config(struct_file=str(tmp_path / "mine.npy")))
    assert count(report, "struct") == "3 wide"
    assert "3 of 3 columns are constant" in report


def test_a_large_clean_data_set_gives_no_warning() -> None:
    raw = load_raw(DataConfig())
    connected = dataclasses.replace(raw, graph=raw.graph.with_self_loops())
    assert [w for w in warnings_about(connected) if "isolated" not in w] == []


def test_the_generated_graph_is_reported_without_a_path() -> None:
    report = inspect_text(load_raw(DataConfig()))
    assert count(report, "nodes") == f"{DataConfig().synthetic.num_nodes:,}"
    assert "most frequent relations" in report


def test_counting_handles_graphs_of_nothing() -> None:
    empty = KnowledgeGraph.from_edges([], [], [], num_nodes=0, num_relations=0)
    assert (repeated_triples(empty), self_loops(empty), isolated_nodes(empty).size) == (0, 0, 0)


def test_a_loop_does_not_make_a_node_connected() -> None:
    graph = KnowledgeGraph.from_edges([0, 1], [0, 2], [0, 0], num_nodes=4, num_relations=1)
    assert isolated_nodes(graph).tolist() == [True, False, False, True]


@pytest.mark.data
def test_the_real_graph_is_reported(data_dir: Path) -> None:
    report = inspect_dataset(DataConfig(path=str(data_dir / "fb15k")))
    assert count(report, "nodes") == "14,951"
    assert count(report, "edges") == "381,186"
    assert count(report, "self loops") == "2,072"
    assert count(report, "labelled nodes").startswith("14,111")
    assert "suggested: pretrain.bins.length=1 " in report, "as published for FB15k"
