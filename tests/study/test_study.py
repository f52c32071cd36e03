"""The study folder: what was appended is read back, whatever happened to the writer."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running_program import running_program

from licap.errors import StoreError
from search.study import Decided, Ended, Event, Opened, Proposed, Reported, Restarted, Study, StudyEnded
from search.study.events import encode
from search.study.record import header

WRITER = """
import os
import sys
from pathlib import Path
from search.study import Proposed, Reported, Study
parent = os.getppid()
study = Study.create(Path(sys.argv[1]), sys.argv[2], "metric: spearman\\n")
study.append(Proposed(trial=0, values={"pretrain.lr": 0.1}, starting_point=False))
print("ready", flush=True)
budget = 0
while os.getppid() == parent:
    budget += 1
    study.append(Reported(trial=0, stage="pretrain", epoch=budget - 1, budget=budget,
                          metrics={"val.spearman": budget / 7, "padding": 1e-300 * budget}))
    if len(sys.argv) > 3:
        sys.stdin.read()
"""


def writer(root: Path, name: str, *words: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A process that creates a study and appends to it until it is killed, or the test's own process ends."""
    return running_program(WRITER, str(root), name, *words)


def report(trial: int, budget: int, value: float) -> Reported:
    return Reported(trial=trial, stage="pretrain", epoch=budget - 1, budget=budget, metrics={"val.spearman": value})


def propose(trial: int, **values: float) -> Proposed:
    return Proposed(trial=trial, values=values, starting_point=trial == 0)


def end(trial: int, state: str = "complete", failure: str | None = None) -> Ended:
    return Ended(trial=trial, state=state, failure=failure, message="", budget=9, seconds=1.5, notes=("a note",))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path, "first", "metric: spearman\n") as created:
        yield created


def test_what_is_appended_is_read_back(tmp_path: Path, study: Study) -> None:
    events = [propose(0, a=1.0), report(0, 1, 0.25), Decided(trial=0, budget=1, decision="stop"), end(0, "pruned")]
    for event in events:
        study.append(event)
    study.append(StudyEnded(reason="all trials done", seconds=3.0))
    again = Study.open(tmp_path, "first")
    assert again.events == study.events and again.events[1:-1] == tuple(events)
    assert again.trials() == study.trials()
    assert again.space_path.read_text(encoding="utf-8") == "metric: spearman\n"


def test_trials_follow_from_the_events(study: Study) -> None:
    for event in [
        propose(1, a=2.0),
        propose(0, a=1.0),
        propose(2),
        report(1, 1, 0.5),
        report(0, 1, float("nan")),
        report(1, 2, 0.75),
        end(1),
        end(0, "failed", "diverged"),
    ]:
        study.append(event)
    first, second, third = study.trials()
    assert (first.number, first.state, first.failure, first.starting_point) == (0, "failed", "diverged", True)
    assert first.final("spearman") is None
    assert (second.state, second.budget, second.final("spearman"), second.seconds) == ("complete", 2, 0.75, 1.5)
    assert second.notes == ("a note",) and second.final("rmse") is None
    assert (third.state, third.budget, third.final("spearman")) == ("running", 0, None)


def test_a_trial_that_goes_on_from_a_checkpoint_has_one_report_per_budget(study: Study) -> None:
    for event in [propose(0), *[report(0, budget, budget / 8) for budget in (1, 2, 3)], end(0, "interrupted")]:
        study.append(event)
    assert study.trials()[0].state == "interrupted"
    study.append(Restarted(trial=0, reason="the search was cut off"))
    assert study.trials()[0].state == "running"
    for budget in (2, 3, 4):
        study.append(report(0, budget, budget / 8))
    (trial,) = study.trials()
    assert trial.state == "running" and [each.budget for each in trial.reports] == [1, 2, 3, 4]


def test_an_event_that_cannot_follow_is_not_written(tmp_path: Path, study: Study) -> None:
    study.append(propose(0))
    before = Study.open(tmp_path, "first").events
    for event in [report(1, 1, 0.5), propose(0), end(0, "promoted")]:
        with pytest.raises(ValueError):
            study.append(event)
    assert Study.open(tmp_path, "first").events == before


