"""Pictures of a study as PNG: what each trial reached, how it got there, and how that depends on each parameter."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from licap.fields import Scalar
from licap.spelling import shown as parameter_text
from search.insight.drawing import (
    BLUE,
    GREY,
    INK,
    MARKS,
    PALE,
    VERMILLION,
    add_legend,
    axis_words,
    draw_marks,
    drawing,
    log_ticks,
    measure_axis,
    new_figure,
    plain,
    say_empty,
    tidy,
    to_png,
)
from search.insight.leaderboard import leaderboard
from search.space import SearchSpace
from search.space.parameter import Parameter
from search.study import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTHING = "no trial has a value to show"
_COLUMNS = 4
_CHOICE_WIDTH = 11
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class _Shown:
    """A trial in a picture: its kind (a key of `MARKS`), and the last finite value of the study's metric.

    value: None for a trial that ended before its downstream model had one. What the probe says while pretraining is
    no such value: it is measured in another way, and often better.
    """

    trial: TrialRecord
    kind: str
    value: float | None


def study_plots(trials: Sequence[TrialRecord], space: SearchSpace, *, study: str) -> dict[str, bytes]:
    """All pictures, by file name. The same record gives the same bytes. Raises: PictureError."""
    pictures: Mapping[str, Callable[..., bytes]] = {
        "history.png": history_png,
        "curves.png": curves_png,
        "parameters.png": parameters_png,
    }
    with drawing(f"the pictures of study {study}"):
        return {name: picture(trials, space, study=study) for name, picture in pictures.items()}


def history_png(trials: Sequence[TrialRecord], space: SearchSpace, *, study: str) -> bytes:
    """Each trial's value by its number; a stepped line for the best complete trial so far."""
    from matplotlib.ticker import MaxNLocator

    shown = _shown(trials, space)
    values = _values(shown)
    if not values:
        return _words(trials, space, study, _NOTHING)
    figure = new_figure(8, 5, f"Study {study}: each trial's result", _summary(trials, space))
    axes = figure.add_subplot()
    tidy(axes)
    steps = _best_so_far(shown, space)
    if steps:
        x, y = zip(*steps, strict=True)
        axes.step([*x, trials[-1].number + 0.5], [*y, y[-1]], where="post", color=VERMILLION, linewidth=1.4, zorder=1)
    _draw_all(axes, shown, lambda each: each.trial.number)
    measure_axis(axes, values, _results(shown))
    axes.set_xlim(-0.6, trials[-1].number + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.set_xlabel("trial", color=GREY)
    axes.set_ylabel(axis_words(space.metric), color=GREY)
    _legend(axes, shown, "best so far" if steps else None)
    return to_png(figure)


def curves_png(trials: Sequence[TrialRecord], space: SearchSpace, *, study: str) -> bytes:
    """The study's metric against the budget, a line for each trial and stage."""
    shown = [each for each in _shown(trials, space) if _finite_reports(each.trial, space)]
    if not shown:
        return _words(trials, space, study, _NOTHING)
    figure = new_figure(8, 5, f"Study {study}: learning curves", _summary(trials, space))
    axes = figure.add_subplot()
    tidy(axes)
    values: list[float] = []
    for each in sorted(shown, key=lambda each: MARKS[each.kind].order):
        values += _draw_curve(axes, each, space, crowd=len(shown))
    measure_axis(axes, values, _results(shown))
    axes.set_xlim(0, max(space.max_budget, *(each.trial.budget for each in shown)) * 1.01)
    _draw_stages(axes, space)
    axes.set_xlabel("budget: epochs over both stages", color=GREY)
    axes.set_ylabel(axis_words(space.metric), color=GREY)
    _legend(axes, shown, None)
    return to_png(figure)


def parameters_png(trials: Sequence[TrialRecord], space: SearchSpace, *, study: str) -> bytes:
    """The study's metric against each searched parameter, one small picture each."""
    shown = _shown(trials, space)
    if not _values(shown) or not space.parameters:
        return _words(trials, space, study, _NOTHING if space.parameters else "nothing is searched")
    columns = min(_COLUMNS, len(space.parameters))
    rows = math.ceil(len(space.parameters) / columns)
    size = max(7.0, 3.1 * columns), 2.6 * rows + 1.0
    values = _values(shown)
    figure = new_figure(*size, f"Study {study}: result by parameter", _summary(trials, space))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for index, parameter in enumerate(space.parameters):
        _draw_slice(grid[index // columns][index % columns], parameter, shown)
    for index in range(len(space.parameters), rows * columns):
        grid[index // columns][index % columns].set_axis_off()
    measure_axis(grid[0][0], values, _results(shown))
    figure.supylabel(axis_words(space.metric), color=GREY, size=10)
    _legend(grid[0][0], shown, None)
    return to_png(figure)


def _words(trials: Sequence[TrialRecord], space: SearchSpace, study: str, text: str) -> bytes:
    """A picture that says why there is none."""
    figure = new_figure(8, 3, f"Study {study}", _summary(trials, space))
    say_empty(figure.add_subplot(), text)
    return to_png(figure)


def _shown(trials: Sequence[TrialRecord], space: SearchSpace) -> list[_Shown]:
    """All trials, in order of number."""
    ranks = {row.trial: row.rank for row in leaderboard(trials, space)}
    found = []
    for trial in trials:
        downstream = [value for stage, _, value in _finite_reports(trial, space) if stage == "downstream"]
        value = downstream[-1] if downstream else None
        found.append(_Shown(trial, _kind(trial, ranks[trial.number], value), value))
    return found


def _finite_reports(trial: TrialRecord, space: SearchSpace) -> list[tuple[str, int, float]]:
    """(stage, budget, value) of each report with a finite value of the study's metric."""
    key = f"val.{space.metric.name}"
    found = ((report.stage, report.budget, report.metrics.get(key, math.nan)) for report in trial.reports)
    return [each for each in found if math.isfinite(each[2])]


def _kind(trial: TrialRecord, rank: int | None, value: float | None) -> str:
    if rank is not None:
        return "best" if rank == 1 else "complete"
    if trial.state != "pruned":
        return "failed"
    return "early" if value is None else "pruned"


def _values(shown: Sequence[_Shown]) -> list[float]:
    return [each.value for each in shown if each.value is not None]


def _results(shown: Sequence[_Shown]) -> list[float]:
    """The values that count: those of ranked trials."""
    return _values([each for each in shown if each.kind in ("best", "complete")])


def _summary(trials: Sequence[TrialRecord], space: SearchSpace) -> str:
    board = leaderboard(trials, space)
    if not board.ranked:
        return board.counts()
    best = board.ranked[0]
    return f"{board.counts()} · best: trial {best.trial}, {space.metric.label} {best.value:.4f}"


def _best_so_far(shown: Sequence[_Shown], space: SearchSpace) -> list[tuple[int, float]]:
    """(trial, value) wherever a ranked trial is better than all before it."""
    steps: list[tuple[int, float]] = []
    for each in shown:
        ranked = each.value is not None and each.kind in ("best", "complete")
        if ranked and (not steps or space.metric.better(cast(float, each.value), steps[-1][1])):
            steps.append((each.trial.number, cast(float, each.value)))
    return steps


def _legend(axes: Axes, shown: Sequence[_Shown], line: str | None) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are drawn in a figure"
    add_legend(figure, [kind for kind in reversed(MARKS) if any(each.kind == kind for each in shown)], line)


def _draw_all(axes: Axes, shown: Sequence[_Shown], place: Callable[[_Shown], float]) -> None:
    """Every trial as a mark, the best on top."""
    for kind in MARKS:
        chosen = [each for each in shown if each.kind == kind]
        draw_marks(axes, kind, [place(e) for e in chosen], [e.value for e in chosen], crowd=len(shown))


def _draw_curve(axes: Axes, shown: _Shown, space: SearchSpace, *, crowd: int) -> list[float]:
    """Draws a trial, broken at the seam: the probe of pretraining and the downstream model are different measures."""
    best = shown.kind == "best"
    color = VERMILLION if best else BLUE if shown.kind == "complete" else PALE
    width = 2.2 if best else 1.1 if crowd <= 40 else 0.7
    opacity = 1.0 if best else 0.85 if crowd <= 40 else 0.4
    reports = _finite_reports(shown.trial, space)
    for stage in ("pretrain", "downstream"):
        # From the second fold on, values are those of downstream models, in either stage.
        points = [(x, y) for each, x, y in reports if (each if x <= space.fold_budget else "downstream") == stage]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=color, linewidth=width, alpha=opacity, zorder=MARKS[shown.kind].order)
    draw_marks(axes, shown.kind, [reports[-1][1]], [reports[-1][2]], crowd=crowd)
    return [value for _, _, value in reports]


def _draw_stages(axes: Axes, space: SearchSpace) -> None:
    """The seam between the stages, where it is the same for all trials, and the pruner's rungs."""
    for budget in (*space.rungs(), *space.fold_rungs()):
        axes.axvline(budget, color=PALE, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
        axes.text(
            budget, 0.01, " rung", size=8, color=GREY, ha="left", va="bottom", transform=axes.get_xaxis_transform()
        )
    seam = space.fixed.get("pretrain.max_epochs")
    if not seam:
        return
    at = float(cast(int, seam)) + 0.5
    axes.axvline(at, color=GREY, linewidth=1.0, zorder=0)
    for side, text in (("right", "pretraining (probe)  "), ("left", "  downstream model")):
        axes.text(at, 1.01, text, size=9, color=GREY, ha=side, va="bottom", transform=axes.get_xaxis_transform())


def _draw_slice(axes: Axes, parameter: Parameter, shown: Sequence[_Shown]) -> None:
    """One parameter. Trials in which it does not count are left out."""
    tidy(axes)
    counting = [each for each in shown if parameter.name in each.trial.values]
    _draw_all(axes, counting, lambda each: _place(parameter, each))
    _parameter_axis(axes, parameter)
    axes.set_xlabel(plain(parameter.name), color=INK, size=10)
    if parameter.when:
        words = textwrap.fill(f"when {parameter.when_text()}", 46)
        axes.set_title(plain(words), size=8, color=GREY, loc="left")


def _place(parameter: Parameter, shown: _Shown) -> float:
    """Where a trial stands on its parameter's axis; those of a choice are spread a little, always in the same way."""
    value = shown.trial.values[parameter.name]
    if parameter.kind != "categorical":
        return float(cast(float, value))
    spread = 0.0 if shown.kind == "best" else (shown.trial.number * _GOLDEN % 1 - 0.5) * 0.4
    return parameter.choices.index(value) + spread


def _parameter_axis(axes: Axes, parameter: Parameter) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    if parameter.kind == "categorical":
        names = [_choice(each) for each in parameter.choices]
        axes.set_xticks(range(len(names)), names, size=8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    low, high = parameter.bounds
    if parameter.log:
        axes.set_xscale("log")
        ticks = log_ticks(low, high)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        margin = (high / low) ** 0.05
        axes.set_xlim(low / margin, high * margin)
        return
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=parameter.kind == "int"))
    axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _choice(value: Scalar) -> str:
    """A choice in lines short enough to stand beside others."""
    lines = [""]
    for part in re.findall(r"[^-+_ ]*[-+_ ]?", parameter_text(value)):
        if lines[-1] and len(lines[-1] + part) > _CHOICE_WIDTH:
            lines.append("")
        lines[-1] += part
    return plain("\n".join(lines))
