"""What `search/run.py` says at its end: the leaderboard and the two commands that come next, as text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from search.insight.leaderboard import leaderboard
from search.insight.next_steps import export_command, resume_command, summary_command
from search.insight.render import render_text, terminal_width
from search.space import SearchSpace
from search.study import TrialRecord
from search.tracking.uris import shown, ui_command


def outcome_text(
    trials: Iterable[TrialRecord],
    space: SearchSpace,
    *,
    study: str,
    root: Path,
    tracking_uri: str,
    stop_reason: str | None,
) -> str:
    """Leaderboard, summary, where the pictures are, and how to look at the runs and export the best config."""
    board = leaderboard(trials, space)
    lines = [render_text(board, terminal_width()), "", f"study {study}: {board.counts()}"]
    if stop_reason is not None:
        lines.append(f"stopped before its end: {stop_reason}")
    if board.ranked:
        best = board.ranked[0]
        lines.append(f"best: trial {best.trial}, validation {space.metric.label} {best.value:.4f}")
    else:
        lines.append("best: none, for no trial is complete")
    if stop_reason == "interrupted":
        lines.append(f"table:                  {root / 'studies' / study} (leaderboard.csv)")
        lines.append(f"pictures:               {summary_command(study, root)}")
    else:
        lines.append(f"pictures and table:     {root / 'studies' / study} (plots/*.png, leaderboard.csv)")
    lines.append(f"look at the runs:       {ui_command(tracking_uri)}")
    if stop_reason is not None:
        lines.append(f"go on with the search:  {resume_command(study, root, tracking_uri)}")
    if board.ranked:
        lines.append(f"export the best config: {export_command(study, root)}")
    return "\n".join(lines)


def outcome_json(
    trials: Iterable[TrialRecord],
    space: SearchSpace,
    *,
    study: str,
    root: Path,
    tracking_uri: str,
    stop_reason: str | None,
) -> str:
    """The same as one JSON object, in full precision, with every metric; what is not finite is left out."""
    board = leaderboard(trials, space)
    rows = [asdict(row) for row in board]
    outcome = {
        "study": study,
        "stop_reason": stop_reason,
        "metric": space.metric.name,
        "direction": space.metric.direction,
        "best": rows[0] if board.ranked else None,
        "trials": rows,
        "tracking_uri": shown(tracking_uri) if "@" in tracking_uri else tracking_uri,
        "look_command": ui_command(tracking_uri),
        "export_command": export_command(study, root) if board.ranked else None,
    }
    return json.dumps(outcome, indent=2, allow_nan=False)
