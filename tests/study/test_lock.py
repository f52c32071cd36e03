"""The lock of a study: one writer, named to others, free when it dies, and asked about without being taken."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from running_program import running_program

from licap.errors import StoreError
from search.study.lock import LOCK_FILE, Lock, Owner, left_lock, owner_of

HOLD = """\
import sys
from pathlib import Path
from search.study.lock import Lock
lock = Lock.acquire(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""
HERE = Owner(os.getpid(), socket.gethostname())


def holder(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """A process that holds the lock until it gets a line, and lives on until it gets another."""
    return running_program(HOLD, str(folder))


def test_a_lock_names_its_holder_in_this_process_and_to_others(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None and left_lock(tmp_path) is None
    lock = Lock.acquire(tmp_path)
    assert lock.left_by is None
    assert owner_of(tmp_path) == HERE
    with pytest.raises(StoreError, match=f"{tmp_path.name}: is being written by process {os.getpid()} on "):
        Lock.acquire(tmp_path)
    assert owner_of(tmp_path) == HERE, "a refusal takes nothing away"
    assert (tmp_path / LOCK_FILE).read_text(encoding="ascii") == f"{os.getpid()} {socket.gethostname()}\n"
    lock.release()
    assert owner_of(tmp_path) is None and left_lock(tmp_path) is None


def test_a_lock_that_was_given_back_is_free_once_and_for_all(tmp_path: Path) -> None:
    first = Lock.acquire(tmp_path)
    first.release()
    second = Lock.acquire(tmp_path)
    assert second.left_by is None, "its holder left in good order"
    first.release()
    assert owner_of(tmp_path) == HERE, "a second release of the first takes nothing from the second"
    second.release()


def test_a_holder_that_gives_back_is_no_owner_though_it_lives(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert owner_of(tmp_path) == Owner(process.pid, socket.gethostname())
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "released\n"
        assert owner_of(tmp_path) is None and left_lock(tmp_path) is None
        Lock.acquire(tmp_path).release()


def test_whoever_died_with_the_lock_is_named_to_the_next_one_and_only_to_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        pass
    dead = Owner(process.pid, socket.gethostname())
    assert owner_of(tmp_path) is None and left_lock(tmp_path) == dead
    lock = Lock.acquire(tmp_path)
    assert lock.left_by == dead and owner_of(tmp_path) == HERE
    lock.release()
    assert left_lock(tmp_path) is None and Lock.acquire(tmp_path).left_by is None


def test_asking_for_the_owner_takes_nothing_and_two_who_ask_do_not_take_each_other_for_it(tmp_path: Path) -> None:
    Lock.acquire(tmp_path).release()
    descriptor = os.open(tmp_path / LOCK_FILE, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # As somebody who asks at the same moment.
    assert owner_of(tmp_path) is None
    os.close(descriptor)
    for _ in range(3):
        assert owner_of(tmp_path) is None
        Lock.acquire(tmp_path).release()


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("17 some.host\n", Owner(17, "some.host")),
        ("", Owner(None, "")),
        ("17\n", Owner(None, "")),
        ("x some.host\n", Owner(None, "")),
        ("17 some host\n", Owner(None, "")),
        ("\udcff\n", Owner(None, "")),
    ],
)
def test_an_owner_whose_name_cannot_be_read_is_another_process(tmp_path: Path, text: str, owner: Owner) -> None:
    lock = Lock.acquire(tmp_path)
    (tmp_path / LOCK_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert owner_of(tmp_path) == owner
    assert str(owner) == ("another process" if owner.pid is None else "process 17 on some.host")
    lock.release()


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(
        "123456789012345678901 a.very.long.name.of.a.host.that.is.gone\n", encoding="ascii"
    )
    with holder(tmp_path) as process:
        assert owner_of(tmp_path) == Owner(process.pid, socket.gethostname())


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(StoreError, match=r"lock: cannot be opened \(Is a directory\)"):
        Lock.acquire(tmp_path)
    with pytest.raises(StoreError, match=r"absent/lock: cannot be opened \(No such file or directory\)"):
        Lock.acquire(tmp_path / "absent")
    assert left_lock(tmp_path / "absent") is None


def test_a_disk_without_locks_is_named_and_no_descriptor_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StoreError, match=r"lock: cannot be locked \(No locks available\)\. Use a folder on a disk"):
        Lock.acquire(tmp_path)
    assert owner_of(tmp_path) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