def test_names_are_listed_and_the_latest_is_the_one_written_last(tmp_path: Path) -> None:
    assert Study.names(tmp_path) == ()
    with pytest.raises(StoreError, match="no study yet"):
        Study.latest(tmp_path)
    for moment, name in enumerate(["b", "c", "a"]):
        with Study.create(tmp_path, name, ""):
            pass
        os.utime(tmp_path / "studies" / name / "record.jsonl", ns=(moment, moment))
    assert Study.names(tmp_path) == ("a", "b", "c") and Study.latest(tmp_path) == "a"


def test_a_free_name_is_the_stem_or_the_stem_with_a_number(tmp_path: Path) -> None:
    for expected in ("fb15k", "fb15k-2", "fb15k-3"):
        name = Study.free_name(tmp_path, "fb15k")
        assert name == expected
        Study.check_new(tmp_path, name)
        Study.create(tmp_path, name, "").close()
        with pytest.raises(StoreError, match="exists already"):
            Study.check_new(tmp_path, name)


def test_who_looks_for_a_free_name_at_the_same_moment_gets_another_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        studies = list(pool.map(lambda _: Study.create_free(tmp_path, "fb15k", ""), range(8)))
    assert sorted(study.name for study in studies) == ["fb15k", *(f"fb15k-{number}" for number in range(2, 9))]
    for study in studies:
        study.close()


def test_a_long_name_stays_within_the_limit_when_it_gets_a_number(tmp_path: Path) -> None:
    for _ in range(2):
        with Study.create_free(tmp_path, "x" * 100, "") as study:
            assert len(study.name) == 100


def test_a_root_below_a_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="--root"):
        Study.check_new(tmp_path / "file" / "mlruns", "s")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", ".hidden", "-x", "a b", "ä", "a\n", "x" * 101])
def test_a_name_that_is_no_plain_word_is_refused(tmp_path: Path, name: str) -> None:
    for use in (lambda: Study.create(tmp_path / "root", name, ""), lambda: Study.open(tmp_path / "root", name)):
        with pytest.raises(StoreError, match="cannot be the name of a study"):
            use()
    assert not (tmp_path / "root").exists()


def test_a_taken_name_is_refused_and_nothing_changes(tmp_path: Path, study: Study) -> None:
    study.append(propose(0))
    study.close()
    with pytest.raises(StoreError, match=r"first: this study exists already\. Choose another name with --study"):
        Study.create(tmp_path, "first", "other: 1\n")
    assert len(Study.open(tmp_path, "first").trials()) == 1
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["first"]


def test_an_unknown_study_is_refused_with_the_nearest_name(tmp_path: Path, study: Study) -> None:
    with pytest.raises(StoreError, match="no study frist; did you mean first"):
        Study.open(tmp_path, "frist")
    with pytest.raises(StoreError, match="nor any other"):
        Study.open(tmp_path / "elsewhere", "first")


def test_a_living_writer_is_named_and_does_not_hinder_readers(tmp_path: Path) -> None:
    with writer(tmp_path, "live", "once") as process:
        with pytest.raises(StoreError, match=f"being written by process {process.pid} on "):
            Study.create(tmp_path, "live", "")
        owner = Study.open(tmp_path, "live").owner()
        assert owner is not None and owner.pid == process.pid
    assert Study.open(tmp_path, "live").owner() is None


def test_a_killed_writer_leaves_a_readable_record(tmp_path: Path) -> None:
    chance = random.Random(0)
    for kill in range(8):
        with writer(tmp_path, f"study{kill}") as process:
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
        study = Study.open(tmp_path, f"study{kill}")
        (trial,) = study.trials()
        assert [each.budget for each in trial.reports] == list(range(1, trial.budget + 1))
        assert study.owner() is None


def test_a_record_cut_at_any_byte_keeps_its_whole_lines(tmp_path: Path, study: Study) -> None:
    for event in [propose(0), report(0, 1, 0.5), end(0)]:
        study.append(event)
    path = study.folder / "record.jsonl"
    content, events = path.read_bytes(), study.events
    for cut in range(content.index(b"\n") + 1, len(content) + 1):
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n") - 1
        assert Study.open(tmp_path, "first").events == events[:whole]


