"""What does an epoch of GENI and of RGTN cost, against the same model written edge by edge on DGL?

    python -m benchmarks.models [--data FOLDER] [--epochs 10] [--threads 2]

Both compute the same scores from the same parameters, which is checked first. They take turns epoch by epoch (forward,
loss, backward, step; published settings), so that a busy machine slows both alike. Prints medians and ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from benchmarks import graphs, output
from benchmarks.command import new_parser, positive, run
from benchmarks.measuring import WARM_UP, in_turns, settled, timed
from benchmarks.output import Bars, Column, Findings
from benchmarks.unfused import UnfusedGENI, UnfusedRGTN
from licap.config import config_from
from licap.datasets.dataset import Dataset
from licap.models import DownstreamModel, Setting, build_model
from licap.presets import preset_values
from licap.splits import transform_labels

UNFUSED: Mapping[str, type[UnfusedGENI] | type[UnfusedRGTN]] = {"geni": UnfusedGENI, "rgtn": UnfusedRGTN}
RIVALS = ("ours", "edge by edge")


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("models", __doc__)
    graphs.add_options(parser)
    parser.add_argument("--epochs", type=positive, default=10, help="measured epochs of each")
    parser.add_argument("--threads", type=positive, default=2, help="of the CPU")
    output.add_options(parser)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    dataset = graphs.dataset_of(options, "both")
    findings = Findings("models", options)
    columns = [
        Column("model", "model"),
        Column("ours_ms", "ours, ms", ".0f"),
        Column("unfused_ms", "unfused, ms", ".0f"),
        Column("ratio", "ratio", ".1f"),
    ]
    table = findings.table("models", columns)
    for name in UNFUSED:
        seconds = measure(name, dataset, options.epochs)
        ours, theirs = (1000 * seconds[rival] for rival in RIVALS)
        table.add(model=name, ours_ms=ours, unfused_ms=theirs, ratio=theirs / ours)
        findings.pictures.append(Bars(name, "ms an epoch", dict(zip(RIVALS, (ours, theirs), strict=True))))
    findings.write()


def measure(name: str, dataset: Dataset, epochs: int) -> dict[str, float]:
    """Seconds of an epoch, by rival."""
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
    turns = {}
    for rival, each in zip(RIVALS, (model, unfused), strict=True):
        adam = torch.optim.Adam(each.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        turns[rival] = partial(turn, adam, partial(each.training_loss, channels, labels, train))
    seconds = in_turns(turns, WARM_UP + epochs)
    return {rival: settled(seconds["epoch", rival]) for rival in RIVALS}


def turn(adam: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> dict[str, float]:
    """Seconds of forward, loss, backward and step."""

    def epoch() -> None:
        adam.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call]
        adam.step()

    return {"epoch": timed(epoch)[1]}


def check_equal(model: DownstreamModel, unfused: DownstreamModel, channels: list[Tensor]) -> None:
    """Raises: RuntimeError where the two models do not compute the same."""
    with torch.no_grad():
        scores = model.eval()(*channels)
        difference = ((scores - unfused.eval()(*channels)).abs().max() / scores.abs().max()).item()
    model.train(), unfused.train()
    if difference > 1e-4:
        raise RuntimeError(f"the unfused model gives other scores (off by {difference:.3g} of the largest)")


if __name__ == "__main__":
    run(main)
