"""The file of the record: earlier formats are read, torn ends cut off before anything is appended, damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from licap.errors import StoreError
from search.study import Ended, Opened, Proposed, Reported, Study
from search.study.events import FORMAT_VERSION, Event
from search.study.record import RecordWriter, header, read_record, torn_bytes

PROPOSED = Proposed(trial=0, values={"pretrain.lr": 0.1}, starting_point=False)
REPORTED = Reported(trial=0, stage="pretrain", epoch=0, budget=1, metrics={"val.spearman": 0.5})


def events_of(path: Path) -> list[tuple[Event, float]]:
    found: list[tuple[Event, float]] = []
    read_record(path, lambda event, when: found.append((event, when)))
    return found


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.jsonl"
    path.write_bytes(header())
    return path


def test_events_and_their_times_are_read_back_in_order(record: Path) -> None:
    writer = RecordWriter(record)
    for event, when in ((PROPOSED, 1700000000.1239), (REPORTED, 1700000001.5)):
        writer.append(event, when)
    writer.close()
    assert events_of(record) == [(PROPOSED, 1700000000.124), (REPORTED, 1700000001.5)]
    assert json.loads(record.read_text(encoding="ascii").splitlines()[0]) == {
        "format": "licap-study", "version": FORMAT_VERSION,
    }  # fmt: skip


@pytest.mark.parametrize("length", [1, 100, 65_535, 65_536, 65_537, 200_000])
def test_a_torn_end_of_any_length_is_cut_off_before_anything_is_appended(record: Path, length: int) -> None:
    writer = RecordWriter(record)
    assert writer.cut_bytes == 0
    writer.append(PROPOSED, 1.0)
    writer.close()
    whole = record.read_bytes()
    record.write_bytes(whole + b"x" * length)
    assert torn_bytes(record) == length
    assert events_of(record) == [(PROPOSED, 1.0)]
    assert record.stat().st_size == len(whole) + length, "who reads changes nothing"
    writer = RecordWriter(record)
    assert writer.cut_bytes == length
    assert record.read_bytes() == whole and torn_bytes(record) == 0
    writer.append(REPORTED, 2.0)
    writer.close()
    assert events_of(record) == [(PROPOSED, 1.0), (REPORTED, 2.0)]


def test_a_record_without_a_whole_line_holds_nothing(record: Path) -> None:
    for content in (b"", b'{"format":"licap-study","version":3'):
        record.write_bytes(content)
        assert torn_bytes(record) == len(content)
        with pytest.raises(StoreError, match=r"record\.jsonl:1: not the record of a study"):
            events_of(record)


@pytest.mark.parametrize(
    "first", ["[]", '{"format":"licap-study"}', '{"format":"licap-study","version":"3"}', '{"version":3}', "x"]
)
def test_a_first_line_that_is_no_header_is_refused(record: Path, first: str) -> None:
    record.write_text(f"{first}\n", encoding="ascii")
    with pytest.raises(StoreError, match=r"record\.jsonl:1: not the record of a study"):
        events_of(record)


def test_a_newer_format_is_refused_with_both_numbers(record: Path) -> None:
    record.write_text(f'{{"format":"licap-study","version":{FORMAT_VERSION + 1}}}\nanything\n', encoding="ascii")
    with pytest.raises(StoreError, match=rf"format {FORMAT_VERSION + 1}, this one reads up to {FORMAT_VERSION}\)"):
        events_of(record)


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_records_of_earlier_formats_are_read_without_what_they_lack(tmp_path: Path, version: int) -> None:
    folder = tmp_path / "studies" / "old"
    folder.mkdir(parents=True)
    (folder / "space.yaml").write_text("metric: spearman\n", encoding="utf-8")
    (folder / "record.jsonl").write_text(
        f'{{"format": "licap-study", "version": {version}}}\n'
        '{"event":"opened","time":10.5,"pid":7,"host":"h"}\n'
        '{"event":"proposed","trial":0,"values":{"pretrain.lr":0.1},"starting_point":true}\n'
        '{"event":"ended","time":12.0,"trial":0,"state":"complete","failure":null,"message":"","budget":3,'
        '"seconds":1.5}\n',
        encoding="ascii",
    )
    study = Study.open(tmp_path, "old")
    assert study.events[0] == Opened(pid=7, host="h", dataset="")
    assert study.times == (10.5, 0.0, 12.0)
    assert (study.trial(0).state, study.trial(0).pretraining, study.trial(0).notes) == ("complete", "", ())
    # Without a fingerprint, nothing says that the data are others.
    with Study.resume(tmp_path, "old", "fingerprint") as resumed:
        resumed.append(Proposed(trial=1, values={}, starting_point=False))
        resumed.append(
            Ended(trial=1, state="complete", failure=None, message="", budget=3, seconds=1.0, pretraining="cached")
        )
    assert [trial.pretraining for trial in Study.open(tmp_path, "old").trials()] == ["", "cached"]


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for use in (RecordWriter, torn_bytes, events_of):
        with pytest.raises(StoreError, match=r"absent\.jsonl: cannot be (opened for writing|read) \(No such file"):
            use(tmp_path / "absent.jsonl")


def test_a_line_that_its_reader_refuses_is_damage_of_that_line(record: Path) -> None:
    writer = RecordWriter(record)
    for _ in range(3):
        writer.append(PROPOSED, 1.0)
    writer.close()
    taken: list[Event] = []

    def take(event: Event, when: float) -> None:
        if len(taken) == 2:
            raise ValueError("it cannot follow")
        taken.append(event)

    with pytest.raises(StoreError, match=r"record\.jsonl:4: damaged line: it cannot follow\. .*the first 3 lines only"):
        read_record(record, take)
