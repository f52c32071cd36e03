"""Whether a study's folder fits its record: torn lines, a lock of the dead, files that should be gone, an old table."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path

from licap.commands import program
from search.insight.checks import SETTLED_S, Check, Difference, Subject, counted
from search.insight.next_steps import summary_command
from search.insight.summary import TABLE
from search.study import FINAL
from search.study.lock import left_lock
from search.study.record import RECORD_FILE, torn_bytes
from search.study.study import CHECKPOINTS

_CHECKPOINT = re.compile(r"(\d+)\.pt")


def folder_checks(subject: Subject) -> list[Check]:
    """Record, lock, and the files beside them."""
    return [_record(subject), _lock(subject), _files(subject), _table(subject)]


def _record(subject: Subject) -> Check:
    study = subject.study
    found = f"{counted(len(study.events), 'event')} of {counted(len(subject.trials), 'trial')}, all readable"
    differences = []
    torn = 0 if subject.running else torn_bytes(study.folder / RECORD_FILE)
    if torn:
        differences.append(
            subject.resumable(
                f"{RECORD_FILE} ends in a torn line of {counted(torn, 'byte')}; nothing was done because of it",
                "cuts it off",
            )
        )
    missing = sorted(set(range(len(subject.trials))) - {trial.number for trial in subject.trials})
    differences += [
        Difference("was never proposed, but later ones were", "restore the record from a copy", number)
        for number in missing
    ]
    return Check("record", found, tuple(differences))


def _lock(subject: Subject) -> Check:
    study = subject.study
    if subject.owner is not None:
        return Check("lock", f"held by {subject.owner}, which runs the search: states may lag")
    left = left_lock(study.folder)
    if left is not None:
        text = f"{left} held it and is gone without giving it back: the search was killed"
        return Check("lock", "nobody holds it", (subject.resumable(text, "takes it over and goes on"),))
    if study.events and study.end is None:
        text = "nobody holds it, and yet the record has no end of the search: its machine stopped, or the lock was lost"
        return Check("lock", "nobody holds it", (subject.resumable(text, "goes on"),))
    return Check("lock", "nobody holds it, and the record says that the search ended")


def _files(subject: Subject) -> Check:
    checkpoints = _checkpoints(subject.study.folder / CHECKPOINTS)
    states = {trial.number: trial.state for trial in subject.trials}
    wanted = sum(states.get(number) not in FINAL for number in checkpoints if number in states)
    differences = [
        Difference(f"is {states[number]}, and its checkpoint {path} is still there", _removal(path), number)
        for number, path in checkpoints.items()
        if states.get(number) in FINAL and number not in subject.unsettled
    ]
    differences += [
        Difference(f"the record knows no such trial, but there is {path}", _removal(path), number)
        for number, path in checkpoints.items()
        if number not in states and not subject.running
    ]
    for path in _temporary(subject):
        differences.append(Difference(f"a temporary file is left: {path}", _removal(path)))
    return Check("files", f"{counted(wanted, 'checkpoint')} of trials that can go on", tuple(differences))


def _table(subject: Subject) -> Check:
    path = subject.study.folder / TABLE
    states = {str(trial.number): trial.state for trial in subject.trials}
    told = _told(path)
    if told is None or subject.running:
        return Check("table", "the search still runs" if subject.running else f"there is no {TABLE} yet")
    remedy = f"`{summary_command(subject.study.name, subject.root)}` writes it anew"
    differences = [
        Difference(f"{states.get(number, 'not there')} in the record, {told.get(number, 'not there')} in {TABLE}",
                   remedy, int(number) if number.isdecimal() else None)
        for number in dict.fromkeys([*states, *told])
        if states.get(number) != told.get(number)
    ]  # fmt: skip
    return Check("table", f"{TABLE} has {counted(len(told), 'trial')}", tuple(differences))


def _checkpoints(folder: Path) -> dict[int, Path]:
    matches = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.glob("*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match is not None))


def _temporary(subject: Subject) -> Iterator[Path]:
    """Files that somebody began to write; those of a search that goes on may be in use."""
    for path in sorted(subject.study.folder.rglob(".*.tmp")):
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if not subject.running or age > SETTLED_S:
            yield path


def _told(path: Path) -> dict[str, str] | None:
    """The state of each trial in the table; None where there is none, empty where it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["trial"]: row["state"] for row in csv.DictReader(file) if "trial" in row and "state" in row}
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}


def _removal(path: Path) -> str:
    return f"nobody needs it any more: `{program('rm', path)}`"
