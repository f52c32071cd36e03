"""What a person sees while a search runs: a live table on a terminal, a line per trial elsewhere. Writes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from licap.fields import Scalar
from licap.trial import Report
from search.space import SearchSpace

_ROWS = 12


class Watch(Protocol):
    """Is told what happens; decides nothing."""

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """A trial was given to a slot."""

    def reported(self, number: int, report: Report, value: float) -> None:
        """A trial's newest report."""

    def ended(self, number: int, state: str, value: float | None, message: str) -> None:
        """A trial came to its end."""


class Progress:
    """The numbers behind both displays: how many trials ended, the best so far, the time left."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.began = time.monotonic()
        self.done: dict[str, int] = {}
        self.best: tuple[float, int] | None = None

    def end(self, number: int, state: str, value: float | None) -> None:
        """Counts an ended trial."""
        self.done[state] = self.done.get(state, 0) + 1
        if state == "complete" and value is not None and self._is_best(value):
            self.best = (value, number)

    def _is_best(self, value: float) -> bool:
        if self.best is None:
            return value == value
        return value > self.best[0] if self.space.metric.direction == "max" else value < self.best[0]

    def line(self) -> str:
        """One line: trials, best so far, time used and left."""
        ended = sum(self.done.values())
        used = time.monotonic() - self.began
        parts = [f"{ended}/{self.space.trials} trials"]
        parts += [f"{count} {state}" for state, count in sorted(self.done.items())]
        if self.best is not None:
            parts.append(f"best {self.space.metric.label} {self.best[0]:.4f} (trial {self.best[1]})")
        parts.append(f"{duration(used)} used")
        if ended:
            left = used / ended * max(0, self.space.trials - ended)
            if self.space.time_budget_s is not None:
                left = min(left, max(0.0, self.space.time_budget_s - used))
            parts.append(f"about {duration(left)} left")
        return " · ".join(parts)


class LineWatch:
    """A line on stderr for each trial that ends."""

    def __init__(self, space: SearchSpace) -> None:
        self._progress = Progress(space)

    def __enter__(self) -> LineWatch:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """Silent: the end says all."""

    def reported(self, number: int, report: Report, value: float) -> None:
        """Silent: one line an epoch would drown the rest."""

    def ended(self, number: int, state: str, value: float | None, message: str) -> None:
        """Says how the trial ended and how far the search is."""
        self._progress.end(number, state, value)
        shown = f" {self._progress.space.metric.label} {value:.4f}" if value is not None else ""
        why = f" ({message})" if message else ""
        sys.stderr.write(f"trial {number} {state}{shown}{why} | {self._progress.line()}\n")
        sys.stderr.flush()


class LiveTable:
    """A table that renews itself on a terminal."""

    def __init__(self, space: SearchSpace) -> None:
        self._progress = Progress(space)
        self._rows: dict[int, tuple[str, int, float | None, str]] = {}
        self._live = Live(get_renderable=self._render, console=Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """Adds a row."""
        words = ", ".join(f"{name.rpartition('.')[2]}={_short(value)}" for name, value in values.items())
        self._rows[number] = ("running", 0, None, words)

    def reported(self, number: int, report: Report, value: float) -> None:
        """Renews a row."""
        self._rows[number] = (report.stage, report.budget, value, self._rows[number][3])

    def ended(self, number: int, state: str, value: float | None, message: str) -> None:
        """Closes a row."""
        self._progress.end(number, state, value)
        _, budget, last, words = self._rows.get(number, ("", 0, None, ""))
        self._rows[number] = (state, budget, value if value is not None else last, message or words)

    def _render(self) -> Group:
        table = Table(expand=True, pad_edge=False)
        for name, ratio in (("trial", 1), ("state", 2), ("budget", 3), (self._progress.space.metric.label, 2), ("", 8)):
            table.add_column(name, ratio=ratio, no_wrap=True)
        total = max(1, self._progress.space.max_budget)
        for number, (state, budget, value, words) in list(self._rows.items())[-_ROWS:]:
            shown = f"{value:.4f}" if value is not None else ""
            table.add_row(str(number), state, ProgressBar(total, budget, width=16), shown, words)
        return Group(table, Text(self._progress.line()))


def watch_for(space: SearchSpace) -> LiveTable | LineWatch:
    """The live table where stderr is a terminal, lines elsewhere."""
    return LiveTable(space) if sys.stderr.isatty() else LineWatch(space)


def duration(seconds: float) -> str:
    """A length of time for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _short(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
