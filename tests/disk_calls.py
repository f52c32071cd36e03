"""What a piece of code asks of the disk, in order: names that are given to files, and what is forced onto the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Python tells its audit hooks of every rename, whichever function asks for it; of fsync it does not.
_WATCHED = """\
import json, os, sys
calls = []
force = os.fsync

def forced(descriptor):
    force(descriptor)
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    calls.append(["sync", path, "", os.fstat(descriptor).st_size])

def asked(event, arguments):
    if event == "os.rename":
        source, target = (os.path.realpath(os.fsdecode(each)) for each in arguments[:2])
        calls.append(["rename", source, target, os.stat(source).st_size])

os.fsync = os.fdatasync = forced
sys.addaudithook(asked)

def mark(text):
    calls.append(["mark", text, "", 0])

exec(compile(sys.stdin.read(), "watched", "exec"))
print(json.dumps(calls))
"""


@dataclass(frozen=True)
class Call:
    """One call. kind: `sync` of a file or folder, `rename` (target: the new name), or a `mark` that the code set.

    size: bytes of the file at that moment.
    """

    kind: str
    path: str
    target: str
    size: int


def disk_calls(code: str, folder: Path) -> list[Call]:
    """Runs code in a fresh Python with `folder` as working folder. The code may call `mark(text)`."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        input=code,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Call(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def assert_synced_before_renames(calls: list[Call]) -> None:
    """Every file that gets its name was on the disk, whole, by then: a power cut leaves no empty file under it."""
    on_disk: dict[str, int] = {}
    renamed = 0
    for call in calls:
        if call.kind == "sync":
            on_disk[call.path] = call.size
        elif call.kind == "rename" and not Path(call.target).is_dir():
            renamed += 1
            assert on_disk.get(call.path) == call.size, f"{call.target} got its name before it was on the disk"
    assert renamed, "nothing was renamed"
