"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest
from disk_calls import assert_synced_before_renames, disk_calls
from rights_cases import colleague

from licap.errors import StoreError
from licap.files import check_writable, make_folder, remove_file, write_atomically, write_file_atomically


def test_text_is_written_as_utf8_with_its_line_ends(tmp_path: Path) -> None:
    write_file_atomically(tmp_path / "new" / "folder" / "a.txt", "größer\r\nβ\n")
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == "größer\r\nβ\n".encode()


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    for text in ("a longer first text", "second"):
        write_file_atomically(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "second"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, RuntimeError])
def test_a_writer_that_fails_half_way_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    write_file_atomically(tmp_path / "a.txt", "old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half of the n")
        raise error

    for name in ("a.txt", "b.txt"):
        with pytest.raises(error):
            write_atomically(tmp_path / name, fail)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_atomically(tmp_path / "a.txt", fail)
    assert not list(tmp_path.iterdir())


def test_a_reader_never_sees_the_new_file_before_it_is_whole(tmp_path: Path) -> None:
    write_file_atomically(tmp_path / "a.txt", "old")
    seen = []

    def write(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        seen.append((tmp_path / "a.txt").read_text(encoding="utf-8"))

    write_atomically(tmp_path / "a.txt", write)
    assert seen == ["old"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("place", ["file/a.txt", "file/deeper/a.txt", "folder", "n" * 300])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        write_file_atomically(tmp_path / place, "text")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("there_before", [False, True])
def test_a_file_is_on_the_disk_whole_before_it_has_its_name(tmp_path: Path, there_before: bool) -> None:
    if there_before:
        (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    code = """
from pathlib import Path
from licap.files import write_atomically
write_atomically(Path("a.txt"), lambda file: [file.write(b"x" * 1000) for _ in range(20)])
"""
    assert_synced_before_renames(disk_calls(code, tmp_path))
    assert (tmp_path / "a.txt").stat().st_size == 20_000


def written(folder: Path, program: str, *words: str, umask: int = 0o022) -> None:
    """Runs a program about files in a process of its own, in a folder."""
    code = f"from pathlib import Path\nfrom licap.files import *\n{program}"
    subprocess.run([*words, sys.executable, "-c", code], cwd=folder, umask=umask, check=True)


def mode(path: Path) -> int:
    """A file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077, 0o137])
def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    # Many threads at once: one that changed the umask for a moment would give its own to others.
    written(
        tmp_path,
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda n: write_file_atomically(Path(f"{n}.txt"), "text"), range(200)))
make_folder(Path("deeper/still"))
""",
        umask=umask,
    )
    assert {mode(path) for path in tmp_path.glob("*.txt")} == {0o666 & ~umask}
    assert {mode(tmp_path / name) for name in ("deeper", "deeper/still")} == {0o777 & ~umask}


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o664, 0o777, 0o444])
def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(bits)
    written(tmp_path, "write_file_atomically(Path('a.txt'), 'new')", umask=0o002)
    assert (mode(path), path.read_text(encoding="utf-8")) == (bits, "new")


@pytest.mark.parametrize(
    ("owner", "group", "kept"),
    [(1_001, 2_000, 2_000), (1_002, 2_000, 2_000), (1_002, 3_000, 3_000), (1_002, 4_000, 2_000)],
    ids=["own", "a colleague's", "of another group of the user", "of a group of others"],
)
def test_owner_and_group_stay_as_far_as_the_user_may_give_them(
    tmp_path: Path, owner: int, group: int, kept: int
) -> None:
    user = colleague(1_001, 2_000, 3_000)
    tmp_path.chmod(0o777)
    path = tmp_path / "a.txt"
    for words, expected in ((user, (1_001, kept)), ([], (owner, group))):
        path.write_text("old", encoding="utf-8")
        os.chown(path, owner, group)
        written(tmp_path, 'write_file_atomically(Path("a.txt"), "new")', *words)
        assert (path.stat().st_uid, path.stat().st_gid) == expected
        assert path.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("links", [1, 3])
def test_writing_to_a_link_writes_what_it_names(tmp_path: Path, links: int, absolute: bool, there: bool) -> None:
    target = tmp_path / "elsewhere" / "deep" / "a.txt"
    if there:
        target.parent.mkdir(parents=True)
        target.write_text("old", encoding="utf-8")
        target.chmod(0o640)
    named = target
    for number in range(links):
        link = tmp_path / f"folder-{number}" / "link.txt"
        link.parent.mkdir()
        link.symlink_to(named if absolute else os.path.relpath(named, link.parent))
        named = link
    write_file_atomically(named, "new")
    assert all((tmp_path / f"folder-{number}" / "link.txt").is_symlink() for number in range(links))
    assert target.read_text(encoding="utf-8") == "new" and not target.is_symlink()
    assert not there or mode(target) == 0o640
    # The temporary name lay beside the target: a rename cannot pass from one file system to another.
    assert not list(tmp_path.rglob("*.tmp"))
    remove_file(named)
    assert named.is_symlink() and not target.exists()
    remove_file(named)
    write_file_atomically(named, "once more")
    assert target.read_text(encoding="utf-8") == "once more"


def test_a_link_to_a_folder_that_is_not_there_yet_makes_that_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere/folder")
    check_writable(tmp_path / "link" / "deeper", "")
    write_file_atomically(tmp_path / "link" / "deeper" / "a.txt", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "folder" / "deeper" / "a.txt").read_text(encoding="utf-8") == "text"
    (tmp_path / "other").symlink_to(tmp_path / "further" / "folder")
    make_folder(tmp_path / "other")
    assert (tmp_path / "other").is_symlink() and (tmp_path / "further" / "folder").is_dir()


def test_a_folder_that_a_link_names_is_looked_at_where_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file/folder")
    with pytest.raises(StoreError, match=r"link: cannot be written \(Not a directory\)\. Elsewhere\."):
        check_writable(tmp_path / "link", "Elsewhere.")


def test_a_link_leads_to_another_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        (tmp_path / "link").symlink_to(Path(folder) / "a.txt")
        for text in ("first", "second"):
            write_file_atomically(tmp_path / "link", text)
            assert (Path(folder) / "a.txt").read_text(encoding="utf-8") == text
        assert (tmp_path / "link").is_symlink()


def test_links_in_a_circle_are_told_and_stay(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreError, match=r"a: cannot be written \(Too many levels of symbolic links\)"):
        write_file_atomically(tmp_path / "a", "text")
    with pytest.raises(StoreError, match=r"a: cannot be replaced \(Too many levels"):
        remove_file(tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir() if path.is_symlink()} == {"a", "b"}


def test_a_link_to_a_pipe_is_written_and_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    program = """
import sys
from pathlib import Path
from licap.files import remove_file, write_file_atomically
write_file_atomically(Path(sys.argv[1]), "text")
remove_file(Path(sys.argv[1]))
"""
    command = [sys.executable, "-c", program]
    if Path("/proc/self/fd").exists():
        assert subprocess.run([*command, "stdout"], cwd=tmp_path, capture_output=True, check=True).stdout == b"text"
    # Opened for both, so that neither side waits for the other.
    with os.fdopen(os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        subprocess.run([*command, "link"], cwd=tmp_path, check=True)
        assert pipe.read(9) == b"text"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "link").is_symlink()
