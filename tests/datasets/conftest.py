"""Small data sets on disk, in either format."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from licap.config import DataConfig


@dataclass
class TsvFolder:
    """The lines of a data set of `size` labelled nodes on a ring; tests change them, then `write`."""

    folder: Path
    size: int = 60
    node_header: str = "node\timportance\tvalid\tname\tdescription"
    triple_header: str = "head\trelation\ttail"
    nodes: list[str] = field(default_factory=list)
    triples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = [
            f"n{i:03}\t{i * 3}\t1\tNode_{i}\tnode {i} of {'north' if i % 3 else 'south'}" for i in range(self.size)
        ]
        self.triples = [f"n{i:03}\trel{i % 4}\tn{(i * 7 + 1) % self.size:03}" for i in range(self.size)]

    def write(self, *, end: str = "\n", final_end: bool = True, bom: bool = False, zipped: bool = False) -> DataConfig:
        """Writes both files; returns the config that reads them."""
        self.folder.mkdir(exist_ok=True)
        for name, lines in (
            ("nodes", [self.node_header, *self.nodes]),
            ("triples", [self.triple_header, *self.triples]),
        ):
            content = (b"\xef\xbb\xbf" if bom else b"") + (end.join(lines) + end * final_end).encode()
            path = self.folder / f"{name}.tsv"
            if zipped:
                path.with_suffix(".tsv.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
        return self.config()

    def config(self, **values: Any) -> DataConfig:
        """A config for this folder, with a cache of its own."""
        return DataConfig(**{"path": str(self.folder), "cache": str(self.folder / "cache"), **values})


@pytest.fixture
def tsv(tmp_path: Path) -> TsvFolder:
    """A folder of TSV files, not written yet."""
    return TsvFolder(tmp_path / "ring")


@dataclass
class PickleFolder:
    """The content of a published data set; tests change it, then `write`."""

    folder: Path
    graph: dict[str, Any]
    semantic: Any
    names: Sequence[str] = ("fb15k_rel.pk", "fb_lang.pk")

    def write(self, dump: Callable[[Any], bytes] = pickle.dumps) -> DataConfig:
        """Writes both files (the second one unless it is None); returns the config that reads them."""
        self.folder.mkdir(exist_ok=True)
        for name, content in zip(self.names, (self.graph, self.semantic), strict=True):
            if content is not None:
                (self.folder / name).write_bytes(dump(content))
        return DataConfig(path=str(self.folder), cache=str(self.folder / "cache"))


def published_content(size: int = 60) -> Mapping[str, Any]:
    """A ring in the published form, with a repeated triple and a self loop."""
    src = torch.tensor([*range(size), 0, 5])
    dst = torch.tensor([*((i * 7 + 1) % size for i in range(size)), 1, 5])
    masks = torch.zeros(size, dtype=torch.int64)
    masks[3] = 1
    return {
        "edges": (src, dst),
        "edge_types": torch.tensor([*(i % 4 for i in range(size)), 0, 2]),
        "labels": torch.arange(size, dtype=torch.float32),
        "features": torch.from_numpy(np.random.default_rng(0).normal(size=(size, 8)).astype(np.float32)),
        "invalid_masks": masks,
    }


@pytest.fixture
def pickles(tmp_path: Path) -> PickleFolder:
    """A folder of published pickles, not written yet."""
    semantic = np.random.default_rng(1).normal(size=(60, 5))
    return PickleFolder(tmp_path / "published", dict(published_content()), semantic)
