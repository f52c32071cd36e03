"""What a person sees while a search runs: a live table on a terminal, a line per trial elsewhere. Writes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from licap.fields import Scalar
from licap.trial import Report
from search.engine.progress import Progress
from search.insight.render import short_names
from search.space import SearchSpace
from search.study import STATES, TrialRecord

_ROWS = 12
_BAR = 16


class Watch(Protocol):
    """Is told what happens; decides nothing."""

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """A trial was given to a slot."""

    def reported(self, number: int, report: Report, value: float) -> None:
        """A trial's newest report."""

    def ended(self, number: int, state: str, value: float | None, message: str, *, ranked: bool) -> None:
        """A trial came to its end. ranked: whether it has a place on the leaderboard."""

    def said(self, text: str) -> None:
        """Something that people should know now."""

    def resumed(self, trials: Sequence[TrialRecord], elapsed: float) -> None:
        """What a resumed study has already, and the seconds of its searches; nothing for a new one."""


class LineWatch:
    """A line on stderr for each trial that ends. A stderr that nobody reads any more stops nothing."""

    def __init__(self, space: SearchSpace) -> None:
        self._progress = Progress(space)

    def __enter__(self) -> LineWatch:
        self._progress.begin()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """Silent: the end says all."""
        self._progress.start(number)

    def reported(self, number: int, report: Report, value: float) -> None:
        """Silent: one line an epoch would drown the rest."""
        self._progress.report(number, report.budget)

    def ended(self, number: int, state: str, value: float | None, message: str, *, ranked: bool) -> None:
        """Says how the trial ended and how far the search is."""
        self._progress.end(number, state, value, ranked)
        shown = f" {self._progress.space.metric.label} {value:.4f}" if value is not None else ""
        why = f" ({message.splitlines()[0]})" if message else ""
        self.said(f"trial {number} {state}{shown}{why} | {self._progress.line()}")

    def resumed(self, trials: Sequence[TrialRecord], elapsed: float) -> None:
        """Says how far the study is."""
        self._progress.take_over(trials, elapsed)
        if trials:
            self.said(f"the study goes on | {self._progress.line()}")

    def said(self, text: str) -> None:
        """Writes a line."""
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


@dataclass
class _Row:
    """A trial on the live table. words: its values, or why it ended."""

    words: str
    state: str = "running"
    budget: int = 0
    value: float | None = None


class LiveTable:
    """A table that renews itself on a terminal: what runs, then what ended last."""

    def __init__(self, space: SearchSpace, console: Console | None = None) -> None:
        """console: where to draw; stderr unless given."""
        self._progress = Progress(space)
        self._names = dict(zip(names := [p.name for p in space.parameters], short_names(names), strict=True))
        self._rows: dict[int, _Row] = {}
        self._live = Live(get_renderable=self._render, console=console or Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> LiveTable:
        self._progress.begin()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def started(self, number: int, values: Mapping[str, Scalar]) -> None:
        """Adds a row."""
        words = ", ".join(f"{self._names[name]}={_short(value)}" for name, value in values.items())
        self._rows[number] = _Row(words)
        self._progress.start(number)

    def reported(self, number: int, report: Report, value: float) -> None:
        """Renews a row."""
        row = self._rows[number]
        row.state, row.budget, row.value = report.stage, report.budget, value
        self._progress.report(number, report.budget)

    def ended(self, number: int, state: str, value: float | None, message: str, *, ranked: bool) -> None:
        """Closes a row and puts it below those that run."""
        self._progress.end(number, state, value, ranked)
        row = self._rows.pop(number)
        self._rows[number] = replace(
            row, state=state, value=row.value if value is None else value, words=message.partition("\n")[0] or row.words
        )

    def resumed(self, trials: Sequence[TrialRecord], elapsed: float) -> None:
        """Counts what is there already."""
        self._progress.take_over(trials, elapsed)

    def said(self, text: str) -> None:
        """Writes a line above the table."""
        with suppress(OSError):
            self._live.console.print(Text(text))

    def _render(self) -> Group:
        # Text, not str: Rich would read "[Errno 28]" in a message as markup.
        table = Table(box=None, expand=True, pad_edge=False)
        for name in ("trial", "state", "progress", self._progress.space.metric.label):
            table.add_column(Text(name), no_wrap=True, justify="right" if name == "trial" else "left")
        table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
        total = max(1, self._progress.space.max_budget)
        for number, row in self._shown():
            bar = ProgressBar(total, row.budget, width=_BAR)
            shown = f"{row.value:.4f}" if row.value is not None else ""
            table.add_row(Text(str(number)), Text(row.state), bar, Text(shown), Text(row.words))
        return Group(table, Text(self._progress.line()))

    def _shown(self) -> list[tuple[int, _Row]]:
        """The rows there is room for: all that run, then the last that ended, latest first."""
        # Ctrl-C or a trial's end may come while the drawing thread reads.
        rows = list(self._rows.items())
        ended = [(number, row) for number, row in rows if row.state in STATES[1:]]
        running = [(number, row) for number, row in rows if row.state not in STATES[1:]]
        return (running + ended[::-1])[: max(_ROWS, len(running))]


def watch_for(space: SearchSpace) -> LiveTable | LineWatch:
    """The live table where stderr is a terminal, lines elsewhere."""
    return LiveTable(space) if sys.stderr.isatty() else LineWatch(space)


def _short(value: Scalar) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
