"""What holds for every encoder and every downstream model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import licap.models
from licap.config import DownstreamConfig, PretrainConfig, config_from
from licap.errors import DivergedError
from licap.fields import specs_of
from licap.graph import KnowledgeGraph
from licap.model_configs import MODEL_NAMES
from licap.models import (
    ENCODERS,
    MODELS,
    DownstreamModel,
    FittedModel,
    Setting,
    build_encoder,
    build_model,
)
from licap.ops import BACKENDS, triton_launch
from licap.presets import PRESETS
from licap.pretrain import Contrast

NOT_MODELS = {"__init__", "base", "dropout"}
IN_DIM = 5
# Node 3 has no incoming edge before loops are added, node 4 no edge at all; a loop and parallel edges are there.
GRAPH = KnowledgeGraph.from_edges(
    [0, 0, 0, 1, 2, 2, 3, 1], [1, 1, 1, 2, 0, 2, 0, 0], [0, 0, 1, 2, 1, 0, 2, 2], num_nodes=5, num_relations=3
)
TRAINED = sorted(name for name, cls in MODELS.items() if issubclass(cls, DownstreamModel))
FITTED = sorted(name for name, cls in MODELS.items() if issubclass(cls, FittedModel))
MODULES = [("encoder", name) for name in sorted(ENCODERS)] + [("model", name) for name in TRAINED]
LABELS = torch.tensor([1.0, 3.0, 2.0, 0.5, 1.5], dtype=torch.float64)
TRAIN = torch.tensor([0, 1, 2, 4])


def num_channels(name: str) -> int:
    """How many inputs a model takes."""
    return 2 if DownstreamConfig(model=name).model_config.two_channels else 1


def make_setting(graph: KnowledgeGraph = GRAPH, widths: Sequence[int] = (IN_DIM,), backend: str = "auto") -> Setting:
    """What models are built for; node 3 has no label."""
    return Setting(graph=graph, widths=tuple(widths), labelled=np.arange(5) != 3, backend=backend)


def make(kind: str, name: str, graph: KnowledgeGraph = GRAPH, seed: int = 0, backend: str = "auto") -> nn.Module:
    """A registered encoder or trained model with its default config, in float64."""
    torch.manual_seed(seed)
    if kind == "encoder":
        return build_encoder(PretrainConfig(encoder=name), IN_DIM, 4, graph.with_self_loops(), backend).double()
    widths = [IN_DIM + place for place in range(num_channels(name))]
    return build_model(DownstreamConfig(model=name), make_setting(graph, widths, backend)).double()


def make_inputs(width: int = IN_DIM) -> Tensor:
    """Random features."""
    return torch.randn(5, width, dtype=torch.float64, generator=torch.Generator().manual_seed(width))


def contrast() -> Contrast:
    """Two top nodes in two bins, and three others."""
    return Contrast(
        top=torch.tensor([0, 1]),
        nontop=torch.tensor([2, 3, 4]),
        column_of_top=torch.tensor([0, 1]),
        closeness_of_top=torch.ones(2, 2, dtype=torch.float64),
        temperature=1.0,
        eta1=1.0,
        eta2=1.0,
    )


class Epoch(nn.Module):
    """What an epoch computes of an encoder or a model: what is lowered, and what comes out without dropout."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("labels", LABELS)
        self.register_buffer("train_nodes", TRAIN)

    def forward(self, channels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """channels: each [N, width]."""
        if isinstance(self.module.train(), DownstreamModel):
            loss = self.module.training_loss(channels, self.labels, self.train_nodes)
        else:
            loss = contrast().losses(self.module(*channels)).total
        return loss, self.module.eval()(*channels)


@pytest.fixture(params=MODULES, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each registered encoder and trained model."""
    return request.param


@pytest.fixture
def build(kind: tuple[str, str]) -> Callable[..., nn.Module]:
    """Builds it."""
    return lambda **options: make(*kind, **options)


@pytest.fixture
def inputs(kind: tuple[str, str]) -> list[Tensor]:
    """What it takes."""
    count = 1 if kind[0] == "encoder" else num_channels(kind[1])
    return [make_inputs(IN_DIM + place) for place in range(count)]


def test_a_row_a_node_comes_out(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    out = build()(*inputs)
    assert out.shape[0] == GRAPH.num_nodes
    assert out.shape[1:] in ((), (4,))
    assert torch.isfinite(out).all()


def test_one_seed_gives_one_model(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    first, again, other = (build(seed=seed).eval()(*inputs) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_are_those_of_the_forward_pass(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    module = build().eval()
    names, values = zip(*module.named_parameters(), strict=True)

    def run(*tensors: Tensor) -> Tensor:
        given, parameters = tensors[: len(inputs)], tensors[len(inputs) :]
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), tuple(given))

    tensors = [each.detach().requires_grad_() for each in (*inputs, *values)]
    assert torch.autograd.gradcheck(run, tensors, atol=1e-5)


def unmoved_parameters(module: nn.Module) -> set[str]:
    """Parameters that hold nothing, or whose gradient is zero: a step would leave them as they are."""
    return {
        name for name, value in module.named_parameters() if value.grad is None or not (value.grad.abs() > 1e-12).any()
    }


def test_every_parameter_learns(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    def unmoved(seed: int) -> set[str]:
        # With running statistics: those of the batch take a constant out again, and its gradient is rounding.
        module = build(seed=seed).eval()
        if isinstance(module, DownstreamModel):
            module.training_loss(inputs, LABELS, TRAIN).backward()
        else:
            module(*inputs).square().sum().backward()
        return unmoved_parameters(module)

    # A ReLU can be dead at one seed, on five nodes.
    assert set.intersection(*(unmoved(seed) for seed in range(4))) == set()


def test_a_state_moves_to_another_instance(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    module, other = build(seed=0), build(seed=1).eval()
    # A pass in training, so that running statistics differ from their start.
    module.train()(*inputs)
    other.load_state_dict(module.state_dict())
    assert torch.equal(module.eval()(*inputs), other(*inputs))


def test_nodes_without_incoming_edges_and_empty_graphs_are_no_trouble(
    build: Callable[..., nn.Module], inputs: list[Tensor]
) -> None:
    empty = KnowledgeGraph.from_edges([], [], [], num_nodes=5, num_relations=3)
    for graph in (GRAPH, empty):
        for module in (build(graph=graph).eval(), build(graph=graph).train()):
            assert torch.isfinite(module(*inputs)).all()


def test_a_nodes_number_does_not_matter(build: Callable[..., nn.Module], inputs: list[Tensor]) -> None:
    order = np.array([3, 0, 4, 1, 2])
    renamed = KnowledgeGraph.from_edges(order[GRAPH.src], order[GRAPH.dst], GRAPH.rel, num_nodes=5, num_relations=3)
    moved = [torch.empty_like(each) for each in inputs]
    for place, each in zip(moved, inputs, strict=True):
        place[torch.from_numpy(order)] = each
    expected = build().eval()(*inputs)
    torch.testing.assert_close(build(graph=renamed).eval()(*moved)[torch.from_numpy(order)], expected)


@pytest.mark.parametrize("backend", [name for name, each in BACKENDS.items() if each.recordable])
def test_an_epoch_needs_to_know_no_value(
    build: Callable[..., nn.Module], inputs: list[Tensor], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A GPU would have to be waited for, which a CUDA graph refuses. torch's pretended tensors have shapes and no
    # values, so that what asks for a value fails. Only launches of kernels are left out, which need the device.
    if not BACKENDS[backend].installed():
        pytest.skip(f"needs {backend}")
    monkeypatch.setattr(triton_launch, "_run", lambda *given, **meta: None)
    monkeypatch.setitem(BACKENDS, backend, replace(BACKENDS[backend], device_types=()))
    # A graph of its own, as what is kept per graph is pretended too.
    module = Epoch(build(graph=replace(GRAPH), backend=backend))
    with FakeTensorMode() as pretended:
        state = {
            name: pretended.from_tensor(value) for name, value in (*module.named_parameters(), *module.named_buffers())
        }
        channels = [pretended.from_tensor(each) for each in inputs]
        loss, scores = torch.func.functional_call(module, state, (channels,))
        gradients = torch.autograd.grad(loss, [value for value in state.values() if value.requires_grad])
        assert scores.shape[0] == GRAPH.num_nodes and len(gradients) == len(list(module.parameters()))
        with pytest.raises(DataDependentOutputException):
            loss.item()


@pytest.mark.parametrize("name", TRAINED)
def test_training_lowers_a_models_loss(name: str) -> None:
    model = make("model", name)
    channels = [make_inputs(IN_DIM + place) for place in range(num_channels(name))]
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        adam.zero_grad()
        torch.manual_seed(1)
        loss = model.training_loss(channels, LABELS, TRAIN)
        loss.backward()
        losses.append(loss.item())
        adam.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_model_scores_every_node_the_same_each_time(name: str) -> None:
    hidden = LABELS.clone()
    hidden[3] = float("nan")

    def scores() -> Tensor:
        torch.manual_seed(0)
        model = build_model(DownstreamConfig(model=name, input="features"), make_setting())
        return model.fit_predict(make_inputs(), hidden, TRAIN)

    first = scores()
    assert first.shape == (5,) and first.dtype == torch.float64
    assert torch.isfinite(first).all()
    assert torch.equal(first, scores())


@pytest.mark.parametrize("name", FITTED)
def test_configs_say_which_fitted_models_look_at_their_input(name: str) -> None:
    def scores(inputs: Tensor) -> Tensor:
        torch.manual_seed(0)
        return build_model(DownstreamConfig(model=name, input="features"), make_setting()).fit_predict(
            inputs, LABELS, TRAIN
        )

    sees = DownstreamConfig(model=name, input="features").model_config.sees_inputs
    assert sees != torch.equal(scores(make_inputs()), scores(make_inputs() * torch.tensor([3.0, 1, 1, -2, 1])[:, None]))


def test_no_model_file_escapes_the_registries() -> None:
    files = {path.stem for path in Path(licap.models.__file__).parent.glob("*.py")} - NOT_MODELS
    registered = [*ENCODERS.values(), *MODELS.values()]
    assert files == {cls.__module__.rpartition(".")[2] for cls in registered}


def test_configs_name_exactly_what_is_registered() -> None:
    assert set(specs_of(PretrainConfig)["encoder"].choices) == set(ENCODERS)
    assert set(MODEL_NAMES) == set(MODELS) == set(TRAINED) | set(FITTED)
    for name in MODELS:
        assert DownstreamConfig(model=name, input="features").model_config.trained == (name in TRAINED)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_has_preset_docstring_and_a_place_in_the_docs(name: str, repository: Path) -> None:
    for by_model in PRESETS.values():
        assert config_from(by_model[name]).downstream.model == name
    module = __import__(MODELS[name].__module__, fromlist=["__doc__"])
    assert MODELS[name].__doc__ and module.__doc__
    assert f"`{name}`" in (repository / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["linear_regression", "mlp", "random_forest"])
def test_a_regressor_whose_numbers_grow_too_large_diverges(name: str) -> None:
    model = build_model(DownstreamConfig(model=name, input="features"), make_setting())
    inputs = make_inputs()
    inputs[1] = torch.inf
    with pytest.raises(DivergedError, match="not finite"):
        model.fit_predict(inputs, LABELS, TRAIN)
