"""The files that sum a study up, made from its record alone: at the end of a search, or at any time after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from licap.files import write_file_atomically
from search.insight.leaderboard import leaderboard
from search.insight.plots import study_plots
from search.insight.render import render_csv
from search.space import SearchSpace
from search.study import TrialRecord

TABLE = "leaderboard.csv"


def summary_table(trials: Iterable[TrialRecord], space: SearchSpace) -> dict[str, str | bytes]:
    """The table by its name in the study folder."""
    return {TABLE: render_csv(leaderboard(trials, space))}


def summary_files(trials: Iterable[TrialRecord], space: SearchSpace, *, study: str) -> dict[str, str | bytes]:
    """Table and pictures by their names in the study folder. The same record gives the same bytes.

    Raises: PictureError.
    """
    trials = tuple(trials)
    plots = study_plots(trials, space, study=study)
    return summary_table(trials, space) | {f"plots/{name}": picture for name, picture in plots.items()}


def write_summary(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Puts the files into a study folder in place of older ones. Raises: StoreError."""
    for name, content in files.items():
        write_file_atomically(folder / name, content)
