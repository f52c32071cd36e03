"""What cannot work is refused at once: one sentence, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import contextlib
import socket
import sqlite3

import pytest
from conftest_tools import Workplace
from in_process import run_here

from search.run import main

REFUSALS = {
    "a space file that is not there": (("--space", "absent.yaml"), ["absent.yaml", "no such file"]),
    "a misspelt key": (("--set", "pretrain.imp_ration=0.2"), ["--set", "pretrain.imp_ratio"]),
    "more cores than there are": (("--set", "resources.cpus=4096"), ["4096", "resources.cpus"]),
    "a GPU where there is none": (
        ("--set", "resources.gpus=64", "--set", "runtime.device=cuda"),
        ["64", "resources.gpus"],
    ),
    "a data folder that is not there": (("--set", "data.path=absent"), ["absent"]),
    "a cluster that is not there": (("--ray-address", "127.0.0.1:1"), ["127.0.0.1:1"]),
    "a name that is no study's": (("--study", "../outside"), ["../outside"]),
    "a file store for tracking": (("--tracking-uri", "./runs"), ["./runs"]),
    "more bins than the data has top nodes": (
        ("--set", "search.pretrain.bins.count.high=500"),
        ["small.yaml", "pretrain.bins.count", "500"],
    ),
    "an unknown device": (("--set", "runtime.device=warp"), ["warp", "runtime.device"]),
}


@pytest.mark.parametrize("words", REFUSALS.values(), ids=REFUSALS)
def test_it_is_refused_in_one_sentence(workplace: Workplace, words: tuple[tuple[str, ...], list[str]]) -> None:
    options, expected = words
    space = () if "--space" in options else ("--space", "small.yaml")
    done = run_here(main, ["search/run.py", *space, *options], workplace.folder, workplace.environment)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    for part in expected:
        assert part in done.stderr
    assert not (workplace.folder / "mlruns" / "studies").exists()


def test_a_root_that_is_a_file_is_refused(workplace: Workplace) -> None:
    workplace.write("mlruns", "not a folder")
    done = workplace.run("search/run.py", "--space", "small.yaml")
    assert done.returncode == 2, done.stderr
    assert "mlruns" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_that_exists_is_not_touched(workplace: Workplace) -> None:
    folder = workplace.folder / "mlruns" / "studies" / "small"
    folder.mkdir(parents=True)
    (folder / "record.jsonl").write_text("kept", encoding="utf-8")
    done = workplace.run("search/run.py", "--space", "small.yaml", "--study", "small")
    assert done.returncode == 2, done.stderr
    assert "--study" in done.stderr
    assert (folder / "record.jsonl").read_text(encoding="utf-8") == "kept"


def test_a_dry_run_trains_and_writes_nothing(workplace: Workplace) -> None:
    before = sorted(workplace.folder.iterdir())
    done = workplace.run("search/run.py", "--space", "small.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    for part in ("pretrain.imp_ratio", "small", "8"):
        assert part in done.stdout
    assert sorted(workplace.folder.iterdir()) == before


def test_a_dry_run_tells_what_is_missing_and_is_no_error(workplace: Workplace) -> None:
    for shape in ((), ("--json",)):
        done = workplace.run(
            "search/run.py", "--space", "small.yaml", "--dry-run", "--set", "data.path=data/fb15k", *shape
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "warning: data.path: data/fb15k does not exist; the search will refuse to start\n"


def test_a_taken_name_is_the_first_thing_said(workplace: Workplace) -> None:
    (workplace.folder / "mlruns" / "studies" / "small").mkdir(parents=True)
    done = workplace.run("search/run.py", "--space", "small.yaml", "--set", "data.path=absent")
    assert done.returncode == 2
    assert done.stderr.startswith("study small exists; this one is small-2")


def test_a_server_that_does_not_speak_mlflow_is_named(workplace: Workplace) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        done = workplace.run("search/run.py", "--space", "small.yaml", "--tracking-uri", address)
    assert done.returncode == 2, done.stderr
    assert address in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tracking_database_that_another_process_holds_is_named(workplace: Workplace) -> None:
    folder = workplace.folder / "mlruns"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("CREATE TABLE held (x)")
        other.commit()
        other.execute("BEGIN EXCLUSIVE")
        done = workplace.run("search/run.py", "--space", "small.yaml")
    assert done.returncode == 2, done.stderr
    assert "mlflow.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "studies").exists()
