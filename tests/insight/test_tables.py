"""A comparison for eyes, for papers and for programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

import pytest
from comparison_cases import GRID, grid, quality, trials_of
from hypothesis import given
from hypothesis import strategies as st

from licap.metrics import METRICS
from search.insight import COMPARISON_FORMATS, Comparison, compare
from search.insight.tables import latex, markdown

NASTY = r"my_data/50% & #1 <b>|*x* $\{~^}"


def table(*metrics: str, rows: str = "data.features", text: str = GRID) -> Comparison:
    space = grid(text)
    trials = [trial for trial in trials_of(space, quality) if trial.number < 25]
    return compare(
        trials, space, study="my_grid", rows=[rows], columns=["downstream.input"], baseline=None, metrics=metrics
    )


def test_the_text_has_a_second_line_for_what_sets_a_row_apart() -> None:
    lines = COMPARISON_FORMATS["text"](table("spearman", "rmse")).splitlines()
    assert lines[0] == "study my_grid: data.features by downstream.input"
    assert lines[1].startswith(
        "Mean ± standard deviation (n − 1 in the denominator) over 5 folds, on the validation nodes."
    )
    assert "improvement of the mean over downstream.input = features in percent, positive where better" in lines[1]
    assert lines[3:9] == [
        "Spearman (larger is better)",
        "data.features         features        embeddings  features+embeddings",
        "struct         0.7000 ± 0.1581   0.7408 ± 0.1587      0.7816 ± 0.1594",
        "                                +5.8 %, p 0.0625    +11.7 %, p 0.0625",
        "semantic       0.7000 ± 0.1581   0.7408 ± 0.1587                    -",
        "                                +5.8 %, p 0.0625",
    ]
    assert lines[10] == "RMSE (smaller is better)"
    notes = [line for line in lines if line.startswith("Note: ")]
    assert notes and notes[0].startswith("Note: p rests on 5 pairs, too few")


def test_a_trial_of_each_cell_has_no_deviation() -> None:
    text = COMPARISON_FORMATS["text"](
        table("spearman", text=GRID.replace("int, low: 0, high: 4", "categorical, choices: [3]"))
    )
    assert "0.8000" in text and "0.8412" in text and "± 0" not in text
    assert "Mean ± standard deviation (n − 1 in the denominator), on" in text


def test_markdown_and_latex_set_the_best_of_a_row_in_bold() -> None:
    text = COMPARISON_FORMATS["md"](table("spearman", "rmse"))
    assert "### RMSE (smaller is better)\n\n| data.features | features |" in text
    assert (
        "| struct | 0.7000 ± 0.1581 | 0.7408 ± 0.1587 (+5.8 %, p 0.0625) | **0.7816 ± 0.1594** (+11.7 %, p 0.0625) |"
        in text
    )
    assert "| semantic | 0.7000 ± 0.1581 | **0.7408 ± 0.1587** (+5.8 %, p 0.0625) | - |" in text
    assert "**0.7184 ± 0.1594** (+10.2 %, p 0.0625)" in text
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("|")}
    assert widths == {3}
    text = COMPARISON_FORMATS["tex"](table("spearman", "rmse"))
    assert r"struct & 0.7000 $\pm$ 0.1581 & 0.7408 $\pm$ 0.1587 & \textbf{0.7816 $\pm$ 0.1594} \\" in text
    assert r" &  & {\footnotesize +5.8 \%, p 0.0625} & {\footnotesize +11.7 \%, p 0.0625} \\" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert (
        r"\caption{RMSE (smaller is better). Mean $\pm$ standard deviation (n $-$ 1 in the denominator) over 5 folds"
        in text
    )
    assert r"\label{tab:my_grid-rmse}" in text and "too few for the Wilcoxon" in text


def test_worse_than_the_baseline_has_a_minus_in_latex() -> None:
    space = grid()
    trials = trials_of(space, lambda config: -quality(config))
    worse = compare(
        trials,
        space,
        study="a",
        rows=["data.features"],
        columns=["downstream.input"],
        baseline=None,
        metrics=["spearman"],
    )
    text = COMPARISON_FORMATS["tex"](worse)
    assert r"\textbf{$-$0.7000 $\pm$ 0.1581}" in text and r"$-$5.8 \%" in text
    assert "-5.8 %, p 0.0625" in COMPARISON_FORMATS["text"](worse)


def test_next_to_nothing_has_no_minus() -> None:
    space = grid()
    trials = trials_of(space, lambda c: 0.5 if c.downstream.input == "features" else 0.4999999)
    made = compare(
        trials, space, study="a", rows=["fold"], columns=["downstream.input"], baseline=None, metrics=["spearman"]
    )
    text = COMPARISON_FORMATS["text"](made)
    assert "+0.0 %" in text and "-0.0" not in text


@pytest.mark.parametrize("name", ["md", "tex"])
def test_what_a_value_holds_is_shown_and_not_obeyed(name: str) -> None:
    text = GRID.replace("config: {", f"config: {{data.path: {NASTY!r}, ".replace("\\\\", "\\"))
    made = table("spearman", rows="data.path", text=text)
    assert made.rows.labels == (NASTY,)
    escape = markdown if name == "md" else latex
    lines = [line for line in COMPARISON_FORMATS[name](made).splitlines() if "my" in line and "data/50" in line]
    assert lines and all(escape(NASTY) in line for line in lines)


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_escaped_text_reads_back_whole(text: str) -> None:
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown(text)) == text
    assert not re.search(r"(?<!\\)[_*|<>`~&$\[\]]", re.sub(r"\\\\", "", markdown(text)))
    commands = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}
    commands |= {r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|"}
    back = re.sub(r"\\text\w+\{\}|\\[&%$#_{}]", lambda found: commands.get(found[0], found[0][1:]), latex(text))
    assert back == text


def test_csv_has_a_line_for_each_row_column_and_metric_in_full_precision() -> None:
    made = table()
    lines = list(csv.DictReader(io.StringIO(COMPARISON_FORMATS["csv"](made))))
    assert len(lines) == 2 * 3 * len(METRICS)
    first, second = (
        each
        for each in lines
        if each["metric"] == "rmse"
        and each["data.features"] == "struct"
        and each["n"] == "5"
        and each["downstream.input"] != "features+embeddings"
    )
    assert (first["baseline"], first["p"], first["pairs"]) == ("", "", "")
    found = next(each for each in made.tables if each.metric.name == "rmse").cells[0][1]
    assert found.contrast is not None and found.contrast.interval is not None
    assert (float(second["mean"]), float(second["std"]), int(second["n"])) == (found.mean, found.std, 5)
    assert (second["baseline"], second["direction"], float(second["p"])) == ("features", "min", 0.0625)
    assert float(second["improvement_percent"]) == found.contrast.improvement
    assert (float(second["low"]), float(second["high"])) == found.contrast.interval
    assert float(second["difference"]) == found.contrast.difference and second["pairs"] == "5"
    empty = [each for each in lines if each["n"] == "0"]
    assert len(empty) == len(METRICS) and all(each["mean"] == each["std"] == each["pairs"] == "" for each in empty)


@pytest.mark.parametrize("name", COMPARISON_FORMATS)
def test_every_format_ends_with_one_line_end_and_does_without_notes(name: str) -> None:
    text = COMPARISON_FORMATS[name](dataclasses.replace(table("spearman"), notes=()))
    assert text.endswith("\n") and not text.endswith("\n\n") and "too few" not in text
