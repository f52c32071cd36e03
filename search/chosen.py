"""The study that a command is about: its two options, and what they stand for. Shared by the doors that read one."""

from __future__ import annotations

import argparse

from licap.paths import path_option
from search.space import SearchSpace
from search.study import DEFAULT_ROOT, Study


def add_study(parser: argparse.ArgumentParser) -> None:
    """Adds STUDY and --root."""
    parser.add_argument("study", nargs="?", metavar="STUDY", help="name of the study; default: the latest")
    parser.add_argument("--root", type=path_option, default=DEFAULT_ROOT, metavar="DIR", help="where studies are kept")


def chosen_study(options: argparse.Namespace) -> tuple[Study, SearchSpace]:
    """The study as it is now, open for reading, and its space. Raises: StoreError, ConfigError."""
    study = Study.open(options.root, options.study or Study.latest(options.root))
    return study, SearchSpace.load(study.space_path)
