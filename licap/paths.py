"""Paths as people write them: `~` and `~name` at the beginning are home folders; nothing else is expanded.

A shell expands `--root ~/x` and leaves `--root=~/x` as it is, and no shell sees a config: here both name one folder.
Expanded once, where the text is read; a folder whose own name begins with `~` is written `./~name`. Whatever is
relative is relative to the folder in which the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def expanded(text: str) -> str:
    """The path without `~` at its beginning. Raises: ValueError for the home folder of a user who is not there."""
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        home = text.partition("/")[0]
        raise ValueError(
            f"{home} is no home folder of this machine (got {text!r}). Write the path in full, or ./{text} for a "
            "folder of that name"
        ) from None


def path_option(text: str) -> Path:
    """The path that an option of a command line names, for argparse."""
    try:
        return Path(expanded(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}.") from None
