"""What a study found: leaderboard, best config, the words at the end of a search. Functions of a record."""

from __future__ import annotations

from search.insight.leaderboard import Leaderboard, Row, best_config, leaderboard, pick
from search.insight.outcome import outcome_json, outcome_text
from search.insight.render import render_csv, render_table, render_text

__all__ = [
    "Leaderboard",
    "Row",
    "best_config",
    "leaderboard",
    "outcome_json",
    "outcome_text",
    "pick",
    "render_csv",
    "render_table",
    "render_text",
]
