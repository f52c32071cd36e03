"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
from disk_calls import assert_synced_before_renames, disk_calls

from licap.errors import StoreError
from licap.files import write_atomically, write_file_atomically


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
