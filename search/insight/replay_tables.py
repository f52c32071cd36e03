"""A replay and a table of foresight in words: plain text, Markdown, and CSV for programs."""

from __future__ import annotations

import math
from collections.abc import Callable

from search.insight.foresight import DRAWS, LEVEL, Foresight, ForesightTable
from search.insight.render import csv_text
from search.insight.replays import NEAR, Replay, Replayed
from search.insight.sheets import Sheet, sheet_markdown, sheet_text
from search.insight.simulation import Spread

REPLAY_FORMATS = ("text", "md", "csv")


def replay_words(replay: Replay, form: str) -> str:
    """A line for each pruner. form: one of `REPLAY_FORMATS`."""
    return _replay_csv(replay) if form == "csv" else _words(_replay_sheet(replay), form)


def foresight_words(table: ForesightTable, form: str) -> str:
    """A line for each metric. form: one of `REPLAY_FORMATS`."""
    return _foresight_csv(table) if form == "csv" else _words(_foresight_sheet(table), form)


def percent(share: float) -> str:
    """`5 %`."""
    return f"{100 * share:.0f} %"


def _words(sheet: Sheet, form: str) -> str:
    return sheet_markdown(sheet) if form == "md" else sheet_text(sheet)


def _replay_sheet(replay: Replay) -> Sheet:
    searches = max(row.searches for row in replay.rows)
    slots = f", {replay.slots} at a time" if replay.slots > 1 else ""
    own = "" if replay.signal.name == f"val.{replay.metric.name}" else f" Rungs rank by {_signal(replay)}."
    return Sheet(
        title=(
            f"study {replay.study}: {replay.trials} recorded trials, {replay.epochs:,} epochs, best validation "
            f"{replay.metric.label} {replay.best:.4f}.",
            f"Over {searches} orders{slots}: median, and the middle 90 % of the orders.{own}",
            "Costs are shares of all epochs; without pruner: the regret of the same orders after as many epochs.",
        ),
        heads=(
            "pruner",
            "rungs",
            "cost",
            "finished",
            "regret",
            "without pruner",
            "found the best",
            f"cost to within {percent(NEAR)}",
        ),
        rows=tuple(
            (
                row.label,
                _rungs(row),
                _shares(row.cost),
                _spread(row.finished, "{:.0f}".format),
                _spread(row.regret, "{:.4f}".format),
                _spread(row.unpruned, "{:.4f}".format),
                percent(row.hits),
                _shares(row.near),
            )
            for row in replay.rows
        ),
        notes=replay.notes,
    )


def _signal(replay: Replay) -> str:
    return f"{replay.signal.name} ({'larger' if replay.signal.direction == 'max' else 'smaller'} is better)"


def _rungs(row: Replayed) -> str:
    text = ", ".join(map(str, row.rungs))
    return f"from {text}" if row.pruner.name == "median" else text or "-"


def _shares(values: Spread) -> str:
    return _spread(values, percent)


def _spread(values: Spread, form: Callable[[float], str]) -> str:
    low, median, high = (
        "never" if math.isinf(each) else form(each) for each in (values.low, values.median, values.high)
    )
    return median if low == high else f"{median} ({low} to {high})"


def _replay_csv(replay: Replay) -> str:
    spreads = ("cost", "finished", "regret", "unpruned", "near")
    heads = ["label", "pruner", "sampler", "grace", "reduction", "stage", "rungs", "signal", "slots", "searches"]
    heads += ["trials", "epochs", "best", "hits", *(f"{n}_{q}" for n in spreads for q in ("median", "low", "high"))]
    rows = []
    for row in replay.rows:
        config = row.pruner
        own = [row.label, config.name, row.sampler, config.grace, config.reduction, config.stage]
        own += [" ".join(map(str, row.rungs)), replay.signal.name, replay.slots, row.searches]
        quantiles = [q for s in _spreads(row) for q in (s.median, s.low, s.high)]
        rows.append([*own, replay.trials, replay.epochs, replay.best, row.hits, *quantiles])
    return csv_text(heads, rows)


def _spreads(row: Replayed) -> tuple[Spread, ...]:
    return row.cost, row.finished, row.regret, row.unpruned, row.near


def _foresight_sheet(table: ForesightTable) -> Sheet:
    return Sheet(
        title=(
            f"study {table.study}: Kendall's tau between each recorded metric and the final validation "
            f"{table.metric.label}, over {table.trials} complete trials.",
            f"Positive where larger goes with better. In brackets the {percent(LEVEL)} interval of {DRAWS:,} bootstrap "
            "samples of the trials; * marks the strongest at a budget.",
        ),
        heads=("metric", *(f"{b} ({stage})" for b, stage in zip(table.budgets, table.stages, strict=True))),
        rows=tuple((name, *map(_tau, cells)) for name, cells in zip(table.names, table.cells, strict=True)),
        notes=(*table.notes, *_cautions(table)),
    )


def _tau(cell: Foresight | None) -> str:
    if cell is None or cell.tau is None:
        return "-"
    interval = "" if cell.interval is None else f" ({cell.interval[0]:+.2f} to {cell.interval[1]:+.2f})"
    return f"{cell.tau:+.2f}{interval}{'*' if cell.best else ''}"


def _cautions(table: ForesightTable) -> list[str]:
    columns = zip(*table.cells, strict=True)
    counts = [max((cell.trials for cell in column if cell is not None), default=0) for column in columns]
    fewer = [
        f"{count} at {budget}" for budget, count in zip(table.budgets, counts, strict=True) if count < table.trials
    ]
    notes = [f"Fewer trials report: {', '.join(fewer)}."] if fewer else []
    return [*notes, "The strongest of many metrics looks stronger than it is: confirm it on another study."]


def _foresight_csv(table: ForesightTable) -> str:
    rows = [
        (name, budget, stage, cell.tau, *(cell.interval or (None, None)), cell.trials, str(cell.best).lower())
        for name, cells in zip(table.names, table.cells, strict=True)
        for budget, stage, cell in zip(table.budgets, table.stages, cells, strict=True)
        if cell is not None
    ]
    return csv_text(("metric", "budget", "stage", "tau", "low", "high", "trials", "strongest"), rows)
