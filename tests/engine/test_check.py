"""`python search/check.py` on a study that a search left, and on copies of it, each damaged in one way."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest_tools import FinishedSearch, Searches
from damages import (
    Copy,
    add_run,
    add_value,
    change_best,
    change_end,
    change_last_value,
    change_parameter,
    change_state,
    change_study_state,
    change_value,
    claim_failure,
    copied,
    delete_parent,
    delete_run,
    drop_metric,
    drop_parameter,
    drop_value,
    encode_table,
    leave_checkpoint,
    leave_lock,
    leave_temporary,
    lose_database,
    lose_end,
    narrow_space,
    purge_run,
    reopen_run,
    repeat_run,
    repeat_value,
    spoil_page,
    spoil_table,
    tear_tail,
)

from search.insight.render import trials_text
from search.study import Ended, Opened, Proposed, Study
from search.study.events import encode
from search.tracking.database_reader import readable
from search.tracking.reader import open_reader
from search.tracking.server_reader import ServerReader


@pytest.mark.parametrize("name", ["one slot", "in adversity"])
def test_what_a_search_left_agrees(
    searches: Searches, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = copied(searches[name], tmp_path, capsys).check()
    assert code == 0, "\n".join(lines)
    checks = ["record", "lock", "files", "table", "database", "runs", "states", "parameters", "values", "Optuna"]
    assert [line.split()[:2] for line in lines[1:-1]] == [["ok", f"{check}:"] for check in checks]
    assert lines[-1].startswith("record, folder, MLflow and Optuna agree on ")


def test_the_command_ends_with_a_code_that_scripts_can_use(finished: FinishedSearch) -> None:
    done = finished.place.run("search/check.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("study small: 8 trials: ") and done.stdout.endswith("agree on 8 trials\n")
    missing = finished.place.run("search/check.py", "smal")
    assert missing.returncode == 2 and "there is no study smal; did you mean small?" in missing.stderr


@pytest.mark.parametrize(
    ("damage", "check", "said", "remedy"),
    [
        (delete_run, "runs", "trial 3: pruned in the record, its run ", "mlflow runs restore"),
        (purge_run, "runs", "trial 3: pruned in the record, without a run in MLflow", "search/run.py --resume"),
        (delete_parent, "runs", "the study's own run ", "mlflow runs restore"),
        (add_run, "runs", "of trial 3, is one too many", "mlflow runs delete"),
        (repeat_run, "runs", "of trial 99, is one too many", "mlflow runs delete"),
        (reopen_run, "states", "trial 3: pruned, and has MLflow's status RUNNING instead of KILLED", "--resume"),
        (change_state, "states", "trial 3: pruned in the record, interrupted in MLflow", "search/run.py --resume"),
        (change_end, "states", "trial 3: tag stage should be 'downstream', MLflow says 'elsewhere'", "runs delete"),
        (claim_failure, "states", "trial 3: MLflow calls it a failure (oom), the record does not", "runs delete"),
        (change_study_state, "states", "the study's own run says running, the record complete", "--resume"),
        (change_parameter, "parameters", "trial 0: pretrain.imp_ratio is 0.2 in the record, 0.9 in MLflow", "delete"),
        (drop_parameter, "parameters", "trial 0: downstream.lr is 0.005 in the record, missing in MLflow", "delete"),
        (drop_metric, "values", "trial 3: MLflow lacks ", "mlflow runs delete"),
        (drop_value, "values", "trial 0: MLflow lacks 1 value: val.rmse at 7", "mlflow runs delete"),
        (repeat_value, "values", "trial 0: MLflow holds 1 value more than once: val.rmse at 7", "runs delete"),
        (change_value, "values", "trial 0: MLflow holds 1 value other than recorded: val.rmse at 7 (77.0, ", "delete"),
        (add_value, "values", "trial 0: MLflow holds 1 value that nobody recorded: val.rmse at 9999", "runs delete"),
        (change_last_value, "values", "trial 0: what MLflow's tables show as last value", "mlflow runs delete"),
        (change_best, "values", "the study's own run lacks values of the best trial", "search/run.py --resume"),
        (leave_checkpoint, "files", "trial 3: is pruned, and its checkpoint ", "rm "),
        (leave_temporary, "files", "a temporary file is left: ", "rm "),
        (leave_lock, "lock", "process 4242 on elsewhere held it and is gone", "search/run.py --resume"),
        (lose_end, "lock", "the record has no end of the search", "search/run.py --resume"),
        (spoil_table, "table", "trial 3: pruned in the record, failed in leaderboard.csv", "search/summarize.py"),
        (encode_table, "table", "in the record, not there in leaderboard.csv", "search/summarize.py"),
        (spoil_page, "database", "SQLite: ", "sqlite3 "),
        (lose_database, "runs", "there is no tracking database", "the record is whole"),
        (tear_tail, "record", "record.jsonl ends in a torn line of 15 bytes", "search/run.py --resume"),
        (narrow_space, "Optuna", "", "restore them from a copy"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_each_damage_is_named_with_its_remedy(
    copy: Copy, damage: Callable[[Copy], None], check: str, said: str, remedy: str
) -> None:
    damage(copy)
    code, lines = copy.check()
    assert code == 1, "\n".join(lines)
    place = next(place for place, line in enumerate(lines) if line.startswith(f"differs  {check}: "))
    below = lines[place + 1 : place + 4]
    assert said in below[0] and remedy in "\n".join(below), "\n".join(lines)
    assert lines[-1].endswith("nothing was changed")


def test_all_that_differs_is_said_at_once(copy: Copy) -> None:
    for damage in (delete_run, change_parameter, drop_value, leave_checkpoint, leave_lock):
        damage(copy)
    code, lines = copy.check()
    assert code == 1
    differing = [line.split()[1] for line in lines if line.startswith("differs")]
    assert differing == ["lock:", "files:", "runs:", "parameters:", "values:"]
    assert lines[-1] == "5 of 10 checks found differences; nothing was changed"


def test_many_differences_are_told_in_few_lines(copy: Copy) -> None:
    copy.sql("DELETE FROM tags WHERE key = 'study' AND run_uuid != ?", copy.parent())
    for number in range(100, 140):
        (copy.folder / "checkpoints").mkdir(exist_ok=True)
        (copy.folder / "checkpoints" / f"{number}.pt").write_bytes(b"")
    code, lines = copy.check()
    assert code == 1 and "and 20 more" in [line.strip() for line in lines]
    pruned = [trial.number for trial in Study.open(copy.root, "small").trials() if trial.state == "pruned"]
    assert f"{trials_text(pruned)}: pruned in the record, without a run in MLflow" in [line.strip() for line in lines]


def test_a_damaged_line_is_named_with_its_number(copy: Copy) -> None:
    lines = copy.record.read_bytes().splitlines(keepends=True)
    copy.record.write_bytes(b"".join([*lines[:6], b"{not json}\n", *lines[7:]]))
    code, said = copy.check()
    assert code == 2 and len(said) == 1 and "record.jsonl:7: damaged line" in said[0]


def test_a_running_search_is_not_reproached_with_what_lags(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    with Study.resume(copy.root, "small", Study.open(copy.root, "small").events[0].dataset) as study:
        for number in (8, 9):
            study.append(Proposed(trial=number, values=study.trial(0).values, starting_point=False))
        study.append(Ended(trial=8, state="complete", failure=None, message="", budget=0, seconds=0.0))
        (copy.folder / "checkpoints").mkdir(exist_ok=True)
        (copy.folder / "checkpoints" / "8.pt").write_bytes(b"about to be removed")
        code, lines = copy.check()
        # By then it should be there.
        monkeypatch.setattr("search.engine.subject.SETTLED_S", 0.0)
        late_code, late = copy.check()
    assert code == 0, "\n".join(lines)
    assert lines[1].startswith("The search is running. MLflow may lag behind on ")
    assert any("which runs the search: states may lag" in line for line in lines)
    assert late_code == 1
    place = late.index(next(line for line in late if line.startswith("differs  runs: ")))
    assert late[place + 1].strip() == "trial 8: complete in the record, without a run in MLflow"
    assert "once the search has ended, `" in late[place + 2] and "/search/run.py --resume" in late[place + 2]


def test_a_record_of_the_first_format_can_be_checked(copy: Copy) -> None:
    header, opened, *rest = copy.record.read_bytes().splitlines(keepends=True)
    assert b'"version": ' in header and b'"dataset":"' in opened
    old = encode(Opened(pid=1, host="elsewhere"), 1.0).replace(b',"dataset":""', b"")
    rest = [line.replace(b',"pretraining":"trained"', b"").replace(b',"pretraining":""', b"") for line in rest]
    copy.record.write_bytes(b"".join([b'{"format": "licap-study", "version": 1}\n', old, *rest]))
    assert isinstance(Study.open(copy.root, "small").events[-2], Ended)
    code, lines = copy.check()
    assert code == 0, "\n".join(lines)


def test_a_write_that_a_kill_cut_off_is_played_back_in_a_copy(copy: Copy) -> None:
    saved = copy.database.read_bytes()
    with closing(sqlite3.connect(copy.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE metrics SET value = value + 1")
        # What a kill at this moment leaves on the disk.
        for path in copy.root.glob("mlflow.db*"):
            shutil.copy(path, path.with_name(f"{path.name}.killed"))
        connection.execute("ROLLBACK")
    for path in copy.root.glob("*.killed"):
        path.rename(path.with_name(path.name.removesuffix(".killed")))
    assert copy.database.read_bytes() != saved
    code, lines = copy.check()
    assert code == 0, "\n".join(lines)


def test_a_file_is_read_as_mlflows_own_client_reads_it(copy: Copy) -> None:
    delete_run(copy)
    add_run(copy)
    by_client = ServerReader(copy.uri)
    with open_reader(copy.uri) as by_sql:
        runs = by_sql.runs("small")
        assert sorted(runs, key=lambda run: run.run_id) == sorted(by_client.runs("small"), key=lambda run: run.run_id)
        for run in runs:
            ours, theirs = by_sql.values(run), by_client.values(run)
            assert sorted(ours, key=repr) == sorted(theirs, key=repr)
    with readable(copy.database) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM tags")
