"""What a study found: leaderboard, best config, comparisons, the words at a search's end. Functions of a record."""

from __future__ import annotations

from search.insight.comparison import Comparison, compare
from search.insight.curves import curves_csv
from search.insight.drawing import PictureError
from search.insight.leaderboard import Leaderboard, Row, best_config, leaderboard, pick
from search.insight.outcome import outcome_json, outcome_text
from search.insight.plots import study_plots
from search.insight.render import render_csv, render_text, terminal_width
from search.insight.summary import summary_files, summary_table, write_summary
from search.insight.tables import COMPARISON_FORMATS

__all__ = [
    "COMPARISON_FORMATS",
    "Comparison",
    "Leaderboard",
    "PictureError",
    "Row",
    "best_config",
    "compare",
    "curves_csv",
    "leaderboard",
    "outcome_json",
    "outcome_text",
    "pick",
    "render_csv",
    "render_text",
    "study_plots",
    "summary_files",
    "summary_table",
    "terminal_width",
    "write_summary",
]
