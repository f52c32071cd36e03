"""How a search ends, and what its runs in the tracking store say of the study: where it comes from, what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from licap.datasets.dataset import Dataset
from search.engine.failing import FAILING
from search.engine.side import SideTracker
from search.insight import best_config, leaderboard, render_text, summary_files, write_summary
from search.space import SearchSpace
from search.study import TrialRecord
from search.tracking import State, git_commit

# How the study's run ends in the tracking store, where that is not as complete.
_ENDS: Mapping[str | None, State] = {"interrupted": "interrupted", FAILING: "failed"}


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended.

    stop_reason: None where it ran to its end, else `interrupted`, `time budget` or `failures` (the first trials all
    failed). store_errors: what is missing in the tracking store, and why. stop_signal: what interrupted it.
    """

    study: str
    trials: tuple[TrialRecord, ...]
    tracking_uri: str
    stop_reason: str | None
    store_errors: tuple[str, ...]
    stop_signal: int | None = None


def origin_tags(dataset: Dataset) -> dict[str, object]:
    """Where every run of a study comes from."""
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "git_commit": git_commit(Path(__file__)),
    }


def study_tags(space: SearchSpace) -> dict[str, object]:
    """What the study's own run says about how it was searched."""
    return {
        "metric": space.metric.label,
        "sampler": space.sampler.name,
        "pruner": space.pruner.name,
        "seed": space.seed,
    }


def summarise(outcome: SearchOutcome, space: SearchSpace, tracker: SideTracker, folder: Path) -> None:
    """Ends the study's own run with what was found, and writes table and pictures into the study's folder."""
    board = leaderboard(outcome.trials, space)
    files = summary_files(outcome.trials, space, study=outcome.study)
    artifacts = files | {"leaderboard.txt": render_text(board)}
    metrics: Mapping[str, float] = {}
    if board.ranked:
        artifacts["best.yaml"] = best_config(outcome.trials, space, rank=1).to_yaml()
        metrics = board.ranked[0].metrics
    tracker.finish(metrics, artifacts, state=_ENDS.get(outcome.stop_reason, "complete"))
    write_summary(folder, files)
