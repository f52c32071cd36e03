"""The folder that a run writes to: its name where none is given, and what of an earlier run may be replaced there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from licap.checkpoint import content_hash
from licap.config import TrialConfig, config_from
from licap.errors import ConfigError, StoreError
from licap.fields import flatten, parse_all
from licap.portable import absolute, active_values
from licap.spelling import quoted
from licap.yaml_file import read_yaml

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.json", "checkpoint.pt"
PREDICTIONS, EMBEDDINGS = "predictions.csv", "embeddings.npy"
_MOST_SHOWN = 3
_FINGERPRINT = "data.fingerprint"
# What makes no other run of a config: data are compared by themselves, and a cache of features changes no result.
_NO_PART = frozenset({_FINGERPRINT, "data.cache"})
_REMEDY = "Give another --out, or delete it."


def run_folder(root: Path, config: TrialConfig, folds: Sequence[int]) -> Path:
    """Where the results of a config lie: a name that people can read, told apart by the hash at its end.

    `synthetic_geni_features+embeddings_fold0_3f2a9c1e`
    """
    data = Path(config.data.path).absolute().name if config.data.path else "synthetic"
    fold = "fold" + "-".join(map(str, folds))
    words = [data.lstrip(".") or "data", config.downstream.model, config.downstream.input, fold]
    return root / "_".join(map(_word, [*words, content_hash(config)[:8]]))


def _word(text: str) -> str:
    # What file systems and shells take without quotes; a folder's name may hold anything.
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text)[:40]


def replaced_results(folder: Path, config: TrialConfig) -> str | None:
    """What a run of this config would replace in a folder, in words; None for nothing.

    Raises: StoreError where the folder holds results of another config, or files of nobody knows what.
    """
    if not (folder / CONFIG).exists():
        names = [name for name in (METRICS, CHECKPOINT, PREDICTIONS, EMBEDDINGS) if (folder / name).exists()]
        if names:
            raise StoreError(f"{folder / names[0]}: is not replaced, for no {CONFIG} says what it came from. {_REMEDY}")
        return None
    difference = _difference(folder / CONFIG, config)
    if difference is not None:
        raise StoreError(f"{folder}: holds results of another config, which are not replaced ({difference}). {_REMEDY}")
    if (folder / METRICS).exists():
        return "the results of the same config"
    return "what a run of the same config left that did not come to its end (--resume goes on with it instead)"


def refuse_other_data(folder: Path, identity: str) -> None:
    """Raises: StoreError where the folder holds results of other data. identity: of the data set to be run on."""
    if (folder / CONFIG).exists():
        there = flatten(read_yaml(folder / CONFIG).data).get(_FINGERPRINT)
        if there is not None and there != identity:
            raise StoreError(f"{folder}: holds results of other data, which are not replaced. {_REMEDY}")


def _difference(path: Path, config: TrialConfig) -> str | None:
    """How the config in a folder differs from the one to be run in what acts, in words; None where it is that one."""
    try:
        there, _ = parse_all(TrialConfig, flatten(read_yaml(path).data))
    except ConfigError:
        return f"{path.name} cannot be read"
    try:
        values = config_from(there).flat()
    except ConfigError:
        return f"{path.name} was not written by this version"
    here = active_values(config)
    parts = [
        f"{name} is {quoted(values[name])} there, {quoted(value)} here"
        for name, value in here.items()
        if name in there and absolute(name, values[name]) != absolute(name, value) and name not in _NO_PART
    ]
    if parts:
        more = len(parts) - _MOST_SHOWN
        return "; ".join(parts[:_MOST_SHOWN]) + (f"; {more} more" if more > 0 else "")
    # Written by hand, or by another version: what it leaves out may have been something else. What features are
    # computed by is left out where the data set brings them.
    left_out = [name for name in here if name not in there and not name.startswith(("data.node2vec.", "data.text."))]
    return f"{path.name} was not written by this version" if set(left_out) - _NO_PART else None
