"""A study: its folder, its record, and the trials that follow from the record.

    ROOT/studies/NAME/
      space.yaml       the resolved space
      record.jsonl     every proposal, report, decision and end, appended before it is acted on
      leaderboard.csv  all trials and values, once the search has ended or been summed up
      plots/           pictures of them (see `search.insight.summary`)
      checkpoints/     where running and interrupted trials go on, a file each
      lock             who writes

One process writes (`Study.create`, `Study.resume`), any number read at the same time (`Study.open`).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType

from licap.errors import StoreError
from licap.files import make_folder, write_atomically
from licap.suggestions import nearest
from search.space.settings import MAX_STUDY_NAME, is_study_name
from search.study.events import Event, Opened, StudyEnded, encode
from search.study.lock import Lock, Owner, owner_of
from search.study.record import RECORD_FILE, RecordWriter, header, read_record
from search.study.trials import TrialHistory, TrialRecord

SPACE_FILE = "space.yaml"
CHECKPOINTS = "checkpoints"
DEFAULT_ROOT = Path("mlruns")


class NameTakenError(StoreError):
    """There is a study of that name."""


class Study:
    """One study; make it with `create` or `open`. A context manager that closes record and lock."""

    def __init__(self, folder: Path, lock: Lock | None, writer: RecordWriter | None) -> None:
        self.folder = folder
        self.name = folder.name
        self._lock, self._writer = lock, writer
        self._events: list[Event] = []
        self._times: list[float] = []
        self._trials = TrialHistory()

    @classmethod
    def create(
        cls, root: Path, name: str, space_yaml: str, dataset: str = "", *, features: str = "", given: Sequence[str] = ()
    ) -> Study:
        """Makes the folder of a new study and holds its lock. Either the whole folder appears or nothing.

        dataset, features, given: what `Opened` holds of the data; empty where nobody will ask for it.
        Raises: StoreError for a bad name or a root that cannot be written, NameTakenError for one that is taken.
        """
        folder = _folder(root, name)
        _refuse_taken(folder)
        draft = _new_folder(folder.parent)
        lock = None
        try:
            lock = Lock.acquire(draft)
            write_atomically(draft / SPACE_FILE, lambda file: file.write(space_yaml.encode("utf-8")))
            opened, now = _opened(dataset, features, given), time.time()
            write_atomically(draft / RECORD_FILE, lambda file: file.write(header() + encode(opened, now)))
            _rename(draft, folder)
            study = cls(folder, lock, RecordWriter(folder / RECORD_FILE))
        except BaseException:
            if lock is not None:
                lock.release()
            shutil.rmtree(draft, ignore_errors=True)
            raise
        study._keep(opened, now)
        return study

    @classmethod
    def create_free(
        cls, root: Path, stem: str, space_yaml: str, dataset: str = "", *, features: str = "", given: Sequence[str] = ()
    ) -> Study:
        """`create` under the name that `free_name` gives, also where others look for one at the same moment."""
        while True:
            try:
                name = cls.free_name(root, stem)
                return cls.create(root, name, space_yaml, dataset, features=features, given=given)
            except NameTakenError:
                continue

    @classmethod
    def open(cls, root: Path, name: str) -> Study:
        """Reads a study as it is now, whether or not a process is running it.

        Raises: StoreError for an unknown name, naming the nearest, or a record that cannot be read.
        """
        study = cls(cls._existing(root, name), None, None)
        read_record(study.folder / RECORD_FILE, study._take)
        return study

    @classmethod
    def resume(cls, root: Path, name: str, dataset: str, *, features: str = "", given: Sequence[str] = ()) -> Study:
        """Goes on writing to a study whose search has ended or was cut off, and holds its lock.

        dataset, features, given: what `Opened` holds of the data.
        Raises: StoreError for an unknown name, a study that another process writes to (named), a record that cannot be
        read, or other data than the study began with.
        """
        folder = cls._existing(root, name)
        lock = Lock.acquire(folder)
        try:
            study = cls(folder, lock, None)
            read_record(folder / RECORD_FILE, study._take)
            study._check_dataset(dataset, features, tuple(given))
            study._writer = RecordWriter(folder / RECORD_FILE)
            study.append(_opened(dataset, features, given))
        except BaseException:
            lock.release()
            raise
        return study

    @classmethod
    def _existing(cls, root: Path, name: str) -> Path:
        folder = _folder(root, name)
        if not (folder / RECORD_FILE).exists():
            raise StoreError(f"{folder.parent}: there is no study {name}{_hint(name, cls.names(root))}.")
        return folder

    def _check_dataset(self, dataset: str, features: str, given: tuple[str, ...]) -> None:
        origin = self.origin
        if origin.features and origin.given == given and origin.features != features:
            raise StoreError(
                f"{self.folder}: the study began on other features (fingerprint {origin.features[:16]}, now "
                f"{features[:16]}). Give it those it began with, or start a new study."
            )
        if origin.dataset and origin.dataset != dataset:
            raise StoreError(
                f"{self.folder}: the study began on other data (fingerprint {origin.dataset[:16]}, now "
                f"{dataset[:16]}). Give it the data it began with, or start a new study."
            )

    @staticmethod
    def check_new(root: Path, name: str) -> None:
        """Raises: StoreError if `create` would refuse the name or the root, before anything is written."""
        folder = _folder(root, name)
        _refuse_taken(folder)
        present = next(each for each in folder.absolute().parents if each.exists())
        if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
            raise StoreError(
                f"{present}: no study can be kept there, for it is no folder that can be written. "
                "Check its rights, or give another --root."
            )

    @staticmethod
    def free_name(root: Path, stem: str) -> str:
        """`stem`, or `stem-2`, `stem-3`, … where that is taken. Raises: StoreError for a bad name."""
        name, count = stem, 1
        while _folder(root, name).exists():
            count += 1
            ending = f"-{count}"
            name = stem[: MAX_STUDY_NAME - len(ending)] + ending
        return name

    @staticmethod
    def names(root: Path) -> tuple[str, ...]:
        """The names of the studies under a root, sorted; empty where there are none."""
        return tuple(sorted(path.parent.name for path in _records(root)))

    @staticmethod
    def latest(root: Path) -> str:
        """The study whose record was written last. Raises: StoreError where there is none."""
        records = _records(root)
        if not records:
            raise StoreError(f"{root}: there is no study yet. Start one with search/run.py, or give --root.")
        return max(records, key=lambda path: (path.stat().st_mtime_ns, path.parent.name)).parent.name

    @property
    def space_path(self) -> Path:
        """The resolved space file."""
        return self.folder / SPACE_FILE

    @property
    def origin(self) -> Opened:
        """What is recorded of the data that the study began on."""
        return next((event for event in self._events if isinstance(event, Opened)), Opened(pid=0, host=""))

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, in order."""
        return tuple(self._events)

    @property
    def end(self) -> StudyEnded | None:
        """The orderly end of the last search; None while one runs, or after a kill."""
        last = self._events[-1] if self._events else None
        return last if isinstance(last, StudyEnded) else None

    @property
    def times(self) -> tuple[float, ...]:
        """When each event was written, in seconds since the epoch."""
        return tuple(self._times)

    @property
    def left_by(self) -> Owner | None:
        """Who wrote to this study before, and died without giving its lock back."""
        return None if self._lock is None else self._lock.left_by

    @property
    def mended(self) -> tuple[str, ...]:
        """What a search that was killed left behind and is put in order, in sentences."""
        found = []
        if self.left_by is not None:
            found.append(f"the lock of {self.left_by}, which is gone, is taken over")
        if self._writer is not None and self._writer.cut_bytes:
            found.append(
                f"{self.folder / RECORD_FILE}: a last line that was not written to its end is removed "
                f"({self._writer.cut_bytes} bytes; nothing had followed from it)"
            )
        return tuple(found)

    @property
    def elapsed(self) -> float:
        """Seconds in which searches ran that wrote to this study before the present one, if this process is one."""
        starts = [place for place, event in enumerate(self._events) if isinstance(event, Opened)]
        if self._writer is None:
            starts.append(len(self._events))
        return sum(max(0.0, self._times[end - 1] - self._times[start]) for start, end in pairwise(starts))

    def checkpoint_path(self, number: int) -> Path:
        """Where a trial's checkpoint lies while it has not come to its end."""
        return self.folder / CHECKPOINTS / f"{number}.pt"

    def replace_space(self, space_yaml: str) -> None:
        """Writes the resolved space anew, where a resumed search was given larger budgets. Raises: StoreError."""
        write_atomically(self.space_path, lambda file: file.write(space_yaml.encode("utf-8")))

    def owner(self) -> Owner | None:
        """The living process that writes to this study, or None."""
        return owner_of(self.folder)

    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        return tuple(self._trials)

    def trial(self, number: int) -> TrialRecord:
        """One trial. Raises: KeyError if it was never proposed."""
        return self._trials[number]

    def append(self, event: Event) -> None:
        """Writes an event to the record; act on it only afterwards.

        Raises: StoreError if it cannot be written, ValueError if it cannot follow the earlier events, RuntimeError if
        this study was opened for reading.
        """
        if self._writer is None:
            raise RuntimeError(f"study {self.name} is open for reading only")
        self._trials.check(event)
        now = time.time()
        self._writer.append(event, now)
        self._keep(event, now)

    def close(self) -> None:
        """Closes the record and gives the lock back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, event: Event, when: float) -> None:
        self._trials.check(event)
        self._keep(event, when)

    def _keep(self, event: Event, when: float) -> None:
        self._events.append(event)
        self._times.append(when)
        self._trials.take(event)


def _opened(dataset: str, features: str, given: Sequence[str]) -> Opened:
    return Opened(pid=os.getpid(), host=socket.gethostname(), dataset=dataset, features=features, given=tuple(given))


def _folder(root: Path, name: str) -> Path:
    if not is_study_name(name):
        raise StoreError(
            f"{name!r} cannot be the name of a study. Use at most {MAX_STUDY_NAME} letters, digits, '.', '_' and '-', "
            "and begin with a letter or digit."
        )
    return root / "studies" / name


def _records(root: Path) -> list[Path]:
    # Hidden folders are drafts that a kill left behind.
    return [path for path in root.glob(f"studies/*/{RECORD_FILE}") if not path.parent.name.startswith(".")]


def _hint(name: str, names: tuple[str, ...]) -> str:
    if not names:
        return ", nor any other. Start one with search/run.py, or give --root"
    return nearest(name, names) or f" (there are: {', '.join(names[-10:])})"


def _refuse_taken(folder: Path) -> None:
    if folder.exists():
        owner = owner_of(folder)
        running = f" and is being written by {owner}" if owner else ""
        raise NameTakenError(f"{folder}: this study exists already{running}. Choose another name with --study.")


def _new_folder(parent: Path) -> Path:
    try:
        make_folder(parent)
        draft = parent / f".new-{secrets.token_hex(4)}"
        draft.mkdir()
        return draft
    except OSError as error:
        place = error.filename or parent
        raise StoreError(
            f"{place}: cannot make a folder for the study ({error.strerror}). Check rights and space, or give --root."
        ) from None


def _rename(draft: Path, folder: Path) -> None:
    try:
        _sync_folder(draft)
        draft.rename(folder)
    except OSError:
        # Somebody else was faster: a folder cannot be renamed over one that is not empty.
        _refuse_taken(folder)
        raise StoreError(f"{folder}: cannot be made. Check rights and space, or give --root.") from None
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Forces a folder's entries onto the disk: a file that is there without its name is lost. Raises: StoreError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Some network file systems have nothing to force.
        if error.errno != errno.EINVAL:
            raise StoreError(f"{folder}: cannot be written ({error.strerror}). Check rights and space.") from None
