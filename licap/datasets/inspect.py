"""A look at a data set before anything is trained: counts, labels, degrees, relations, and what will hurt.

Computes no features: of these, only what came along or stands in files of one's own is looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.config import NUM_FOLDS, BinsConfig, DataConfig, PretrainConfig
from licap.datasets.features import given_features
from licap.datasets.fingerprint import fingerprint
from licap.datasets.lookalikes import look_alike_warnings
from licap.datasets.raw import RawGraph
from licap.datasets.registry import LEAST_LABELLED, load_raw
from licap.graph import KnowledgeGraph
from licap.sampling import finer_bins, fitting_imp_ratio, top_bin
from licap.splits import make_split, transform_labels

_BARS = 10
_BAR_WIDTH = 40
_TOP_RELATIONS = 8
_NAME_WIDTH = 60
# Below this, the top bin (a tenth of the training nodes) holds fewer than 35 nodes and metrics at 100 see all.
_FEW_LABELLED = 500
# From here on bins of one length hardly tell the top nodes apart.
_TOO_FULL = 0.9
# Labels that differ by less need more than three decimals.
_SMALL_SPREAD = 0.05
_EIGHTHS = " ▏▎▍▌▋▊▉"


def inspect_dataset(config: DataConfig) -> str:
    """The report on the data set that a config names. Raises: DataError."""
    raw = load_raw(config)
    return inspect_text(dataclasses.replace(raw, features=given_features(raw, config)))


def inspect_text(raw: RawGraph) -> str:
    """The report, as text of several paragraphs."""
    blocks = [_counts(raw), _labels(raw), list(_bins(raw)), _degrees(raw.graph), _relations(raw), _features(raw)]
    notes = [f"note: {note}" for note in raw.notes]
    warnings = [f"warning: {warning}" for warning in warnings_about(raw)]
    return "\n\n".join("\n".join(block) for block in [*blocks, notes, warnings] if block)


def repeated_triples(graph: KnowledgeGraph) -> int:
    """How many edges have an equal one before them."""
    order = np.lexsort((graph.dst, graph.rel, graph.src))
    same = np.ones(max(order.size - 1, 0), dtype=np.bool_)
    for ids in (graph.src, graph.dst, graph.rel):
        same &= np.diff(ids[order]) == 0
    return int(same.sum())


def self_loops(graph: KnowledgeGraph) -> int:
    """How many edges lead back to the node they come from."""
    return int((graph.src == graph.dst).sum())


def isolated_nodes(graph: KnowledgeGraph) -> NDArray[np.bool_]:
    """[N] whether no edge joins the node with another one."""
    others = graph.src != graph.dst
    isolated = np.ones(graph.num_nodes, dtype=np.bool_)
    isolated[graph.src[others]] = False
    isolated[graph.dst[others]] = False
    return isolated


def warnings_about(raw: RawGraph) -> Iterator[str]:
    """What will hurt, most harmful first; nothing where all is well."""
    labelled = int(raw.valid.sum())
    if labelled < LEAST_LABELLED:
        yield f"{labelled} labelled nodes: a trial needs at least {LEAST_LABELLED}"
    elif labelled < _FEW_LABELLED:
        yield f"only {labelled} labelled nodes: differences between trials will be mostly noise"
    labels = raw.importance[raw.valid]
    if labelled and (labels == labels[0]).all():
        yield "all labels are equal: there is nothing to rank"
    elif labelled >= LEAST_LABELLED:
        yield from _pretraining_warnings(transform_labels(labels))
    isolated = isolated_nodes(raw.graph)
    if isolated.any():
        yield (
            f"{isolated.sum():,} isolated nodes ({(isolated & raw.valid).sum():,} of them labelled): "
            "the graph says nothing about them"
        )
    yield from look_alike_warnings(raw, isolated)
    for name, features in raw.features.items():
        yield from _feature_warnings(name, features)


def _pretraining_warnings(labels: NDArray[np.float32]) -> Iterator[str]:
    config = PretrainConfig()
    fitting = _imp_ratio(labels, config)
    if fitting is None:
        yield (
            "too few distinct labels for a top bin and nodes below it: LICAP cannot pretrain. Set downstream.input to "
            "features"
        )
    elif fitting != config.imp_ratio:
        border, _ = top_bin(labels, config.imp_ratio)
        yield (
            f"{np.count_nonzero(labels == border):,} nodes have the label {border:g}, at the border of the top bin: "
            f"with pretrain.imp_ratio={config.imp_ratio:g} LICAP cannot pretrain. Set pretrain.imp_ratio={fitting:g}"
        )


def _feature_warnings(name: str, features: NDArray[np.float32]) -> Iterator[str]:
    constant = np.flatnonzero((features == features[:1]).all(axis=0))
    if constant.size:
        shown = ", ".join(map(str, constant[:5])) + (" …" if constant.size > 5 else "")
        yield f"{name} features: {constant.size} of {features.shape[1]} columns are constant (column {shown})"
    zero = int((features == 0).all(axis=1).sum())
    if zero:
        yield f"{name} features: {zero:,} nodes have nothing but zeros"


def _counts(raw: RawGraph) -> list[str]:
    graph, labelled = raw.graph, int(raw.valid.sum())
    rows = {
        "nodes": f"{graph.num_nodes:,}",
        "edges": f"{graph.num_edges:,}",
        "relations": f"{graph.num_relations:,}",
        "labelled nodes": f"{labelled:,} ({labelled / max(graph.num_nodes, 1):.1%})",
        "repeated triples": f"{repeated_triples(graph):,}",
        "self loops": f"{self_loops(graph):,}",
        "isolated nodes": f"{isolated_nodes(graph).sum():,}",
        "fingerprint": fingerprint(graph, names=raw.names, importance=raw.importance, valid=raw.valid),
    }
    return [raw.name, *(f"  {name:18}{value}" for name, value in rows.items())]


def _labels(raw: RawGraph) -> list[str]:
    labels = transform_labels(raw.importance[raw.valid]).astype(np.float64)
    if not labels.size:
        return ["labels: none"]
    shown = _spelling(labels)
    low, high, middle = shown(labels.min()), shown(labels.max()), shown(np.median(labels))
    counts, edges = np.histogram(labels, bins=_BARS)
    rows = [
        f"  {shown(low):>8} to {shown(high):>8}  {count:>8,}  {_bar(count / counts.max())}".rstrip()
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return [f"labels, log(1 + importance): {low} to {high}, median {middle}", *rows]


def _spelling(labels: NDArray[Any]) -> Callable[[Any], str]:
    """How to write labels: three decimals, or as many digits as tell small or near ones apart."""
    spread, largest = float(np.ptp(labels)), float(np.abs(labels).max())
    if spread >= _SMALL_SPREAD or spread == 0:
        return lambda label: f"{label:.3f}"
    digits = 3 + math.ceil(math.log10(largest / spread))
    return lambda label: f"{label:.{digits}g}"


def _bins(raw: RawGraph) -> Iterator[str]:
    """Which top bin the rule of training makes of the labels, all folds together, and which finer bins divide it."""
    labels = transform_labels(raw.importance[raw.valid])
    if labels.size < LEAST_LABELLED or labels.min() == labels.max():
        return
    config = PretrainConfig()
    imp_ratio = _imp_ratio(labels, config)
    if imp_ratio is None:
        distinct = np.unique(labels).size
        yield f"bins: no pretrain.imp_ratio makes a top bin of these labels, for {distinct} of them are distinct"
        return
    border, top = top_bin(labels, imp_ratio)
    shown = _spelling(labels)
    if top.max() == border:
        yield f"bins: all labels of the top {_percent(imp_ratio)} are equal, so it cannot be divided"
    else:
        yield f"bins: the labels of the top {_percent(imp_ratio)} go from {shown(border)} to {shown(top.max())}"
    if imp_ratio != config.imp_ratio:
        yield f"  suggested: pretrain.imp_ratio={imp_ratio:g} ({config.imp_ratio:g} leaves nothing to contrast)"
    if top.max() == border:
        return
    length = _rounded_up(float(top.max() - border) / config.bins.count)
    bin_of_top, _ = finer_bins(top - border, BinsConfig(kind="length", length=length))
    fullest = np.bincount(bin_of_top).max() / top.size
    share = f"the fullest of {config.bins.count} holds {fullest:.0%} of them"
    if fullest <= _TOO_FULL:
        yield f"  suggested: pretrain.bins.length={length:g} ({share})"
    else:
        yield f"  suggested: pretrain.bins.kind=quantile (of bins of one length, {length:g}, {share})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _imp_ratio(labels: NDArray[np.float32], config: PretrainConfig) -> float | None:
    """The config's imp_ratio where it fits all folds, else one that does."""
    everything = np.ones(labels.size, dtype=np.bool_)
    trains = [make_split(everything, fold=fold, seed=0).train for fold in range(NUM_FOLDS)]
    return fitting_imp_ratio(labels, trains, imp_ratio=config.imp_ratio, nontop_ratio=config.nontop_ratio)


