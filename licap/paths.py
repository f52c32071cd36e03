"""Paths as people write them: `~` and `~name` at the beginning are home folders; nothing else is expanded.

A shell expands `--root ~/x` and leaves `--root=~/x` as it is, and no shell sees a config: here both name one folder.
Expanded once, where the text is read; a folder whose own name begins with `~` is written `./~name`. Whatever is
relative is relative to the folder in which the command runs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from licap.spelling import quoted

# Of Linux and its file systems; Python asks them about longer names in vain.
_LONGEST_NAME, _LONGEST_PATH = 255, 4095


def expanded(text: str) -> str:
    """The path without `~` at its beginning.

    Raises: ValueError for nothing at all, for a name that no file can have, and for the home folder of a user who is
    not there.
    """
    if not text:
        raise ValueError("must be a path (got nothing)")
    longest = max(text.split("/"), key=lambda part: len(os.fsencode(part)))
    if len(os.fsencode(longest)) > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
        raise ValueError(
            f"must be a path whose parts have at most {_LONGEST_NAME} bytes, all together {_LONGEST_PATH} (got "
            f"{quoted(text)})"
        )
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
