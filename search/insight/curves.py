"""A trial's learning curve as CSV: everything it reported, in full precision."""

from __future__ import annotations

from search.insight.render import csv_text
from search.study import TrialRecord


def curves_csv(trial: TrialRecord) -> str:
    """A line for each report: budget, stage, epoch, and every metric that the trial ever reported.

    A cell is empty where a report has no such metric; what is not finite is written as nan, inf or -inf.
    """
    metrics = list(dict.fromkeys(name for report in trial.reports for name in report.metrics))
    rows = [
        [report.budget, report.stage, report.epoch, *(report.metrics.get(name) for name in metrics)]
        for report in trial.reports
    ]
    return csv_text(["budget", "stage", "epoch", *metrics], rows)
