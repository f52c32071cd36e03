"""Stage 1 that need not be trained twice: what is kept of it, under which key, and how it is reported again.

One entry is the whole stage, all channels: its probes see the channels side by side, so no channel's reports exist
alone. An entry knows nothing of stage 2: trials that differ only there share it. Whoever keeps entries is handed in;
no files here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from licap.config import TrialConfig
from licap.datasets.dataset import Dataset
from licap.errors import DataError
from licap.ops import resolve_backend
from licap.pretrain import PretrainEpoch
from licap.signals import Look

_NUMBERS = len(fields(PretrainEpoch))


@dataclass
class History:
    """What stage 1 has reported so far: the numbers of each epoch, and the looks, the first at epoch 0."""

    probe_every: int
    epochs: list[PretrainEpoch] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    @property
    def look_is_due(self) -> bool:
        """Whether the next epoch is looked at."""
        return len(self.epochs) % self.probe_every == 0

    def metrics(self, epoch: int, seen: str) -> dict[str, float]:
        """A report's metrics; the latest look stands until the next. seen: `downstream.input`."""
        numbers, look = self.epochs[epoch], self.looks[epoch // self.probe_every]
        return {f"pretrain.{each.name}": getattr(numbers, each.name) for each in fields(numbers)} | look.reported(seen)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as float64 tensors and names: [epochs, numbers] and [looks, names]."""
        names = list(self.looks[0].values) if self.looks else []
        looks = [[look.values[name] for name in names] for look in self.looks]
        return {
            "probe_every": self.probe_every,
            "names": names,
            "epochs": torch.tensor([astuple(each) for each in self.epochs], dtype=torch.float64).reshape(-1, _NUMBERS),
            "looks": torch.tensor(looks, dtype=torch.float64).reshape(len(self.looks), len(names)),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> History:
        """What `state_dict` gave."""
        names = state["names"]
        return cls(
            state["probe_every"],
            [PretrainEpoch(*row) for row in state["epochs"].tolist()],
            [Look(dict(zip(names, row, strict=True))) for row in state["looks"].tolist()],
        )


@dataclass(frozen=True, eq=False)
class Stored:
    """A finished stage 1. embeddings: [N, D] of each channel, on the CPU. history: all that it reported."""

    embeddings: tuple[Tensor, ...]
    history: History

    @property
    def num_bytes(self) -> int:
        """Size of the embeddings; the rest is small beside them."""
        return sum(each.numel() * each.element_size() for each in self.embeddings)

    def fits(self, num_nodes: int, widths: Sequence[int], dtype: torch.dtype) -> bool:
        """Whether the embeddings have these sizes, one width a channel."""
        return [(*each.shape, each.dtype) for each in self.embeddings] == [(num_nodes, w, dtype) for w in widths]

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {"embeddings": list(self.embeddings), "history": self.history.state_dict()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Stored:
        """What `state_dict` gave, from a file that anybody may have written. Raises: DataError where it is not that."""
        try:
            embeddings, history = tuple(state["embeddings"]), History.from_state(state["history"])
            looks = -(-len(history.epochs) // history.probe_every)
            tensors = [*embeddings, state["history"]["epochs"], state["history"]["looks"]]
            whole = bool(history.epochs) and len(history.looks) == looks
            whole = whole and all(each.dim() == 2 and bool(torch.isfinite(each).all()) for each in tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise DataError(f"not a stored stage 1 ({type(error).__name__})") from None
        if not whole:
            raise DataError("not a whole stage 1")
        return cls(embeddings, history)


class EmbeddingStore(Protocol):
    """Keeps finished stages by key. Neither call may raise for what its own files or space do not allow."""

    def get(self, key: str) -> Stored | None:
        """The entry of a key, or None."""
        ...

    def put(self, key: str, stored: Stored) -> None:
        """Keeps an entry, if it can."""
        ...


class Replay:
    """A stored stage, reported again epoch by epoch; nothing is trained."""

    def __init__(self, stored: Stored, *, device: torch.device, epoch: int = 0) -> None:
        self.epoch = epoch
        self.history = stored.history
        self._stored, self._device = stored, device

    @property
    def finished(self) -> bool:
        """Whether all is reported."""
        return self.epoch >= len(self.history.epochs)

    @property
    def embeddings(self) -> list[Tensor] | None:
        """[N, D] of each channel; None before the end, because those of earlier epochs are not stored."""
        return [each.to(self._device) for each in self._stored.embeddings] if self.finished else None

    def step(self) -> None:
        """One epoch."""
        self.epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, the stored stage itself included: resuming needs no store."""
        return {"epoch": self.epoch, "stored": self._stored.state_dict()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, device: torch.device) -> Replay:
        """What `state_dict` gave. Raises: DataError where it is not that."""
        return cls(Stored.from_state(state["stored"]), device=device, epoch=state["epoch"])


def features_digest(dataset: Dataset, channels: Sequence[str]) -> str:
    """sha256 over names, shapes and bytes of a data set's features."""
    digest = hashlib.sha256()
    for channel in channels:
        array = np.ascontiguousarray(dataset.features[channel])
        digest.update(f"{channel} {array.shape} {array.dtype.str};".encode())
        digest.update(array.data)
    return digest.hexdigest()


def stage_key(config: TrialConfig, dataset: Dataset, device: torch.device) -> str:
    """64 hex digits that are equal where stage 1 gives the same bits.

    Covers the data, fold, seeds and metrics, all of `pretrain`, this program, and what the last digits depend on:
    precision, backend, threads, device, torch's version. Nothing of `downstream`. Threads are those that torch has now.
    """
    depends = {name: value for name, value in config.flat().items() if name.startswith("pretrain.")}
    num_edges = dataset.graph.num_edges + dataset.graph.num_nodes  # Encoders attend over loops, too.
    depends |= {
        "fingerprint": dataset.fingerprint,
        "features": features_digest(dataset, config.data.channels),
        "fold": config.fold,
        "split_seed": config.split_seed,
        "label_ties": config.label_ties,
        "seed": config.seed,
        "dtype": config.runtime.dtype,
        "backend": resolve_backend(config.runtime.backend, device, num_edges).name,
        "threads": torch.get_num_threads(),
        "device": _kind_of(device),
        "program": f"{_PROGRAM}, torch {torch.__version__}",
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode("ascii")).hexdigest()


def _source_digest() -> str:
    """sha256 over this package's source."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size};".encode() + path.read_bytes())
    return digest.hexdigest()


# Taken when the program starts: what another version of it trained, or wrote in another form, is not found again.
_PROGRAM = _source_digest()


def _kind_of(device: torch.device) -> str:
    # Kernels are chosen by these, and sums are taken in another order.
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"
