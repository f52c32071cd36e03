"""Resuming a study that has all of its trials: what a kill left is mended, and nothing else is touched."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest
from damages import (
    Copy,
    change_best,
    change_state,
    change_study_state,
    delete_run,
    leave_lock,
    lose_database,
    lose_end,
    lose_experiment,
    purge_run,
    reopen_run,
    spoil_header,
    tear_tail,
)

from search.run import main as resume
from search.study import Proposed, Study


@pytest.mark.parametrize(
    "damages",
    [(purge_run, leave_lock, tear_tail), (delete_run, change_study_state), (change_state, change_best, lose_end),
     (reopen_run,), (lose_database,)],
)  # fmt: skip
def test_resuming_a_study_that_has_all_its_trials_mends_what_a_kill_left(
    copy: Copy, damages: Sequence[Callable[[Copy], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = Study.open(copy.root, "small").trials()
    # Runs that are written again must not write into the search that was copied.
    home = str(copy.root / "artifacts")
    copy.sql("UPDATE experiments SET artifact_location = ?", home)
    copy.sql("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", home)
    for damage in damages:
        damage(copy)
    assert resume(["--resume", "--study", "small", "--root", str(copy.root)]) == 0
    assert (
        "all 8 trials are there already; nothing is left to do\nbut this differs from its record"
        in capsys.readouterr().err
    )
    code, lines = copy.check()
    assert code == 0, "\n".join(lines)
    assert Study.open(copy.root, "small").trials() == before


def test_resuming_a_study_that_is_whole_writes_nothing(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
    assert resume(["--resume", "--study", "small", "--root", str(copy.root)]) == 0
    assert capsys.readouterr().err.endswith("all 8 trials are there already; nothing is left to do\n")
    assert {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()} == before


def test_a_root_that_was_moved_says_how_its_artifacts_are_found(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = copy.root.parent / "before" / "artifacts", copy.root / "artifacts"
    new.mkdir()
    delete_run(copy)
    copy.sql("UPDATE experiments SET artifact_location = ?", old.as_uri())
    copy.sql("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", old.as_uri())
    words = ["--resume", "--study", "small", "--root", str(copy.root)]
    assert resume(words) == 2
    said = capsys.readouterr().err
    assert f"was moved here from {old.parent}" in said and not old.parent.exists()
    with closing(sqlite3.connect(copy.database)) as connection, connection:
        connection.executescript(shlex.split(said.splitlines()[-1].rpartition("sqlite3 ")[2])[1])
    assert resume(words) == 0
    assert copy.check()[0] == 0 and len(list(new.iterdir())) > 0 and not old.parent.exists()


@pytest.mark.parametrize("place", ["before", "it's been before", "früher"])
def test_a_check_finds_that_a_root_was_moved_and_names_the_command_that_mends_it(copy: Copy, place: str) -> None:
    old, new = copy.root.parent / place / "artifacts", copy.root / "artifacts"
    (new / copy.run(3) / "artifacts").mkdir(parents=True)
    (new / copy.run(3) / "artifacts" / "config.yaml").write_text("seed: 1\n", encoding="utf-8")
    copy.sql("UPDATE experiments SET artifact_location = ?", old.as_uri())
    copy.sql("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", old.as_uri())
    code, lines = copy.check()
    assert code == 1 and lines[-1] == "1 of 10 checks found differences; nothing was changed", "\n".join(lines)
    (said,) = [line for line in lines if "was moved here from" in line]
    assert f"was moved here from {old.parent}, where MLflow looks for artifacts, and lists none" in said
    (remedy,) = [line for line in lines if "say where they are now: " in line]
    program, database, statements = shlex.split(remedy.partition("`")[2].rstrip("`"))
    assert (program, database) == ("sqlite3", str(copy.database))
    with closing(sqlite3.connect(copy.database)) as connection, connection:
        connection.executescript(statements)
    assert copy.check()[0] == 0
    assert [each.path for each in copy.client.list_artifacts(copy.run(3))] == ["config.yaml"]


@pytest.mark.parametrize("damage", [spoil_header, lose_experiment])
def test_a_mend_that_fails_leaves_the_study_at_its_end(
    copy: Copy, damage: Callable[[Copy], None], capsys: pytest.CaptureFixture[str]
) -> None:
    tear_tail(copy)
    damage(copy)
    for _ in range(2):
        assert resume(["--resume", "--study", "small", "--root", str(copy.root)]) == 2
        assert "Traceback" not in capsys.readouterr().err
        end = Study.open(copy.root, "small").end
        assert end is not None and end.reason == "finished"


def test_a_study_with_trials_that_were_cut_off_says_so_where_fewer_are_asked_for(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    with Study.resume(copy.root, "small", Study.open(copy.root, "small").events[0].dataset) as study:
        study.append(Proposed(trial=8, values=study.trial(0).values, starting_point=False))
    assert resume(["--resume", "--study", "small", "--root", str(copy.root), "--trials", "5"]) == 0
    assert "8 trials have ended" in (said := capsys.readouterr().err) and "they go on with --trials 9" in said


def test_a_time_budget_that_is_used_up_is_said_before_anything_starts(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    record = copy.root / "studies" / "small" / "record.jsonl"
    before = record.read_bytes()
    assert (
        resume(["--resume", "--study", "small", "--root", str(copy.root), "--trials", "9", "--time-budget", "1s"]) == 2
    )
    said = capsys.readouterr().err
    assert "time_budget: 1 s are used up" in said and "--time-budget" in said and "starting Ray" not in said
    assert record.read_bytes() == before
