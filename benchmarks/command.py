"""What every benchmark's command line shares: numbers that make sense, and errors as sentences with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from licap.console import exit_status


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def run(main: Callable[[], None]) -> None:
    """Ends the process as `main` ends."""
    with exit_status() as status:
        main()
    sys.exit(status.code)
