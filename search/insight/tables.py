"""A comparison as plain text, Markdown, LaTeX, and as CSV for programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from licap.fields import Scalar
from licap.metrics import Metric
from search.insight.cells import Cell, MetricTable
from search.insight.comparison import Comparison
from search.insight.render import Column, csv_text, table_lines

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&$]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}


def comparison_text(table: Comparison) -> str:
    """A block per metric; each row takes a second line for what sets it apart from the baseline."""
    blocks = [[f"study {table.study}: {table.rows.head} by {table.columns.head}", f"{_method(table)}"]]
    for each in table.tables:
        blocks.append([_title(each.metric), *_text_block(table, each)])
    blocks.append([f"Note: {note}" for note in table.notes])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def comparison_markdown(table: Comparison) -> str:
    """A table per metric, the best cell of each row in bold."""
    parts = [f"{markdown(table.rows.head)} by {markdown(table.columns.head)}, study {markdown(table.study)}. "]
    parts[0] += markdown(_method(table))
    for each in table.tables:
        lines = markdown_head([table.rows.head, *table.columns.labels])
        for row, label in enumerate(table.rows.labels):
            best = each.best(row)
            cells = (_markdown_cell(cell, column in best) for column, cell in enumerate(each.cells[row]))
            lines.append(f"| {markdown(label)} | {' | '.join(cells)} |")
        parts.append(f"### {markdown(_title(each.metric))}\n\n" + "\n".join(lines))
    parts += ["\n".join(f"- {markdown(note)}" for note in table.notes)] if table.notes else []
    return "\n\n".join(parts) + "\n"


def comparison_latex(table: Comparison) -> str:
    """A `table` per metric that needs no package, the best cell of each row in bold; the notes below each."""
    return "\n".join(_latex_table(table, each) for each in table.tables)


def comparison_csv(table: Comparison) -> str:
    """A line for each row, column and metric, in full precision; a field is empty where there is no value.

    difference: mean over the pairs of this column minus the baseline; low, high: its 95 % interval.
    """
    head = ("metric", "direction", "mean", "std", "n", "baseline", "improvement_percent", "p", "pairs")
    lines: list[list[object]] = []
    baseline = table.columns.labels[table.baseline]
    for each in table.tables:
        for row, values in enumerate(table.rows.values):
            for column, cell in enumerate(each.cells[row]):
                names = map(_csv_value, (*values, *table.columns.values[column]))
                lines.append([*names, each.metric.name, each.metric.direction, *_csv_cell(cell, baseline)])
    return csv_text([*table.rows.names, *table.columns.names, *head, "difference", "low", "high"], lines)


COMPARISON_FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "text": comparison_text,
    "md": comparison_markdown,
    "tex": comparison_latex,
    "csv": comparison_csv,
}


def markdown(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", text)


def latex(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_LATEX.get(each, each) for each in text)


def _method(table: Comparison) -> str:
    """How to read the cells."""
    over = f" over {table.over}" if table.over else ""
    words = f"Mean ± standard deviation (n − 1 in the denominator){over}, on the validation nodes."
    if not any(cell.contrast for each in table.tables for row in each.cells for cell in row):
        return words
    return (
        f"{words} With it the improvement of the mean over {table.columns.head} = "
        f"{table.columns.labels[table.baseline]} in percent, positive where better, and p of the two-sided Wilcoxon "
        "signed-rank test on pairs that share everything else."
    )


def _title(metric: Metric) -> str:
    return f"{metric.label} ({'larger' if metric.direction == 'max' else 'smaller'} is better)"


def _spread(cell: Cell) -> str:
    if cell.mean is None:
        return "-"
    return _number(cell.mean) + ("" if cell.std is None else f" ± {_number(cell.std)}")


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4g}"


def _improvement(cell: Cell) -> str:
    value = cell.contrast.improvement if cell.contrast else None
    if value is None:
        return ""
    # Never "-0.0".
    return f"{round(value, 1) + 0.0:+.1f}" if abs(value) < 1e5 else f"{value:+.3g}"


def _p(cell: Cell) -> str:
    value = cell.contrast.p if cell.contrast else None
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p {value:.3g}"


def _apart(cell: Cell) -> str:
    """Improvement and p: `+8.3 %, p 0.0625`."""
    better = _improvement(cell)
    return ", ".join(word for word in (f"{better} %" if better else "", _p(cell)) if word)


def _text_block(table: Comparison, each: MetricTable) -> list[str]:
    two_lines = [any(_apart(cell) for cell in row) for row in each.cells]

    def doubled(cells: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        return tuple(line for cell, two in zip(cells, two_lines, strict=True) for line in (cell if two else cell[:1]))

    columns = [Column(table.rows.head, doubled([(label, "") for label in table.rows.labels]), left=True)]
    for index, label in enumerate(table.columns.labels):
        own = [row[index] for row in each.cells]
        columns.append(Column(label, doubled([(_spread(cell), _apart(cell)) for cell in own])))
    return table_lines(columns)


def markdown_head(heads: Sequence[str]) -> list[str]:
    """The first two lines of a table; the first column holds names, the others figures."""
    return [markdown_line(heads), f"| --- |{' ---: |' * (len(heads) - 1)}"]


def markdown_line(cells: Sequence[str]) -> str:
    """A line of a table, its words as they are."""
    return f"| {' | '.join(map(markdown, cells))} |"


def _markdown_cell(cell: Cell, best: bool) -> str:
    spread, apart = _spread(cell), _apart(cell)
    return (f"**{spread}**" if best else spread) + (f" ({markdown(apart)})" if apart else "")


def _latex_table(table: Comparison, each: MetricTable) -> str:
    lines = [_latex_line([table.rows.head, *table.columns.labels]), r"\hline"]
    for row, label in enumerate(table.rows.labels):
        best = each.best(row)
        lines.append(" & ".join([latex(label), *(_latex_cell(c, i in best) for i, c in enumerate(each.cells[row]))]))
        lines[-1] += r" \\"
        if any(_apart(cell) for cell in each.cells[row]):
            lines.append(" & ".join(["", *map(_latex_apart, each.cells[row])]) + r" \\")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(_title(each.metric))}. {latex(_method(table))}}}",
            rf"\label{{tab:{table.study}-{each.metric.name}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            *_latex_notes(table.notes),
            r"\end{table}",
            "",
        ]
    )


def _latex_notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize", *map(latex, notes), r"\end{minipage}"]


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"


def _latex_cell(cell: Cell, best: bool) -> str:
    # A hyphen is no minus.
    spread = latex(_spread(cell).replace("-", "−") if cell.mean is not None else "-")
    return rf"\textbf{{{spread}}}" if best else spread


def _latex_apart(cell: Cell) -> str:
    apart = _apart(cell)
    return rf"{{\footnotesize {latex(apart.replace('-', '−'))}}}" if apart else ""


def _csv_value(value: Scalar) -> Scalar:
    return "null" if value is None else value


def _csv_cell(cell: Cell, baseline: str) -> tuple[Scalar, ...]:
    contrast = cell.contrast
    if contrast is None:
        return (cell.mean, cell.std, cell.n, None, None, None, None, None, None, None)
    low, high = contrast.interval or (None, None)
    compared = (baseline, contrast.improvement, contrast.p, contrast.pairs, contrast.difference)
    return (cell.mean, cell.std, cell.n, *compared, low, high)
