"""What benchmarks share on the command line: numbers that make sense, backends, errors as sentences and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch

from benchmarks.reference import UNFUSED
from licap.console import exit_status
from licap.ops import BACKENDS, available_backends
from licap.trial import checked_device

_RECORDED = "-recorded"


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of a description, and tells defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str:
        told = action.default not in (None, False, argparse.SUPPRESS)
        return f"{action.help} (default: %(default)s)" if told else f"{action.help}"


def new_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Of `python -m benchmarks.NAME`."""
    return argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description, formatter_class=_Help)


def add_backends(parser: argparse.ArgumentParser) -> None:
    """`--device` and `--backends`, which `parsed` completes."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--backends", nargs="+", help="to be compared; default: all that run there, and unfused")


def parsed(parser: argparse.ArgumentParser, *, recorded: bool = False) -> argparse.Namespace:
    """The options, with the rivals that are compared; a backend that does not run on the device is refused.

    recorded: whether an epoch as a CUDA graph is a rival of its own.
    Raises: DeviceError for a device that is not there.
    """
    options = parser.parse_args()
    device = taken(options.device)
    there = [*available_backends(device.type), UNFUSED]
    if recorded and device.type == "cuda":
        there += [f"{name}{_RECORDED}" for name in there if name in BACKENDS and BACKENDS[name].recordable]
    options.backends = options.backends or there
    for name in options.backends:
        if name not in there:
            parser.error(f"--backends: {name} is not there on {device} (there are: {', '.join(there)})")
    return options


def taken(name: str) -> torch.device:
    """A device, which from now on is the one that this process waits for and whose memory it measures.

    Raises: DeviceError where it is not there.
    """
    device = checked_device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def runtime_of(options: argparse.Namespace, rival: str) -> dict[str, object]:
    """The part of a trial's config that a rival among `options.backends` stands for.

    For the unfused one it is half of it: `benchmarks.reference.standing_in` must hold while the trial runs.
    """
    return {
        "runtime.device": options.device,
        "runtime.backend": "torch" if rival == UNFUSED else rival.removesuffix(_RECORDED),
        "runtime.cuda_graphs": rival.endswith(_RECORDED),
    }


def run(main: Callable[[], None]) -> None:
    """Ends the process as `main` ends."""
    with exit_status() as status:
        main()
    sys.exit(status.code)
