"""How a search ends, and what its runs in the tracking store say of the study: where it comes from, what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from licap.console import tell
from licap.datasets.dataset import Dataset
from licap.errors import StoreError
from search.engine.failing import FAILING
from search.engine.side import SideTracker
from search.insight import (
    PictureError,
    best_config,
    leaderboard,
    render_text,
    summary_files,
    summary_table,
    write_summary,
)
from search.insight.exported import trial_yaml
from search.insight.next_steps import summary_command
from search.space import SearchSpace
from search.study import Study, TrialRecord
from search.tracking import State, git_commit

# How the study's run ends in the tracking store, where that is not as complete.
_ENDS: Mapping[str | None, State] = {"interrupted": "interrupted", FAILING: "failed"}


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended.

    stop_reason: None where it ran to its end, else `interrupted`, `time budget` or `failures` (the first trials all
    failed). store_errors: what is missing in the tracking store, and why. stop_signal: what interrupted it.
    summary_errors: what is missing in the study's folder, and why.
    """

    study: str
    trials: tuple[TrialRecord, ...]
    tracking_uri: str
    stop_reason: str | None
    store_errors: tuple[str, ...]
    stop_signal: int | None = None
    summary_errors: tuple[str, ...] = ()


def origin_tags(dataset: Dataset) -> dict[str, object]:
    """Where every run of a study comes from."""
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.identity,
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


def summarise(
    outcome: SearchOutcome,
    space: SearchSpace,
    tracker: SideTracker,
    study: Study,
    show: Callable[[SearchOutcome], object],
) -> tuple[str, ...]:
    """Shows what was found, ends the study's own run with it, and writes table and pictures into the study's folder.

    Who interrupts a search wants its end, and no pictures. What fails after the outcome is shown is told in a line.
    Returns: what is missing in the folder, and why.
    """
    show(outcome)
    problems: list[str] = []
    files = summary_table(outcome.trials, space)
    try:
        if outcome.stop_reason != "interrupted":
            files = summary_files(outcome.trials, space, study=outcome.study)
    except PictureError as error:
        problems.append(str(error))
    _end_run(outcome, space, tracker, study, files)
    try:
        write_summary(study.folder, files)
    except StoreError as error:
        problems.append(str(error))
    for problem in problems:
        command = summary_command(outcome.study, study.folder.parents[1])
        tell(f"error: {problem}. The record is whole: `{command}` makes up for it.")
    return tuple(problems)


def _end_run(
    outcome: SearchOutcome, space: SearchSpace, tracker: SideTracker, study: Study, files: Mapping[str, str | bytes]
) -> None:
    board = leaderboard(outcome.trials, space)
    artifacts = dict(files) | {"leaderboard.txt": render_text(board)}
    metrics: Mapping[str, float] = {}
    if board.ranked:
        artifacts["best.yaml"] = trial_yaml(best_config(outcome.trials, space, rank=1), space, study)
        metrics = board.ranked[0].metrics
    tracker.finish(metrics, artifacts, state=_ENDS.get(outcome.stop_reason, "complete"))
