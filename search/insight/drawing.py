"""What the pictures of a study have in common: marks, colours, axes and the way to PNG. Knows no trial."""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from licap.errors import LicapError
from licap.metrics import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers; greys differ in lightness and each mark in shape too.
BLUE, VERMILLION = "#0072B2", "#D55E00"
INK, GREY, PALE, FAINT = "#222222", "#666666", "#A3AEB8", "#E3E6E8"
_DPI = 120
# Values this many interquartile ranges away would squeeze all others into a line.
_FAR = 3.0
_MAX_TICKS = 5
_CROWD = 60


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How one kind of trial is drawn. size: diameter in points. filled: whether the shape has an inside."""

    label: str
    color: str
    marker: str
    size: float
    order: int
    filled: bool = True


MARKS = {
    "failed": Mark(label="failed or not compared", color=GREY, marker="x", size=5.2, order=2, filled=False),
    "early": Mark(label="pruned while pretraining", color=PALE, marker="o", size=5, order=2, filled=False),
    "pruned": Mark(label="pruned, where it stopped", color=PALE, marker="o", size=5, order=3),
    "complete": Mark(label="complete", color=BLUE, marker="o", size=6, order=4),
    "best": Mark(label="best", color=VERMILLION, marker="*", size=13, order=5),
}


class PictureError(LicapError):
    """A picture that cannot be drawn: nothing else depends on it."""


@contextmanager
def drawing(what: str) -> Iterator[None]:
    """Lets Matplotlib draw with its own settings, whatever a user's file and environment ask for (TeX, fonts, screens).

    what: is drawn, for the message. Raises: PictureError for any failure, in one line.
    """
    try:
        with _own_settings():
            yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise PictureError(f"{what} cannot be drawn ({type(error).__name__}: {reason})") from error


@contextmanager
def _own_settings() -> Iterator[None]:
    # What a user's file says wrong is of no interest here, nor is a sign that the font lacks.
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    screen = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if screen is not None:
            os.environ["MPLBACKEND"] = screen
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        yield


def new_figure(width: float, height: float, title: str, subtitle: str) -> Figure:
    """An empty figure of a size in inches, with a title and a line below it. No global state is involved."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    # In inches from the top, so that the titles keep their place in a tall figure.
    figure.text(0.2 / width, 1 - 0.16 / height, plain(title), ha="left", va="top", size=13, weight="bold", color=INK)
    figure.text(0.2 / width, 1 - 0.44 / height, plain(subtitle), ha="left", va="top", size=10, color=GREY)
    figure.set_layout_engine("constrained", rect=(0.0, 0.0, 1.0, 1 - 0.95 / height), h_pad=0.1, w_pad=0.1)
    return figure


def add_legend(figure: Figure, kinds: Iterable[str], line: str | None) -> None:
    """One entry for each kind of trial that is there, in a row below the titles; `line` names the stepped line."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=MARKS[kind].label, **_look(kind, 1.0)) for kind in kinds]
    if line:
        handles.append(Line2D([], [], color=VERMILLION, linewidth=1.4, label=line))
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.2 / width, 1 - 0.7 / height),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handletextpad=0.2,
        handlelength=1.3,
        columnspacing=1.5,
        borderpad=0,
        borderaxespad=0,
    )


def _look(kind: str, scale: float) -> dict[str, Any]:
    mark = MARKS[kind]
    edge = "white" if mark.filled else mark.color
    return {
        "linestyle": "",
        "marker": mark.marker,
        "markersize": mark.size * scale,
        "markerfacecolor": mark.color if mark.filled else "none",
        "markeredgecolor": edge,
        "markeredgewidth": 0.6 if mark.filled else 1.1,
        "zorder": mark.order,
    }


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes: the same ones for the same figure."""
    out = io.BytesIO()
    # Without pyplot there is no window system: Agg draws.
    figure.savefig(out, format="png", dpi=_DPI)
    return out.getvalue()


def plain(text: str) -> str:
    """Text that is shown as it is: Matplotlib would read what stands between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def tidy(axes: Axes) -> None:
    """Two spines, faint horizontal lines, small grey ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
    axes.tick_params(colors=GREY, labelsize=9, length=3, which="both")
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def say_empty(axes: Axes, text: str) -> None:
    """Words in place of a picture."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", size=11, color=GREY, transform=axes.transAxes)


def draw_marks(axes: Axes, kind: str, x: Sequence[float], y: Sequence[float | None], *, crowd: int) -> None:
    """The trials of one kind, smaller where `crowd`, the number of all trials, is large.

    One without a value stands on the lower edge.
    """
    look = _look(kind, 1.0 if crowd <= _CROWD else 0.75)
    there = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
    missing = [a for a, b in zip(x, y, strict=True) if b is None]
    if there:
        axes.plot(*zip(*there, strict=True), **look)
    if missing:
        axes.plot(missing, [0.0] * len(missing), transform=axes.get_xaxis_transform(), clip_on=False, **look)


def limits(values: Iterable[float], always: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis that shows all `always`, and those values that are not far away from all others."""
    found, kept = np.array(list(values), np.float64), np.array(list(always), np.float64)
    first, third = np.percentile(found, (25, 75))
    reach = _FAR * (third - first)
    near = found[(found >= first - reach) & (found <= third + reach)]
    shown = np.concatenate([near, kept])
    low, high = float(shown.min()), float(shown.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def measure_axis(axes: Axes, values: Sequence[float], always: Sequence[float]) -> None:
    """Scales the axis of the metric, and says how many values lie outside."""
    low, high = limits(values, always)
    axes.set_ylim(low, high)
    outside = sum(not low <= value <= high for value in values)
    if outside:
        text = f"{outside} value{'' if outside == 1 else 's'} outside the picture"
        axes.text(0.995, 0.05, text, ha="right", va="bottom", size=8, color=GREY, transform=axes.transAxes)


def axis_words(metric: Metric) -> str:
    """The metric and which way is good."""
    return f"validation {metric.label}, {'higher' if metric.direction == 'max' else 'lower'} is better"


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis: 1-2-5 where the range is short, else powers of ten, at most a handful."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
    inside = [tick for tick in fine if low * 0.999 <= tick <= high * 1.001]
    if len(inside) > _MAX_TICKS:
        inside = [10.0**power for power in decades if low * 0.999 <= 10.0**power <= high * 1.001]
    return inside[:: math.ceil(len(inside) / _MAX_TICKS)] if inside else [low, high]