def _rounded_up(value: float) -> float:
    """To two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit * (1 - 1e-6)) * unit:.2g}")


def _bar(share: float) -> str:
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _degrees(graph: KnowledgeGraph) -> list[str]:
    lines = [f"{'degrees':10}{'mean':>10}{'median':>10}{'90 %':>10}{'largest':>10}{'zero':>10}"]
    for name, degree in (("in", graph.in_degree), ("out", graph.out_degree)):
        middle, high = np.quantile(degree, [0.5, 0.9]) if degree.size else (0.0, 0.0)
        lines.append(
            f"  {name:8}{degree.mean() if degree.size else 0:>10.2f}{middle:>10.0f}{high:>10.0f}"
            f"{degree.max(initial=0):>10,}{(degree == 0).sum():>10,}"
        )
    return lines


def _relations(raw: RawGraph) -> list[str]:
    counts = np.bincount(raw.graph.rel, minlength=raw.graph.num_relations)
    unused = int((counts == 0).sum())
    shown = np.argsort(-counts, kind="stable")[:_TOP_RELATIONS]
    rows = [f"  {counts[index]:>10,}  {_shortened(raw.relation_names[index])}" for index in shown if counts[index]]
    return ["most frequent relations" + (f" ({unused:,} never occur)" if unused else ""), *rows]


def _shortened(name: str) -> str:
    """Long names keep their end, which tells Freebase relations apart."""
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _features(raw: RawGraph) -> list[str]:
    texts = "yes" if raw.descriptions is not None or raw.titles is not None else "no"
    missing = {"struct": "node2vec computes them", "semantic": f"made from texts (there are texts: {texts})"}
    rows = [
        f"  {name:10}{f'{raw.features[name].shape[1]} wide' if name in raw.features else f'not given: {how}'}"
        for name, how in missing.items()
    ]
    return ["features", *rows]
