"""A trial: both stages on one fold of one data set, as an iterator of reports with an exact state.

Knows not where it runs: no process, no files, no clock. Test labels are read by `evaluate("test")` and
`notes_on("test")` alone; the label tensor that the stages get holds NaN there.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from licap.config import RuntimeConfig, TrialConfig
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.downstream import STAGE as DOWNSTREAM
from licap.downstream import Best, Downstream, DownstreamStage, Fitting
from licap.encoding import (
    Channel,
    Encoding,
    assemble,
    input_widths,
    new_encoder,
    untrained_embeddings,
)
from licap.errors import ConfigError, DeviceError, DivergedError, LicapError, OutOfMemoryError, StoreError
from licap.joint import JointModel
from licap.label_scale import with_labels
from licap.metrics import evaluate
from licap.metrics import notes as metric_notes
from licap.models import FittedModel, Setting, build_model
from licap.models.base import ImportanceModule
from licap.ops import resolve_backend
from licap.pretrain import STAGE as PRETRAIN
from licap.pretrain import Contrast
from licap.reproducibility import Randomness, set_threads, stage_seed
from licap.sampling import HierarchicalSample, sample_fold
from licap.signals import Signals
from licap.spelling import shortened
from licap.splits import Split, make_split, transform_labels
from licap.stored import EmbeddingStore, Replay, Stored, features_digest, stage_key
from licap.training import check_finite, float64_array

SplitName = Literal["train", "val", "test"]
_STATE_FORMAT = 4
# Where data lie and how they got there: what they are is in the fingerprint and the features.
_NOT_IN_CHECKSUM = ("data.path", "data.cache", "data.struct_file", "data.semantic_file", "data.fingerprint")


@dataclass(frozen=True)
class Report:
    """What one epoch gave. stage: `pretrain` or `downstream`. epoch: in the stage, from 0.

    budget: epochs over both stages, from 1; stage 2 begins at pretrain.max_epochs + 1 in every trial. metrics: finite
    values by name.
    """

    stage: str
    epoch: int
    budget: int
    metrics: Mapping[str, float]


class Trial:
    """Iterate to train. Resuming from `state_dict` gives the same reports, bit for bit, on the same machine.

    store: where stage 1 is looked for before it is trained, and kept when it ends; its reports are then the same, bit
    for bit. A state can be resumed with or without it.
    Everything that config or data can have wrong is found on construction.
    Raises: ConfigError, DataError, DeviceError on construction; OutOfMemoryError at any time; DivergedError while
    iterating, and again at every further step: then the best parameters are those of the last finite best epoch.
    """

    def __init__(
        self, config: TrialConfig, *, dataset: Dataset | None = None, store: EmbeddingStore | None = None
    ) -> None:
        self.config = config
        self._store = store
        self._device = check_machine(config.runtime)
        self._dtype = {"float32": torch.float32, "float64": torch.float64}[config.runtime.dtype]
        set_threads(config.runtime.threads)
        data = dataset if dataset is not None else load_dataset(config.data)
        missing = [name for name in config.data.channels if name not in data.features]
        if missing:
            there = ", ".join(sorted(data.features))
            raise ConfigError(
                f"data.features: {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not among the features "
                f"of {data.name} ({there}). Choose one of them."
            )
        self._dataset = data
        self._labels = transform_labels(data.importance)
        self.split: Split = make_split(data.valid, fold=config.fold, seed=config.split_seed)
        self._graph = data.graph.with_self_loops()
        self._channels = [Channel(name, self._tensor(data.features[name])) for name in config.data.channels]
        self._stage1: Encoding | Replay | None = None
        self._embeddings: list[Tensor] | None = None
        self._downstream: DownstreamStage | None = None
        self._randomness = Randomness(stage_seed(config.seed, DOWNSTREAM))
        self._evaluate = partial(evaluate, label_ties=config.label_ties)
        self._diverged: DivergedError | None = None
        # Found out now, whatever stage it is for.
        self._contrast = self._sampled() if config.downstream.needs_pretraining else None
        if config.pretrains:
            with memory_in_words():
                stored = self._stored()
                self._stage1 = self._new_encoding() if stored is None else Replay(stored, device=self._device)

    def __iter__(self) -> Iterator[Report]:
        return self

    def __next__(self) -> Report:
        if self._diverged is not None:
            raise self._diverged.again()
        set_threads(self.config.runtime.threads)
        try:
            with memory_in_words():
                return self._advance()
        except DivergedError as error:
            # Not the error itself, which knows by its traceback of this trial, and would keep it.
            self._diverged = error.again()
            raise

    @property
    def finished(self) -> bool:
        """Whether both stages have ended."""
        return self._downstream is not None and self._downstream.finished

    @property
    def replays(self) -> bool:
        """Whether stage 1 is not trained but reported again, as the store had it; False once stage 2 has begun."""
        return isinstance(self._stage1, Replay)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know: of the data, and of the validation metrics so far."""
        if self._downstream is None or self._downstream.best is None:
            return self._dataset.notes
        return self._dataset.notes + self.notes_on("val") + self.training_notes

    @property
    def training_notes(self) -> tuple[str, ...]:
        """What must be known of how stage 2 has gone so far."""
        return () if self._downstream is None else self._downstream.notes

    def notes_on(self, split: SplitName) -> tuple[str, ...]:
        """What must be known of `evaluate` on a split. Raises: LicapError before there are best parameters."""
        nodes = self._nodes(split)
        return metric_notes(self._labels[nodes], self.predictions()[nodes], label_ties=self.config.label_ties)

    def predictions(self) -> NDArray[np.float64]:
        """[N] predicted log labels with the best parameters. Raises: LicapError before there are any."""
        return float64_array(self._best().scores)

    def embeddings(self) -> NDArray[np.float32] | NDArray[np.float64] | None:
        """[N, D] embeddings handed to stage 2, or what stage 1 would hand on now, channels side by side.

        None where there are none (yet), where they are trained jointly, or while a stored stage is reported again.
        """
        handed = self._embeddings
        if handed is None and self._stage1 is not None:
            handed = self._stage1.embeddings
        return None if handed is None else torch.cat(handed, dim=1).cpu().numpy()

    def evaluate(self, split: SplitName) -> dict[str, float]:
        """All metrics of the best parameters on a split. Raises: LicapError before there are any."""
        nodes = self._nodes(split)
        return self._evaluate(self._labels[nodes], self.predictions()[nodes])

    def _nodes(self, split: SplitName) -> NDArray[np.int64]:
        return {"train": self.split.train, "val": self.split.val, "test": self.split.test}[split]

    def state_dict(self) -> dict[str, Any]:
        """All that the next report depends on: tensors and plain values, loadable with weights_only."""
        stage1, downstream = self._stage1, self._downstream
        diverged = self._diverged
        return {
            "format": _STATE_FORMAT,
            "checksum": self._checksum,
            "randomness": self._randomness.state_dict(),
            "encoding": stage1.state_dict() if isinstance(stage1, Encoding) else None,
            "replay": stage1.state_dict() if isinstance(stage1, Replay) else None,
            "embeddings": self._embeddings,
            "downstream": None if downstream is None else downstream.state_dict(),
            "diverged": None if diverged is None else [diverged.stage, diverged.epoch, diverged.quantity],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises: StoreError for a state of another config, data set or version; the trial stays as it was.
        """
        if state.get("format") != _STATE_FORMAT or state.get("checksum") != self._checksum:
            raise StoreError(
                "the checkpoint belongs to another config, data set or version of the program. "
                "Give the config and data that wrote it, or start anew without --resume."
            )
        self._diverged = DivergedError(*state["diverged"]) if state["diverged"] else None
        handed = state["embeddings"]
        self._embeddings = None if handed is None else [each.to(self._device) for each in handed]
        self._downstream = None
        if state["downstream"] is not None:
            self._begin_downstream()
            _existing(self._downstream).load_state_dict(state["downstream"])
        elif state["encoding"] is not None:
            encoding = self._stage1 if isinstance(self._stage1, Encoding) else self._new_encoding()
            encoding.load_state_dict(state["encoding"])
            self._stage1 = encoding
        elif state["replay"] is not None:
            self._stage1 = Replay.from_state(state["replay"], device=self._device)
        self._randomness.load_state_dict(state["randomness"])

    def _advance(self) -> Report:
        if self._stage1 is not None and not self._stage1.finished:
            return self._pretrain(self._stage1)
        if self._downstream is None:
            self._hand_on()
            self._begin_downstream()
        stage = _existing(self._downstream)
        if stage.finished:
            raise StopIteration
        return self._train(stage)

    def _sampled(self) -> Contrast:
        sample = contrastive_sample(self.config, self._dataset)
        return Contrast.from_sample(sample, self.config.pretrain, device=self._device, dtype=self._dtype)

    def _new_encoding(self) -> Encoding:
        contrast = _existing(self._contrast)
        signals = Signals(self.config, self._features, self._known_labels(), self.split, contrast, self._graph)
        return Encoding(self.config, self._channels, contrast, self._graph, signals)

    def _stored(self) -> Stored | None:
        """What the store has of this trial's stage 1; what does not fit it is as good as nothing."""
        found = None if self._store is None else self._store.get(self._key)
        widths = [self.config.pretrain.width_of(channel.name) for channel in self._channels]
        return found if found is not None and found.fits(self._labels.size, widths, self._dtype) else None

    @cached_property
    def _key(self) -> str:
        return stage_key(self.config, self._dataset, self._device)

    @property
    def _features(self) -> list[Tensor]:
        return [channel.features for channel in self._channels]

    def _pretrain(self, stage: Encoding | Replay) -> Report:
        epoch = stage.epoch
        stage.step()
        if stage.finished and isinstance(stage, Encoding) and self._store is not None:
            embeddings = tuple(each.cpu() for each in _existing(stage.embeddings))
            self._store.put(self._key, Stored(embeddings, stage.history))
        return Report(PRETRAIN, epoch, epoch + 1, stage.history.metrics(epoch, self.config.downstream.input))

    def _hand_on(self) -> None:
        """Keeps the embeddings; encoders and optimisers are not needed any more."""
        if self._stage1 is not None:
            self._embeddings = self._stage1.embeddings
        elif self.config.downstream.sees_embeddings and not self.config.downstream.needs_pretraining:
            self._embeddings = untrained_embeddings(self.config, self._channels, self._graph)
            for channel, embeddings in zip(self._channels, self._embeddings, strict=True):
                check_finite(PRETRAIN, 0, {f"an untrained embedding ({channel.name})": embeddings})
        self._stage1 = None

    def _begin_downstream(self) -> None:
        own = self.config.downstream
        self._stage1 = None
        self._randomness = Randomness(stage_seed(self.config.seed, DOWNSTREAM))
        setting = Setting(
            graph=self._dataset.graph,
            widths=input_widths(self.config, self._channels),
            labelled=self._dataset.valid,
            backend=self.config.runtime.backend,
        )
        with self._randomness.active():
            model = build_model(own, setting)
        labels, train, val = self._known_labels(), self._ids(self.split.train), self._ids(self.split.val)
        if isinstance(model, FittedModel):
            (inputs,) = assemble(self._features, self._embeddings, own)
            self._downstream = Fitting(model, inputs, labels, train=train, val=val, evaluate=self._evaluate)
            return
        # Adam's moments and early stopping see the wrappers' parameters too.
        whole: ImportanceModule = with_labels(own.labels, model.to(self._device, self._dtype), labels, train)
        if self.config.pretrain.training == "joint":
            encoders = [new_encoder(self.config, channel, self._graph)[0] for channel in self._channels]
            whole, channels = JointModel(whole, encoders, _existing(self._contrast), own), self._features
        else:
            channels = assemble(self._features, self._embeddings, own)
        self._downstream = Downstream(
            whole,
            channels,
            labels,
            train=train,
            val=val,
            config=own,
            evaluate=self._evaluate,
            cuda_graphs=self.config.runtime.cuda_graphs,
        )

    def _known_labels(self) -> Tensor:
        known = np.full_like(self._labels, np.nan)
        for nodes in (self.split.train, self.split.val):
            known[nodes] = self._labels[nodes]
        return self._tensor(known)

    def _train(self, stage: Downstream) -> Report:
        epoch = stage.epoch
        with self._randomness.active():
            numbers = stage.step()
        metrics = {"downstream.loss": numbers.loss, "downstream.val_loss": numbers.val_loss}
        best = self._best().val_metrics
        budget = self.config.pretrain.max_epochs + 1 + epoch
        return Report(DOWNSTREAM, epoch, budget, metrics | {f"val.{name}": value for name, value in best.items()})

    def _best(self) -> Best:
        if self._downstream is None or self._downstream.best is None:
            raise LicapError("there are no predictions yet: no epoch of stage 2 has ended with finite values.")
        return self._downstream.best

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        with warnings.catch_warnings():
            # Arrays from shared memory are read-only; nothing here writes to them, so they need no copy.
            warnings.filterwarnings("ignore", message=".*not writable.*")
            tensor = torch.from_numpy(array)
        return tensor.to(self._device, self._dtype)

    def _ids(self, nodes: NDArray[np.int64]) -> Tensor:
        return torch.tensor(nodes, device=self._device)

    @cached_property
    def _checksum(self) -> str:
        config = {name: value for name, value in self.config.flat().items() if name not in _NOT_IN_CHECKSUM}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode("ascii"))
        digest.update(self._dataset.fingerprint.encode("utf-8"))
        digest.update(features_digest(self._dataset, self.config.data.channels).encode("ascii"))
        return digest.hexdigest()


