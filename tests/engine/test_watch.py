"""What a person sees while a search runs."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from licap.trial import Report
from search.engine.watch import LineWatch, LiveTable
from search.space import SearchSpace

SPACE = """\
metric: {metric}
search:
  pretrain.lr: {{type: float, low: 1e-3, high: 1e-2}}
  downstream.lr: {{type: float, low: 1e-3, high: 1e-2}}
trials: 40
"""


def space(metric: str = "spearman") -> SearchSpace:
    """A space with two parameters whose last words are the same."""
    return SearchSpace.from_text(SPACE.format(metric=metric), source="small.yaml")


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_shows_what_runs_and_what_ended_last(width: int) -> None:
    screen = io.StringIO()
    table = LiveTable(space(), Console(file=screen, width=width, force_terminal=True))
    with table:
        for number in range(30):
            table.started(number, {"pretrain.lr": 0.002, "downstream.lr": 0.003})
            table.reported(number, Report("downstream", 3, 30, {}), 0.25)
            if number > 0:
                table.ended(number, "failed", None, "[Errno 28] no space\nmore", ranked=False)
        table.said("[warning] something")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    last = shown[shown.rindex("trial  state") :]
    assert "\n    0  downstream" in last and "\n   29" in last, "trial 0 still runs, trial 29 ended last"
    assert "[Errno 28] no space" in shown and "[warning] something" in shown
    assert "pretrain.lr=0.002" in shown
    assert "29/40 trials" in last and "more" not in shown


@pytest.mark.parametrize(("metric", "best"), [("spearman", 1), ("rmse", 0)])
def test_best_so_far_is_by_the_direction_of_the_metric_among_ranked_trials(
    metric: str, best: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with LineWatch(space(metric)) as watch:
        for number, (value, ranked) in enumerate([(0.5, True), (0.7, True), (0.1, False), (0.9, False)]):
            watch.started(number, {})
            watch.ended(number, "complete", value, "", ranked=ranked)
    assert f"(trial {best})" in capsys.readouterr().err.splitlines()[-1]


def test_a_message_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with LineWatch(space()) as watch:
        watch.started(0, {})
        watch.ended(0, "failed", None, "first\nsecond", ranked=False)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stderr_that_is_closed_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    with LineWatch(space()) as watch:
        for number, value in enumerate([0.5, 0.6]):
            watch.started(number, {})
            watch.ended(number, "complete", value, "", ranked=True)
    assert closed.closed
