"""What a benchmark hands out: tables on the terminal as they grow, and on request all as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from licap.console import say
from licap.files import check_writable, write_file_atomically
from licap.paths import path_option
from search.insight.drawing import BLUE, GREY, INK, VERMILLION, drawing, new_figure, plain, tidy, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = str | int | float | None
_COLUMNS = 3
# Below the bars of one panel, side by side.
_LETTERS = 44
# Besides blue and vermillion, of the same palette; lines differ in their marks too.
_COLORS, _SHAPES = (BLUE, VERMILLION, "#009E73", "#CC79A7", INK), "os^Dv"


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its values, its head, and how a number is written; texts stand on the left."""

    key: str
    head: str
    form: str = ""

    def cell(self, value: Value) -> str:
        """A value, or a dash where there is none."""
        text = "-" if value is None else format(value, self.form)
        return text.rjust(self._width) if self.form else text.ljust(self._width)

    def title(self) -> str:
        """The head over such cells."""
        return self.head.rjust(self._width) if self.form else self.head.ljust(self._width)

    @property
    def _width(self) -> int:
        return max(len(self.head), 8 if self.form else 18)


# Of a process: before the run, what the run added at its peak, and the most that it ever held.
BEFORE_MB = Column("before_mb", "before, MB", ",.0f")
ABOVE_MB = Column("above_mb", "peak above, MB", ",.0f")
TOTAL_MB = Column("total_mb", "in total, MB", ",.0f")


class Table:
    """Rows of named values; each is printed when it is added."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.rows: list[dict[str, Value]] = []
        self._columns = columns
        say("  ".join(column.title() for column in columns).rstrip())

    def add(self, **values: Value) -> None:
        """Adds a row; what has no column is not printed."""
        self.rows.append(values)
        say("  ".join(column.cell(values.get(column.key)) for column in self._columns).rstrip())

    def numbers(self, key: str, *, by: str, **where: Value) -> dict[str, float]:
        """What a column of numbers holds, by another one, of the rows that hold all of `where`."""
        rows = [row for row in self.rows if all(row.get(name) == value for name, value in where.items())]
        return {str(row[by]): cast(float, row[key]) for row in rows}


@dataclass(frozen=True)
class Panel:
    """One picture of several. series: points (x, y) by name. logarithmic: both axes."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Bars:
    """One picture of several: a bar for each name."""

    title: str
    unit: str
    values: Mapping[str, float]


@dataclass
class Findings:
    """All that a benchmark found. Tables are printed as they grow; `write` does the rest."""

    benchmark: str
    options: argparse.Namespace
    tables: dict[str, Table] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pictures: list[Panel | Bars] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises: StoreError where what is asked for could not be written: known now, not after an hour."""
        for path in (self.options.json, self.options.plot):
            if path is not None:
                check_writable(path.parent, "Give another place.")

    def table(self, name: str, columns: Sequence[Column]) -> Table:
        """Begins a table."""
        if self.tables:
            say()
        self.tables[name] = Table(columns)
        return self.tables[name]

    def note(self, text: str) -> None:
        """Says what a reader of the numbers must know."""
        self.notes.append(text)
        say(text)

    def write(self) -> None:
        """Writes what `--json` and `--plot` ask for. Raises: StoreError, PictureError."""
        if self.options.json:
            write_file_atomically(self.options.json, json.dumps(self.as_values(), indent=2) + "\n")
        if self.options.plot:
            with drawing("the benchmark's picture"):
                picture = self._png()
            write_file_atomically(self.options.plot, picture)

    def as_values(self) -> dict[str, object]:
        """Everything as plain values."""
        options = {name: value for name, value in vars(self.options).items() if name not in ("json", "plot")}
        return {
            "benchmark": self.benchmark,
            "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine(),
            "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
            "tables": {name: table.rows for name, table in self.tables.items()},
            "notes": self.notes,
        }

    def _png(self) -> bytes:
        columns = max(1, min(_COLUMNS, len(self.pictures)))
        rows = max(1, math.ceil(len(self.pictures) / columns))
        on = machine()
        subtitle = f"{on['processor']}, {on['cores']} cores, torch {on['torch']}"
        figure = new_figure(max(6.0, 4.2 * columns), 3.2 * rows + 1.0, f"benchmarks.{self.benchmark}", subtitle)
        grid = figure.subplots(rows, columns, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place < len(self.pictures):
                _draw(axes, self.pictures[place])
            else:
                axes.set_axis_off()
        _add_legend(figure, list(grid.flat))
        return to_png(figure)


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--json` and `--plot`."""
    parser.add_argument("--json", type=path_option, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--plot", type=_png_path, metavar="FILE.png", help="draw the numbers there too")


def machine() -> dict[str, Value]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _png_path(text: str) -> Path:
    if not text.endswith(".png"):
        raise argparse.ArgumentTypeError(f"pictures are PNG (got {text!r}). Give a name that ends in .png.")
    return path_option(text)


def _draw(axes: Axes, picture: Panel | Bars) -> None:
    tidy(axes)
    axes.set_title(plain(picture.title), size=10, color=INK, loc="left")
    if isinstance(picture, Bars):
        bars = axes.bar(range(len(picture.values)), list(picture.values.values()), color=BLUE, width=0.6)
        axes.bar_label(bars, fmt=_three_digits, size=8, color=GREY, padding=2)
        # Long names, or many, would run into each other.
        slanted = sum(map(len, picture.values)) > _LETTERS
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(len(picture.values)), [plain(name) for name in picture.values], size=8, **turned)
        axes.set_ylabel(plain(picture.unit), color=GREY)
        axes.margins(y=0.12)
        return
    for number, (name, points) in enumerate(picture.series.items()):
        color, shape = _COLORS[number % len(_COLORS)], _SHAPES[number % len(_SHAPES)]
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=color, marker=shape, markersize=5, linewidth=1.4, label=plain(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(plain(picture.x_label), color=GREY)
    axes.set_ylabel(plain(picture.y_label), color=GREY)


def _add_legend(figure: Figure, grid: Sequence[Axes]) -> None:
    """One for all panels, below the titles: lines of one name look alike in each."""
    named: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        width, height = figure.get_size_inches()
        figure.legend(
            handles=list(named.values()),
            labels=list(named),
            loc="upper left",
            bbox_to_anchor=(0.2 / width, 1 - 0.66 / height),
            ncols=len(named),
            frameon=False,
            fontsize=9,
        )


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
