"""A trial's learning curve as CSV: everything it reported, in full precision."""

from __future__ import annotations

import csv
import io

from search.study import TrialRecord


def curves_csv(trial: TrialRecord) -> str:
    """A line for each report: budget, stage, epoch, and every metric that the trial ever reported.

    A cell is empty where a report has no such metric; what is not finite is written as nan, inf or -inf.
    """
    metrics = list(dict.fromkeys(name for report in trial.reports for name in report.metrics))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["budget", "stage", "epoch", *metrics])
    for report in trial.reports:
        cells = [report.metrics.get(name, "") for name in metrics]
        writer.writerow([report.budget, report.stage, report.epoch, *cells])
    return out.getvalue()