def contrastive_sample(config: TrialConfig, dataset: Dataset) -> HierarchicalSample:
    """What pretraining contrasts on the config's fold.

    Raises: DataError where the labels leave nothing to contrast, or fewer top nodes than bins; names the key to change.
    """
    folds = [make_split(dataset.valid, fold=fold, seed=config.split_seed) for fold in range(config.fold + 1)]
    return sample_fold(transform_labels(dataset.importance), [fold.train for fold in folds], config.pretrain)


def check_machine(runtime: RuntimeConfig) -> torch.device:
    """The device that a trial will use. Raises: DeviceError where this machine lacks it, or the backend."""
    device = checked_device(runtime.device)
    backend = resolve_backend(runtime.backend, device, num_edges=0)
    if runtime.cuda_graphs and not (device.type == "cuda" and backend.recordable):
        raise DeviceError(
            f"runtime.cuda_graphs: epochs on {device} with backend {backend.name} cannot be recorded. "
            "Set runtime.device to cuda and runtime.backend to triton, or runtime.cuda_graphs to false."
        )
    return device


@contextmanager
def memory_in_words() -> Iterator[None]:
    """Raises: OutOfMemoryError in place of torch's and numpy's errors about memory that cannot be had."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On the CPU torch has no class for it.
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            "the trial needs more memory than the device has. Lower heads and widths (pretrain.heads, pretrain.hidden, "
            "pretrain.out_dim, downstream.geni.heads), give narrower features, or use another device."
        ) from None


def checked_device(name: str) -> torch.device:
    """The device of `runtime.device`. Raises: DeviceError where it is unknown, or not on this machine."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,4})?", name):
        raise DeviceError(f"runtime.device: unknown device {shortened(name)!r}. Give cpu, cuda or cuda:N.")
    kind, _, number = name.partition(":")
    if kind == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= there:
            raise DeviceError(f"runtime.device: {name} is not on this machine ({there} CUDA devices). Set it to cpu.")
    return torch.device(name)


def _existing(value: Any) -> Any:
    if value is None:
        raise RuntimeError("the trial is not in this stage")
    return value
