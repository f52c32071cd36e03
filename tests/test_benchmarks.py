"""Benchmarks run on a tiny graph, and write numbers and pictures; what the numbers are is not asked."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from in_process import run_here

from benchmarks import command

PNG = b"\x89PNG\r\n\x1a\n"
TINY = ["--edges", "2000", "--nodes", "300", "--backends", "torch"]
TRIAL = ["trial", *TINY, "--rounds", "1", "--pretrain-epochs", "2", "--downstream-epochs", "2"]


def run(words: list[str], repository: Path) -> subprocess.CompletedProcess[str]:
    """`python -m benchmarks.…` as a user types it."""
    started = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]]
    return subprocess.run(started, cwd=repository, capture_output=True, text=True, timeout=240)


def written(words: list[str], repository: Path, folder: Path) -> dict[str, Any]:
    """The JSON of a benchmark that ran; its picture is a PNG and its table is printed."""
    numbers, picture = folder / "numbers.json", folder / "picture.png"
    done = run([*words, "--json", str(numbers), "--plot", str(picture)], repository)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(PNG)
    found: dict[str, Any] = json.loads(numbers.read_text(encoding="utf-8"))
    assert found["benchmark"] == words[0]
    assert found["machine"]["cores"] > 0
    for rows in found["tables"].values():
        assert all(str(row[key]) in done.stdout for row in rows for key in ("backend", "rival") if key in row)
    return found


@pytest.mark.long
def test_attention_compares_rivals_and_tells_their_share_of_the_roofline(repository: Path, tmp_path: Path) -> None:
    words = ["attention", *TINY, "unfused", "--repeats", "1"]
    rows = written(words, repository, tmp_path)["tables"]["primitives"]
    assert [row["rival"] for row in rows] == ["torch", "unfused"]
    for row in rows:
        assert row["forward_ms"] > 0 and row["backward_ms"] > 0 and row["total_mb"] > row["above_mb"] >= 0
        # What moves once is less than what every edge asks for.
        assert 0 < row["forward_roofline_once"] < row["forward_roofline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["attention", "--repeats", "0"], "--repeats: 0 is no whole number above 0"),
        (["attention", "--data", "/nowhere"], "error: /nowhere: no such folder"),
        (["epoch", *TINY, "--model", "mlp"], "error: argument --model: invalid choice: 'mlp'"),
        (["search", "--backends", "torch", "--trials", "2"], "error: --trials: with backends more than --slots"),
        (["epoch", "--nodes", "100"], "error: --nodes: belongs to a random graph. Give --edges too."),
        (["epoch", *TINY, "--device", "warp"], "error: runtime.device: unknown device 'warp'"),
        (["trial", *TINY, "nope"], "--backends: nope is not there on cpu (there are: "),
    ],
)
def test_a_mistake_is_told_in_a_sentence(words: list[str], said: str, repository: Path) -> None:
    main = import_module(f"benchmarks.{words[0]}").main
    done = run_here(partial(command.run, main), words, repository)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_epoch_tells_both_stages(repository: Path, tmp_path: Path) -> None:
    rows = written(["epoch", *TINY, "unfused", "--epochs", "1"], repository, tmp_path)["tables"]["epochs"]
    stages = [(stage, rival) for stage in ("pretrain", "downstream") for rival in ("torch", "unfused")]
    assert [(row["stage"], row["backend"]) for row in rows] == stages
    assert [row["faster"] == 1.0 for row in rows] == [rival == "torch" for _, rival in stages]


@pytest.mark.long
def test_epoch_tells_the_peak_of_pretraining(repository: Path, tmp_path: Path) -> None:
    # Large enough that an epoch's arrays are no remainder of what the process holds anyway.
    words = ["epoch", *TINY, "unfused", "--edges", "20000", "--nodes", "3000", "--peak"]
    fused, unfused = written(words, repository, tmp_path)["tables"]["peaks"]
    for row in (fused, unfused):
        assert row["total_mb"] >= row["before_mb"] + row["above_mb"] > row["before_mb"] > 0
    # Rows of every edge and head are what the other keeps none of.
    assert unfused["above_mb"] > 2 * fused["above_mb"]


@pytest.mark.long
def test_trial_tells_seconds_and_memory(repository: Path, tmp_path: Path) -> None:
    (row,) = written(TRIAL, repository, tmp_path)["tables"]["trials"]
    assert (row["backend"], row["faster"], row["of_other"]) == ("torch", 1.0, 1.0)
    assert row["seconds"] > 0 and row["total_mb"] > row["above_mb"]


@pytest.mark.long
def test_trials_run_side_by_side(repository: Path, tmp_path: Path) -> None:
    (row,) = written([*TRIAL, "--slots"], repository, tmp_path)["tables"]["slots"]
    assert row["ratio"] == pytest.approx(row["beside_s"] / row["alone_s"])
    assert row["processor_ratio"] > 0


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run(["epoch", *TINY, "--json", str(tmp_path / "file" / "numbers.json")], repository)
    assert "cannot be written" in done.stderr and done.stdout == ""


@pytest.mark.long
def test_searches_are_compared_by_backend(repository: Path, tmp_path: Path) -> None:
    words = ["search", "--backends", "torch", "--trials", "3", "--rounds", "1", "--slots", "1"]
    (row,) = written(words, repository, tmp_path)["tables"]["trials"]
    assert row["seconds"] > 0 and row["faster"] == 1.0
