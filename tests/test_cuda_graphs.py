"""Epochs that a GPU replays are those that it would compute; what can be known of it without a GPU is tested too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from trial_cases import tiny_config, tiny_dataset

from licap.config import DownstreamConfig
from licap.cuda_graphs import CudaGraph
from licap.datasets.dataset import Dataset
from licap.errors import DeviceError
from licap.models import ENCODERS, MODELS, DownstreamModel
from licap.training import Learner
from licap.trial import Report, Trial

ON_GPU = {"runtime.device": "cuda", "runtime.backend": "triton", "runtime.dtype": "float64"}
TRAINED = sorted(name for name, model in MODELS.items() if issubclass(model, DownstreamModel))
gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_cuda(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test of what only a GPU does."""
    return gpu(needs_cuda(test))


@pytest.fixture
def dataset() -> Dataset:
    """The tiny data set with two channels."""
    data = tiny_dataset()
    return replace(data, features={**data.features, "semantic": data.features["struct"][:, ::-1].copy()})


def reports(dataset: Dataset, **changes: object) -> list[Report]:
    """Of a whole trial on the GPU."""
    return list(Trial(tiny_config(ON_GPU | changes), dataset=dataset))


def assert_same(found: list[Report], expected: list[Report]) -> None:
    """To rounding: some of torch's own sums on CUDA have no fixed order."""
    assert [each.budget for each in found] == [each.budget for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-9)


@on_cuda
@pytest.mark.parametrize("model", TRAINED)
def test_every_model_learns_the_same_from_a_recording(dataset: Dataset, model: str) -> None:
    features = "both" if DownstreamConfig(model=model).model_config.two_channels else "struct"
    own = {"downstream.model": model, "data.features": features}
    assert_same(reports(dataset, **own, **{"runtime.cuda_graphs": True}), reports(dataset, **own))


@on_cuda
@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_learns_the_same_from_a_recording(dataset: Dataset, encoder: str) -> None:
    for embeddings in ("last", "best"):
        own = {"pretrain.encoder": encoder, "pretrain.embeddings": embeddings}
        assert_same(reports(dataset, **own, **{"runtime.cuda_graphs": True}), reports(dataset, **own))


@on_cuda
@pytest.mark.parametrize(
    "own",
    [{"pretrain.training": "joint"}, {"downstream.labels": "bias"}, {"downstream.labels": "standardised"}],
    ids=lambda own: str(own),
)
def test_what_is_wrapped_around_a_model_is_recorded_too(dataset: Dataset, own: dict[str, object]) -> None:
    assert_same(reports(dataset, **own, **{"runtime.cuda_graphs": True}), reports(dataset, **own))


@on_cuda
def test_trials_after_each_other_do_not_disturb_each_other(dataset: Dataset) -> None:
    # torch hands out 32 streams in turn, and some of these trials get one that an earlier one had.
    expected = reports(dataset)
    for _ in range(15):
        assert_same(reports(dataset, **{"runtime.cuda_graphs": True}), expected)


@on_cuda
@pytest.mark.parametrize("epochs", [2, 5, 8, 12])
def test_a_trial_goes_on_where_it_was_left(dataset: Dataset, epochs: int) -> None:
    config = tiny_config({**ON_GPU, "runtime.cuda_graphs": True, "downstream.geni.dropout": 0.4})
    whole = list(Trial(config, dataset=dataset))
    first, second = Trial(config, dataset=dataset), Trial(config, dataset=dataset)
    begun = [next(first) for _ in range(epochs)]
    second.load_state_dict(first.state_dict())
    assert_same([*begun, *second], whole)
    # Into one that has recorded already.
    third = Trial(config, dataset=dataset)
    for _ in range(6):
        next(third)
    third.load_state_dict(first.state_dict())
    assert_same([*begun, *third], whole)


@on_cuda
def test_a_replay_leaves_what_earlier_ones_gave() -> None:
    counter = torch.zeros((), device="cuda")

    def count() -> dict[str, Tensor]:
        counter.add_(1)
        return {"count": counter * 1, "drawn": torch.rand((), device="cuda")}

    recorded = CudaGraph(count, torch.device("cuda"))
    torch.manual_seed(0)
    found = [recorded() for _ in range(8)]
    assert [each["count"].item() for each in found] == list(range(1, 9))
    torch.manual_seed(0)
    expected = [torch.rand((), device="cuda").item() for _ in range(8)]
    assert [each["drawn"].item() for each in found] == expected


def test_a_step_and_a_state_leave_parameters_where_a_recording_reads_them() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    inputs = torch.randn(10, 3)
    learner = Learner(module, lambda: {"loss": module(inputs).square().mean()}, lr=0.1, weight_decay=0.1, clip_norm=1.0)

    def places() -> list[int]:
        return [each.data_ptr() for each in (*module.parameters(), *module.buffers())]

    before, values = places(), learner.parameters()
    learner.gradients()
    learner.update()
    state = learner.state_dict()
    learner.gradients()
    learner.update()
    learner.load_state_dict(state)
    assert places() == before
    assert not torch.equal(values["0.weight"], learner.parameters()["0.weight"])


@pytest.mark.parametrize(
    "changes", [{}, {"runtime.backend": "torch"}, {"runtime.backend": "numba"}], ids=lambda changes: str(changes)
)
def test_what_cannot_be_recorded_is_refused(dataset: Dataset, changes: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match=r"runtime\.cuda_graphs: .*runtime\.device to cuda and runtime\.backend to"):
        Trial(tiny_config({**changes, "runtime.cuda_graphs": True}), dataset=dataset)
