"""What a power cut may take: nothing that has been decided, and no file's content after it has its name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from disk_calls import Call, assert_synced_before_renames, disk_calls

from licap.errors import StoreError
from search.study import Proposed, Reported, Study

WRITES = """\
from pathlib import Path
from search.study import Decided, Ended, Opened, Proposed, Reported, Restarted, Study, StudyEnded
mark("create")
study = Study.create(Path("."), "first", "metric: spearman\\n")
EVENTS = {
    "proposed": Proposed(trial=0, values={"pretrain.lr": 0.1}, starting_point=False),
    "reported": Reported(trial=0, stage="pretrain", epoch=0, budget=1, metrics={"val.spearman": 0.5}),
    "decided": Decided(trial=0, budget=1, decision="stop"),
    "restarted": Restarted(trial=0, reason="the search was cut off"),
    "ended": Ended(trial=0, state="complete", failure=None, message="", budget=1, seconds=1.0),
    "study_ended": StudyEnded(reason="finished", seconds=1.0),
}
for kind, event in EVENTS.items():
    mark(kind)
    study.append(event)
mark("close")
study.close()
mark("resume")
study = Study.resume(Path("."), "first", "")
mark("space")
study.replace_space("metric: rmse\\n")
study.close()
"""
DURABLE = ("proposed", "decided", "restarted", "ended", "study_ended", "resume")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Call]]:
    """What a study that gets one event of each kind asks of the disk."""
    root = tmp_path_factory.mktemp("root")
    return root / "studies" / "first", disk_calls(WRITES, root)


def after(calls: list[Call], mark: str) -> list[Call]:
    """The calls between a mark and the next one."""
    start = next(place for place, call in enumerate(calls) if (call.kind, call.path) == ("mark", mark)) + 1
    end = next((place for place, call in enumerate(calls) if place >= start and call.kind == "mark"), len(calls))
    return calls[start:end]


def test_an_event_is_on_the_disk_when_it_may_be_acted_on(calls: tuple[Path, list[Call]]) -> None:
    folder, found = calls
    record = folder / "record.jsonl"
    ends = [0]
    for line in record.read_bytes().splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    # The header and the first `opened` came with the folder.
    place = 2
    for kind in ("proposed", "reported", "decided", "restarted", "ended", "study_ended", "resume"):
        place += 1
        syncs = [(call.path, call.size) for call in after(found, kind) if call.kind == "sync"]
        assert syncs == ([(str(record), ends[place])] if kind in DURABLE else []), kind


def test_files_are_on_the_disk_before_they_have_their_names(calls: tuple[Path, list[Call]]) -> None:
    _, found = calls
    for step in ("create", "space"):
        assert_synced_before_renames(after(found, step))


def test_a_new_studys_folder_is_on_the_disk_before_anything_is_written_to_it(calls: tuple[Path, list[Call]]) -> None:
    folder, found = calls
    created = after(found, "create")
    [(place, draft)] = [(n, call.path) for n, call in enumerate(created) if call.target == str(folder)]
    files = {name for call in created[:place] if call.kind == "rename" for name in [Path(call.target).name]}
    assert files == {"space.yaml", "record.jsonl"}
    assert draft in [call.path for call in created[:place] if call.kind == "sync"], "its files may have no names"
    assert str(folder.parent) in [call.path for call in created[place:] if call.kind == "sync"]


def test_an_event_that_does_not_get_to_the_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Study.create(tmp_path, "first", "") as study:
        record = study.folder / "record.jsonl"
        before = record.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(StoreError, match=r"record\.jsonl: cannot be written \(Input/output error\)"):
                study.append(Proposed(trial=0, values={}, starting_point=False))
        assert record.read_bytes() == before and study.trials() == ()
        study.append(Proposed(trial=0, values={}, starting_point=True))
        study.append(Reported(trial=0, stage="pretrain", epoch=0, budget=1, metrics={}))
    assert [trial.starting_point for trial in Study.open(tmp_path, "first").trials()] == [True]
