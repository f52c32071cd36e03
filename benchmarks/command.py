"""What benchmarks share on the command line: numbers that make sense, backends, errors as sentences and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from licap.console import exit_status
from licap.ops import available_backends


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def add_backends(parser: argparse.ArgumentParser, *others: str) -> None:
    """`--backends`: those of this machine. others: what else may be compared with them."""
    names = [*available_backends(), *others]
    parser.add_argument("--backends", nargs="+", default=names, choices=names)


def run(main: Callable[[], None]) -> None:
    """Ends the process as `main` ends."""
    with exit_status() as status:
        main()
    sys.exit(status.code)
