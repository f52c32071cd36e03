"""The picture of a replay: how far a search still is from the best, against the epochs that it has used."""

from __future__ import annotations

import numpy as np

from search.insight.drawing import GREY, INK, drawing, new_figure, plain, tidy, to_png
from search.insight.replays import Replay

# Okabe and Ito's palette without the yellow, which is pale on white; dashes tell lines apart as well.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")
# More bands than that hide each other.
_BANDS = 4
_DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def regret_png(replay: Replay) -> bytes:
    """A line for each pruner, the median over orders; where lines are few, a band for the middle 90 % of the orders.

    Raises: PictureError.
    """
    with drawing("the picture of the replay"):
        return _regret_png(replay)


def _regret_png(replay: Replay) -> bytes:
    title = f"Study {replay.study}: regret against cost"
    orders = max(row.searches for row in replay.rows)
    band = " and middle 90 %" if len(replay.rows) <= _BANDS else ""
    subtitle = f"{replay.trials} recorded trials, {orders} orders; median{band}"
    figure = new_figure(8, 5, title, subtitle)
    axes = figure.add_subplot()
    tidy(axes)
    for place, row in enumerate(replay.rows):
        color, dash = _COLORS[place % len(_COLORS)], _DASHES[place // len(_COLORS) % len(_DASHES)]
        # Before the first find there is nothing to draw.
        low, median, high = np.where(np.isfinite(row.bands), row.bands, np.nan)
        if len(replay.rows) <= _BANDS:
            axes.fill_between(replay.costs, low, high, step="post", color=color, alpha=0.12, linewidth=0)
        axes.step(
            replay.costs, median, where="post", color=color, linestyle=dash, linewidth=1.6, label=plain(row.label)
        )
        axes.plot([row.cost.median], [row.regret.median], marker="o", markersize=5, color=color, linestyle="")
    medians = np.concatenate([row.bands[1] for row in replay.rows])
    top = float(np.max(medians[np.isfinite(medians)], initial=0.0))
    axes.set_ylim(-0.02 * (top or 1.0), 1.05 * (top or 1.0))
    axes.set_xlim(0.0, 1.02)
    axes.set_xlabel("epochs used / epochs of all trials to their end (a dot: where the search ends)", color=GREY)
    axes.set_ylabel(plain(f"regret: validation {replay.metric.label} short of the best"), color=GREY)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return to_png(figure)
