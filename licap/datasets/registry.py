"""All kinds of data sets by name, and the way from a config to a complete data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from licap.config import DataConfig
from licap.datasets import published, synthetic, tsv
from licap.datasets.dataset import Dataset
from licap.datasets.features import complete_features, given_features
from licap.datasets.fingerprint import features_fingerprint, fingerprint
from licap.datasets.raw import RawGraph
from licap.errors import DataError

# Five folds of 20 % test, 10 % validation: with fewer, a validation set is a handful of nodes.
LEAST_LABELLED = 50


@dataclass(frozen=True)
class Source:
    """A kind of data set. files: what its folder holds, in words. recognises: whether a folder looks like it."""

    files: str
    load: Callable[[DataConfig], RawGraph]
    recognises: Callable[[Path], bool]


DATASETS: Mapping[str, Source] = {
    "tsv": Source("triples.tsv and nodes.tsv (or .gz)", tsv.load_tsv, tsv.recognises),
    "published": Source("NAME_rel.pk and NAME_lang.pk", published.load_published, published.recognises),
    "synthetic": Source("nothing", lambda config: synthetic.generate(config.synthetic), lambda _: False),
}


def load_dataset(config: DataConfig, *, progress: Callable[[str], None] = lambda _: None) -> Dataset:
    """Graph, scores, names and the features that `config.features` asks for, checked.

    progress: hears about long computations. Raises: DataError naming file, place and remedy; StoreError where
    computed features cannot be kept.
    """
    raw = load_raw(config)
    labelled = _check(raw, config.path or raw.name)
    given = given_features(raw, config, config.parts)
    brought = features_fingerprint(given)
    known = check_fingerprint(raw, brought, config)
    features = complete_features(raw, config, given, progress=progress)
    return completed(raw, features, fingerprint=known, given=tuple(given), brought=brought, notes=raw.notes + labelled)


def check_fingerprint(raw: RawGraph, brought: str, config: DataConfig) -> str:
    """The fingerprint of graph and scores. brought: of the features that need no computing.

    Raises: DataError where the config names other data, or other features.
    """
    known = fingerprint(raw.graph, names=raw.names, importance=raw.importance, valid=raw.valid)
    if config.fingerprint is None:
        return known
    wanted, _, wanted_features = config.fingerprint.partition("+")
    what = f"graph or scores (fingerprint {known[:16]}, not {wanted[:16]})" if wanted != known else ""
    if not what and wanted_features and wanted_features != brought:
        what = f"features (fingerprint {brought[:16] or 'none'}, not {wanted_features[:16]})"
    if what:
        raise DataError(
            f"{config.path or raw.name}: has other {what} than the config was made for. Set data.path to the data that "
            "are meant; if it is these, run with --other-data, or set data.fingerprint to null."
        )
    return known


def completed(
    raw: RawGraph,
    features: Mapping[str, NDArray[np.float32]],
    *,
    fingerprint: str,
    given: tuple[str, ...] = (),
    brought: str = "",
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A data set of what its source gave, and its features.

    given: names of those of them that were not computed. brought: their fingerprint.
    """
    return Dataset(
        name=raw.name,
        graph=raw.graph,
        importance=raw.importance,
        valid=raw.valid,
        names=raw.names,
        features=features,
        fingerprint=fingerprint,
        titles=raw.titles,
        notes=notes,
        given=given,
        features_fingerprint=brought,
    )


def load_raw(config: DataConfig) -> RawGraph:
    """The data set as its source gives it, before features are completed. Raises: DataError."""
    return DATASETS[_kind(config)].load(config)


def _kind(config: DataConfig) -> str:
    if config.path is None:
        return "synthetic"
    path = Path(config.path)
    if not path.exists():
        raise DataError(f"{path}: no such folder. Check data.path.")
    if config.dataset != "auto":
        return config.dataset
    found = [name for name, source in DATASETS.items() if source.recognises(path)]
    if len(found) > 1:
        raise DataError(f"{path}: looks like {' and like '.join(found)}. Set data.dataset to the one you mean.")
    if not found:
        if path.is_file():
            raise DataError(f"{path}: is a file. Set data.path to the folder that holds it.")
        known = "; ".join(f"{name}: {source.files}" for name, source in DATASETS.items() if name != "synthetic")
        raise DataError(f"{path}: holds no data set that is known here ({known}). Check data.path.")
    return found[0]


def _check(raw: RawGraph, place: str) -> tuple[str, ...]:
    """What makes training impossible, as errors; what makes it pointless, as notes."""
    if raw.graph.num_edges == 0:
        raise DataError(f"{place}: the graph has no edges. Give at least one.")
    labels = raw.importance[raw.valid]
    if labels.size < LEAST_LABELLED:
        raise DataError(
            f"{place}: {labels.size} labelled nodes, at least {LEAST_LABELLED} are needed for five folds. "
            "Give scores for more nodes."
        )
    if not (np.isfinite(labels).all() and (labels >= 0).all()):
        raise DataError(f"{place}: importance must be finite and 0 or more. Mark the other nodes as invalid.")
    if (labels == labels[0]).all():
        return (f"All {labels.size} labelled nodes have importance {labels[0]:g}: there is nothing to rank.",)
    return ()
