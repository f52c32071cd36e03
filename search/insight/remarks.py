"""What a reader of a comparison must know: what was left out, what is missing, what few pairs cannot show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from licap.fields import Scalar
from licap.metrics import says_nothing
from search.insight.axes import Axis
from search.insight.cells import LEVEL, Contrast, MetricTable, Run
from search.insight.leaderboard import Leaderboard
from search.insight.render import trials_text
from search.insight.statistics import least_pairs, smallest_p
from search.space import SearchSpace
from search.study import STATES

# What repeats a measurement; other searched parameters make it another one.
_REPEATS = {"fold": "folds", "seed": "seeds"}
Axes = tuple[Axis, Axis]


def averaged_over(runs: Sequence[Run], axes: Axes) -> str:
    """What repeats the measurement of a cell, in words: `5 folds and 2 seeds`; empty where nothing does."""
    counts = {name: len({run.config[name] for run in runs if run.counts}) for name in _repeats(runs, axes)}
    return " and ".join(f"{count} {_REPEATS[name]}" for name, count in counts.items() if count > 1)


def remarks(
    board: Leaderboard,
    runs: Sequence[Run],
    repeated: Sequence[int],
    axes: Axes,
    baseline: int,
    tables: Sequence[MetricTable],
    space: SearchSpace,
) -> tuple[str, ...]:
    """Sentences for people, one each.

    runs: all trials but the repeated ones, whether or not they count. baseline: the column compared with.
    """
    return (
        *_on_tests([cell.contrast for table in tables for row in table.cells for cell in row], runs, axes),
        *_on_progress(board, space),
        *_on_left_out(board, repeated),
        *_on_missing(runs, axes),
        *_on_other_parameters(runs, axes, baseline, space),
        *_on_notes(board),
    )


def _on_tests(contrasts: Iterable[Contrast | None], runs: Sequence[Run], axes: Axes) -> Iterator[str]:
    tested = [each for each in contrasts if each is not None and each.pairs]
    least, level = least_pairs(LEVEL), f"{100 * LEVEL:g} %"
    few = sorted({each.pairs for each in tested if each.pairs < least})
    if few:
        where = "In some cells p" if any(each.pairs >= least for each in tested) else "p"
        pairs = f"{few[0]} to {few[-1]} pairs" if len(few) > 1 else f"{few[0]} pair{'' if few == [1] else 's'}"
        yield (
            f"{where} rests on {pairs}, too few for the Wilcoxon signed-rank test to reach {level} however clear the "
            f"win: with {few[-1]} the smallest two-sided p is 2/2^{few[-1]} = {smallest_p(few[-1]):.4g}. "
            f"{least} pairs would do, as with more seeds."
        )
    if any(each.pairs >= least > each.differing > 0 for each in tested):
        yield (
            f"Pairs without a difference do not count in the test: where fewer than {least} differ, p cannot reach "
            f"{level}."
        )
    if len(tested) > 1:
        folds = " Folds share training nodes: pairs are not independent, and p is rather too small."
        yield (
            f"{len(tested)} tests were made, and p is that of each alone."
            f"{folds if 'fold' in _repeats(runs, axes) else ''}"
        )


def _on_progress(board: Leaderboard, space: SearchSpace) -> Iterator[str]:
    if len(board) < space.num_trials:
        yield f"{len(board)} of {space.num_trials} trials have been started."


def _on_left_out(board: Leaderboard, repeated: Sequence[int]) -> Iterator[str]:
    for state in STATES:
        numbers = [row.trial for row in board if row.state == state != "complete"]
        if numbers:
            yield f"Left out, not complete ({state}): {trials_text(numbers)}."
    unranked = [row for row in board if row.state == "complete" and row.rank is None]
    undefined = [row.trial for row in unranked if any(says_nothing(note) for note in row.notes)]
    if undefined:
        yield f"Left out, for their predictions or labels are all equal and have no ranks: {trials_text(undefined)}."
    without = [row.trial for row in unranked if row.trial not in undefined]
    if without:
        yield f"Left out, for want of a finite {board.metric.label}: {trials_text(without)}."
    if repeated:
        yield f"Left out, for an earlier trial has the same config: {trials_text(repeated)}."


def _on_missing(runs: Sequence[Run], axes: Axes) -> Iterator[str]:
    """Cells that lack folds or seeds which other trials have; of cells that no trial was meant for, nothing."""
    names = _repeats(runs, axes)
    everywhere = {_values(run, names) for run in runs}
    lacking: dict[int, list[str]] = {}
    for place in sorted({run.place for run in runs}):
        have = {_values(run, names) for run in runs if run.place == place and run.counts}
        if len(have) < len(everywhere):
            lacking.setdefault(len(have), []).append(_place_text(place, axes))
    what = " and ".join(_REPEATS[name] for name in names)
    for count, places in sorted(lacking.items()):
        how_many = f"Only {count} of {len(everywhere)} {what}" if names else "Without a complete trial"
        yield f"{how_many}: {'; '.join(places)}."


def _on_other_parameters(runs: Sequence[Run], axes: Axes, baseline: int, space: SearchSpace) -> Iterator[str]:
    counted = [run for run in runs if run.counts]
    cells = {place: [run for run in counted if run.place == place] for place in {run.place for run in counted}}
    own = {name for axis in axes for name in axis.names} | set(_REPEATS)
    others = [parameter.name for parameter in space.parameters if parameter.name not in own]
    widest = {name: max(len({run.config[name] for run in cell}) for cell in cells.values()) for name in others}
    averaged = [f"{name} ({count} values)" for name, count in widest.items() if count > 1]
    if averaged:
        yield f"Cells average over what else was searched: {', '.join(averaged)}."
    one_sided = [name for name in others if _on_one_side(name, cells, baseline)]
    if one_sided:
        yield f"Counts in some of the compared columns only, so that pairs do not share it: {', '.join(one_sided)}."


def _on_notes(board: Leaderboard) -> Iterator[str]:
    """What the trials that count say about their own values."""
    trials_of: dict[str, list[int]] = {}
    for row in board.ranked:
        for note in row.notes:
            trials_of.setdefault(note, []).append(row.trial)
    for note, numbers in trials_of.items():
        everywhere = set(numbers) == {row.trial for row in board.ranked}
        yield f"{'All trials' if everywhere else trials_text(numbers).capitalize()}: {note}."


def _on_one_side(name: str, cells: dict[tuple[int, int], list[Run]], baseline: int) -> bool:
    """Whether a parameter counts in a cell and not in the baseline's cell of the row, or the other way round."""
    counting = {place: any(name in run.counting for run in cell) for place, cell in cells.items()}
    return any(counting.get((row, baseline), there) != there for (row, _), there in counting.items())


def _repeats(runs: Sequence[Run], axes: Axes) -> list[str]:
    """`fold`, `seed`, or both: what is on neither axis and takes several values."""
    on_axes = {name for axis in axes for name in axis.names}
    return [name for name in _REPEATS if name not in on_axes and len({run.config[name] for run in runs}) > 1]


def _values(run: Run, names: Sequence[str]) -> tuple[Scalar, ...]:
    return tuple(run.config[name] for name in names)


def _place_text(place: tuple[int, int], axes: Axes) -> str:
    return " × ".join(axis.labels[index] for axis, index in zip(axes, place, strict=True))
