"""A leaderboard as plain text and as CSV.

Where a width is given the last columns that do not fit are left out, and named below the table.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from licap.config import TrialConfig
from licap.fields import Scalar, specs_of
from licap.metrics import METRICS
from search.insight.leaderboard import Leaderboard, Row

# Shown beside the study's metric; the other ones stand in JSON, CSV and the tracking store.
_ALSO = ("rmse", "spearman", "ndcg@100", "overlap@100")
_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of plain text; right-aligned unless `left`."""

    head: str
    cells: tuple[str, ...]
    left: bool = False

    @property
    def width(self) -> int:
        """The widest of head and cells, in characters of a terminal."""
        return max(map(cell_len, (self.head, *self.cells)))


def render_text(board: Leaderboard, width: int | None = None) -> str:
    """The leaderboard as plain text, at most `width` wide if given; below it what is to be said about single trials."""
    if not board:
        return "no trials"
    columns, left_out = _fitting(_columns(board), width)
    return "\n".join([*table_lines(columns), *_remarks(board, left_out)])


def table_lines(columns: Sequence[Column]) -> list[str]:
    """Columns of equally many cells side by side: their heads, then a line for each cell."""
    heads = [column.head for column in columns]
    return [_line(cells, columns) for cells in (heads, *zip(*(column.cells for column in columns), strict=True))]


def terminal_width() -> int | None:
    """How wide stdout's terminal is; None where it is none, so that nothing need be left out."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def render_csv(board: Leaderboard) -> str:
    """All columns in full precision, under their full names; a cell is empty where there is no value."""
    metrics = [f"val.{name}" for name in METRICS]
    head = ("rank", "trial", "state", "failure", "message", "notes", "budget", "seconds")
    lines: list[list[object]] = []
    for row in board:
        first = (
            row.rank,
            row.trial,
            row.state,
            row.failure,
            row.message,
            "; ".join(row.notes),
            row.budget,
            row.seconds,
        )
        found = [row.metrics.get(name) for name in metrics]
        values = ["null" if row.values.get(name, "") is None else row.values.get(name) for name in board.parameters]
        lines.append([*first, *found, *values])
    return csv_text([*head, *metrics, *board.parameters], lines)


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV in full precision; None is an empty cell, what is not finite is written as nan, inf or -inf."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return out.getvalue()


def short_names(names: Sequence[str]) -> list[str]:
    """Dotted names cut to as many last words as say which key of the config is meant.

    `pretrain.imp_ratio` → `imp_ratio`; what lies deeper keeps its parent (`bins.kind`, `geni.heads`); `pretrain.lr` and
    `pretrain.heads` stay whole, for there are others of that last word.
    """
    known = {*names, *specs_of(TrialConfig)}
    return [_short_name(name.split("."), [each.split(".") for each in known]) for name in names]


def _short_name(own: Sequence[str], known: Sequence[Sequence[str]]) -> str:
    least = min(len(own), 1 if len(own) < 3 else 2)
    telling = (n for n in range(least, len(own)) if sum(each[-n:] == own[-n:] for each in known) == 1)
    return ".".join(own[-next(telling, len(own)) :])


def common_notes(board: Leaderboard) -> tuple[str, ...]:
    """The notes that all trials have, so that they mark none; none of them where there is a single trial."""
    if len(board) < 2:
        return ()
    return tuple(note for note in dict.fromkeys(board[0].notes) if all(note in row.notes for row in board))


def own_notes(row: Row, common: Iterable[str]) -> tuple[str, ...]:
    """The distinct notes of a trial beside the common ones."""
    return tuple(note for note in dict.fromkeys(row.notes) if note not in common)


def trials_text(numbers: Iterable[int]) -> str:
    """Trial numbers in words, runs of three and more as ranges: `trials 1, 3-6, 9`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"trial{'' if len(runs) == 1 and len(runs[0]) == 1 else 's'} {', '.join(parts)}"


def _columns(board: Leaderboard) -> list[Column]:
    def column(head: str, cells: Iterable[str], left: bool = False) -> Column:
        return Column(head, tuple(cells), left)

    common = common_notes(board)
    others = [METRICS[name] for name in _ALSO if name != board.metric.name]
    return [
        column("rank", (str(row.rank or "-") for row in board)),
        column("trial", (str(row.trial) for row in board)),
        column("state", (_state(row) for row in board), left=True),
        column(board.metric.label, (_metric(row.value) + ("*" if own_notes(row, common) else "") for row in board)),
        column("budget", (str(row.budget) for row in board)),
        column("seconds", ("-" if row.seconds is None else f"{row.seconds:.1f}" for row in board)),
        *(column(m.label, (_metric(row.metrics.get(f"val.{m.name}")) for row in board)) for m in others),
        *(
            column(short, (_value(row, name) for row in board))
            for name, short in zip(board.parameters, short_names(board.parameters), strict=True)
        ),
    ]


def _fitting(columns: list[Column], width: int | None) -> tuple[list[Column], list[str]]:
    """The columns that fit, from the left, and the heads of the others. At least four stay."""
    kept = list(columns)
    while width is not None and len(kept) > 4 and sum(c.width + _GAP for c in kept) - _GAP > width:
        kept.pop()
    return kept, [column.head for column in columns[len(kept) :]]


def _line(cells: Sequence[str], columns: Sequence[Column]) -> str:
    def padded(cell: str, column: Column) -> str:
        space = " " * (column.width - cell_len(cell))
        return cell + space if column.left else space + cell

    return (" " * _GAP).join(padded(*pair) for pair in zip(cells, columns, strict=True)).rstrip()


def _remarks(board: Leaderboard, left_out: Sequence[str]) -> list[str]:
    common = common_notes(board)
    found = [f"all trials: {note}" for note in common]
    trials_of: dict[str, list[int]] = {}
    for row in board:
        for note in own_notes(row, common):
            trials_of.setdefault(note, []).append(row.trial)
    found += [f"* {trials_text(numbers)}: {note}" for note, numbers in trials_of.items()]
    found += [f"trial {row.trial} {_state(row)}: {row.message.splitlines()[0]}" for row in board if row.message.strip()]
    if left_out:
        found.append(f"not shown for lack of width: {', '.join(left_out)}")
    return found


def _state(row: Row) -> str:
    return f"{row.state} ({row.failure})" if row.failure and row.failure != row.state else row.state


def _metric(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _value(row: Row, name: str) -> str:
    return _scalar(row.values[name]) if name in row.values else "-"


def _scalar(value: Scalar) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
