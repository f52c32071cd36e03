"""What does an epoch of GENI and of RGTN cost, against the same model written edge by edge on DGL?

    python -m benchmarks.models [--data FOLDER] [--epochs 10] [--threads 2]

Both compute the same scores from the same parameters, which is checked first. They take turns epoch by epoch (forward,
loss, backward, step; published settings), so that a busy machine slows both alike. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from benchmarks.unfused import UnfusedGENI, UnfusedRGTN
from licap.config import config_from
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.models import DownstreamModel, Setting, build_model
from licap.presets import preset_values
from licap.splits import transform_labels

WARM_UP = 2
UNFUSED: Mapping[str, type[UnfusedGENI] | type[UnfusedRGTN]] = {"geni": UnfusedGENI, "rgtn": UnfusedRGTN}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--data", help="folder of the data set; without it, the synthetic graph")
    parser.add_argument("--epochs", type=int, default=10, help="measured epochs of each")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    data = {} if options.data is None else {"data.path": options.data}
    dataset = load_dataset(config_from({"data.features": "both", **data}).data)
    sys.stdout.write(f"{'model':8}{'ours, ms':>10}{'unfused, ms':>14}{'ratio':>8}\n")
    for name in UNFUSED:
        ours, theirs = (1000 * statistics.median(times[WARM_UP:]) for times in measure(name, dataset, options.epochs))
        sys.stdout.write(f"{name:8}{ours:10.0f}{theirs:14.0f}{theirs / ours:8.1f}\n")


def measure(name: str, dataset: Dataset, epochs: int) -> tuple[list[float], list[float]]:
    """Seconds of each epoch: ours, unfused."""
    config = config_from(preset_values("published", name)).downstream
    channels = [torch.from_numpy(dataset.features[channel]) for channel in ("struct", "semantic")]
    if not config.model_config.two_channels:
        channels = channels[:1]
    setting = Setting(
        graph=dataset.graph,
        widths=tuple(channel.shape[1] for channel in channels),
        labelled=dataset.valid,
        backend="auto",
    )
    model, unfused = build_model(config, setting), UNFUSED[name].build(config, setting)
    assert isinstance(model, DownstreamModel)
    unfused.load_state_dict(model.state_dict())
    check_equal(model, unfused, channels)
    labels = torch.from_numpy(transform_labels(dataset.importance))
    train = torch.from_numpy(dataset.valid.nonzero()[0])
    rivals = [
        (each, torch.optim.Adam(each.parameters(), lr=config.lr, weight_decay=config.weight_decay))
        for each in (model, unfused)
    ]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(epochs + WARM_UP):
        for times, (rival, adam) in zip(seconds, rivals, strict=True):
            times.append(epoch(adam, partial(rival.training_loss, channels, labels, train)))
    return seconds


def epoch(adam: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> float:
    """Seconds of forward, loss, backward and step."""
    began = time.perf_counter()
    adam.zero_grad(set_to_none=True)
    loss().backward()
    adam.step()
    return time.perf_counter() - began


def check_equal(model: DownstreamModel, unfused: DownstreamModel, channels: list[Tensor]) -> None:
    """Raises: RuntimeError where the two models do not compute the same."""
    with torch.no_grad():
        scores = model.eval()(*channels)
        difference = ((scores - unfused.eval()(*channels)).abs().max() / scores.abs().max()).item()
    model.train(), unfused.train()
    if difference > 1e-4:
        raise RuntimeError(f"the unfused model gives other scores (off by {difference:.3g} of the largest)")


if __name__ == "__main__":
    main()
