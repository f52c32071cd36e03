"""What is said of scores that differ and yet have one label, or labels too near to each other for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from licap.config import DataConfig
from licap.datasets import inspect_dataset, load_raw
from licap.datasets.scores import score_notes


@pytest.mark.parametrize("scores", [np.arange(120.0), 13.0 + np.arange(500.0) ** 2, np.full(60, 5.0), np.empty(0)])
def test_usual_scores_give_no_note(scores: np.ndarray) -> None:
    assert score_notes(scores) == ()


@pytest.mark.parametrize(("unit", "lost"), [(1e-8, 0), (3e-20, 0), (1e-50, 119), (1e-45, 34)])
def test_scores_too_small_for_float32_are_counted(unit: float, lost: int) -> None:
    notes = score_notes(unit * np.arange(1, 121))
    assert [note for note in notes if "have the label of another" in note] == [
        note for note in notes if note.startswith(f"{lost} of 120 distinct scores") and lost
    ]
    assert any("standard deviation" in note for note in notes) == (unit > 1e-49)


def test_scores_too_near_to_each_other_are_counted() -> None:
    first, *_ = score_notes(1e9 + np.arange(100.0))
    lost = 100 - np.unique(np.log(1e9 + np.arange(100.0)).astype(np.float32)).size
    assert first.startswith(f"{lost} of 100 distinct scores") and "rescale the scores" in first


def test_small_scores_are_noted_with_a_remedy_by_look_and_training_alike(tsv: Any) -> None:
    tsv.nodes = [f"n{i:03}\t{1e-8 * (1 + i)!r}\t1\t\t" for i in range(60)]
    config: DataConfig = tsv.write()
    note = "Labels have a standard deviation of 1.7e-07, less than a model learns without help. Set downstream.labels"
    report = inspect_dataset(config)
    assert f"note: {note}" in report
    assert any(note in each for each in load_raw(config).notes)
    assert "labels, log(1 + importance): 1e-08 to 6e-07, median 3.05e-07" in report
    assert "suggested: pretrain.bins.length=1.2e-08 " in report


def test_labels_of_pickles_are_looked_at_before_they_are_rounded(pickles: Any) -> None:
    pickles.graph["labels"] = 1e9 + np.arange(len(pickles.graph["labels"])) / 7
    assert any("have the label of another" in note for note in load_raw(pickles.write()).notes)