@pytest.mark.parametrize(
    ("line", "replacement", "words"),
    [
        (3, b'{"event":"repor', r"record\.jsonl:3: damaged line: not valid JSON"),
        (3, b"\x00" * 40, r"record\.jsonl:3: damaged line"),
        (3, b"", r"record\.jsonl:3: damaged line"),
        (4, b'{"event":"promoted","time":1,"trial":0}', r"record\.jsonl:4: damaged line: unknown event 'promoted'"),
        (3, b'{"event":"study_ended","time":1,"reason":"","seconds":1}', r":4: damaged line: trial 0 was never propos"),
        (1, b'{"format":"licap-study","version":999}', "record.jsonl:1: written by a newer version"),
        (1, b'{"format":"other","version":1}', "record.jsonl:1: not the record of a study"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, study: Study, line: int, replacement: bytes, words: str) -> None:
    for event in [propose(0), report(0, 1, 0.5), end(0)]:
        study.append(event)
    path = study.folder / "record.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = replacement
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreError, match=words):
        Study.open(tmp_path, "first")


def test_a_full_disk_leaves_the_record_as_it_was(tmp_path: Path, study: Study) -> None:
    study.append(propose(0))
    size = (study.folder / "record.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Past this size the system takes half a line and then none, as a full disk does (Python ignores SIGXFSZ).
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            study.append(report(0, 1, 0.5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    study.append(report(0, 2, 0.5))
    assert [each.budget for each in Study.open(tmp_path, "first").trials()[0].reports] == [2]


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot make a folder for the study"):
        Study.create(tmp_path / "mlruns", "first", "")
    assert Study.names(tmp_path / "mlruns") == ()


def test_a_root_without_write_permission_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "mlruns" if os.geteuid() else Path("/proc/mlruns")  # root may write to any other folder
    if os.geteuid():
        root.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot make a folder for the study"):
        Study.create(root, "first", "")


def test_a_study_opened_for_reading_takes_no_events(tmp_path: Path, study: Study) -> None:
    with pytest.raises(RuntimeError, match="reading only"):
        Study.open(tmp_path, "first").append(propose(0))


def test_drafts_that_a_kill_left_are_no_studies(tmp_path: Path, study: Study) -> None:
    draft = tmp_path / "studies" / ".new-abc"
    shutil.copytree(study.folder, draft)
    os.utime(draft / "record.jsonl", (2e9, 2e9))
    assert Study.names(tmp_path) == ("first",) and Study.latest(tmp_path) == "first"
    shutil.rmtree(study.folder)
    assert Study.names(tmp_path) == ()
    with pytest.raises(StoreError, match="no study yet"):
        Study.latest(tmp_path)


def test_a_folder_without_a_record_is_no_study(tmp_path: Path, study: Study) -> None:
    (tmp_path / "studies" / "other").mkdir()
    assert Study.names(tmp_path) == ("first",)
    with pytest.raises(StoreError, match=r"no study other \(there are: first\)"):
        Study.open(tmp_path, "other")
    assert Study.free_name(tmp_path, "other") == "other-2"
    for use in (Study.check_new, lambda root, name: Study.create(root, name, "")):
        with pytest.raises(StoreError, match="other: this study exists already"):
            use(tmp_path, "other")
    assert list((tmp_path / "studies" / "other").iterdir()) == []


def test_nothing_is_left_where_a_name_was_taken_at_the_last_moment(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        studies = list(pool.map(lambda _: Study.create_free(tmp_path, "s", ""), range(8)))
    assert {path.name for path in (tmp_path / "studies").iterdir()} == {study.name for study in studies}
    for study in studies:
        assert study.owner() is not None
        study.close()
        assert study.owner() is None


def test_a_study_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(UnicodeEncodeError):
        Study.create(tmp_path, "s", "no text: \udc00")
    assert list((tmp_path / "studies").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_only_time_in_which_searches_ran_has_elapsed(tmp_path: Path) -> None:
    def lines(*events: tuple[float, Event]) -> bytes:
        return b"".join(encode(event, when) for when, event in events)

    opened, over = Opened(pid=1, host="h"), StudyEnded(reason="interrupted", seconds=0.0)
    with Study.create(tmp_path, "s", "") as created:
        record = created.folder / "record.jsonl"
    # Killed after 30 s; a day later, ended after 10 s; killed at once; and one that never got a trial.
    first = lines((1000.0, opened), (1010.0, propose(0)), (1030.0, report(0, 1, 0.5)))
    second = lines((87_430.0, opened), (87_436.0, Restarted(trial=0, reason="")), (87_440.0, over))
    record.write_bytes(header() + first + second)
    assert Study.open(tmp_path, "s").elapsed == 40.0
    record.write_bytes(header() + first + second + lines((90_000.0, opened), (95_000.0, opened)))
    assert Study.open(tmp_path, "s").elapsed == 40.0
    for _ in range(2):
        with Study.resume(tmp_path, "s", "") as resumed:
            assert resumed.elapsed == 40.0
    # A clock that was set back takes nothing away.
    record.write_bytes(header() + first + lines((2000.0, opened), (1500.0, over), (3000.0, opened)))
    assert Study.open(tmp_path, "s").elapsed == 30.0


def test_a_study_goes_on_with_the_data_it_began_with_and_no_others(tmp_path: Path) -> None:
    Study.create(tmp_path, "s", "", "a" * 64).close()
    record = tmp_path / "studies" / "s" / "record.jsonl"
    with record.open("ab") as file:
        file.write(b"torn")
    before = record.read_bytes()
    with pytest.raises(StoreError, match=rf"began on other data \(fingerprint {'a' * 16}, now {'b' * 16}\)"):
        Study.resume(tmp_path, "s", "b" * 64)
    assert record.read_bytes() == before, "a refusal changes nothing"
    with Study.resume(tmp_path, "s", "a" * 64) as resumed:
        assert resumed.events[-1] == Opened(pid=os.getpid(), host=socket.gethostname(), dataset="a" * 64)
        assert [event.dataset for event in resumed.events if isinstance(event, Opened)] == ["a" * 64] * 2
        assert resumed.left_by is None


def test_a_resumed_study_has_its_trials_and_goes_on_behind_a_torn_line(tmp_path: Path, study: Study) -> None:
    for event in (propose(0, a=1.0), report(0, 1, 0.5)):
        study.append(event)
    study.close()
    with (study.folder / "record.jsonl").open("ab") as file:
        file.write(b'{"event":"ended","trial":0')
    with Study.resume(tmp_path, "first", "") as resumed:
        assert [trial.budget for trial in resumed.trials()] == [1] and resumed.end is None
        with pytest.raises(StoreError, match="being written by"):
            Study.resume(tmp_path, "first", "")
        resumed.append(report(0, 2, 0.75))
    again = Study.open(tmp_path, "first")
    assert again.events == resumed.events and again.trials() == resumed.trials()
    assert [type(event).__name__ for event in again.events] == ["Opened", "Proposed", "Reported", "Opened", "Reported"]


def test_a_study_that_a_kill_left_says_who_left_it(tmp_path: Path) -> None:
    with writer(tmp_path, "killed", "once") as process:
        pass
    with Study.resume(tmp_path, "killed", "") as study:
        assert study.left_by is not None and study.left_by.pid == process.pid
    with Study.resume(tmp_path, "killed", "") as study:
        assert study.left_by is None


def test_the_end_is_that_of_the_last_search(tmp_path: Path, study: Study) -> None:
    assert study.end is None
    study.append(StudyEnded(reason="interrupted", seconds=1.0))
    assert study.end == StudyEnded(reason="interrupted", seconds=1.0)
    study.close()
    with Study.resume(tmp_path, "first", "") as resumed:
        assert resumed.end is None, "it runs again"
    assert Study.open(tmp_path, "first").end is None


def test_what_is_closed_takes_no_more_events_and_is_free(tmp_path: Path, study: Study) -> None:
    study.close()
    study.close()
    with pytest.raises(RuntimeError, match="reading only"):
        study.append(propose(0))
    Study.resume(tmp_path, "first", "").close()


def test_a_space_is_replaced_whole(tmp_path: Path, study: Study) -> None:
    study.replace_space("metric: rmse\n")
    assert study.space_path.read_text(encoding="utf-8") == "metric: rmse\n"
    assert study.checkpoint_path(3) == tmp_path / "studies" / "first" / "checkpoints" / "3.pt"
