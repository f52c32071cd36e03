"""A root that several people share: rights follow the umask, and a colleague of the group can go on."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rights_cases import colleague

GROUP = 2_000
# What a search writes below its root, without the search. A second run finds all of it there, and replaces it.
PROGRAM = """
import os, sys
from pathlib import Path
import torch
from licap.checkpoint import save_checkpoint
from licap.pretrain import PretrainEpoch
from licap.signals import Look
from licap.stored import History, Stored
from search.cache import EmbeddingCache
from search.insight.summary import write_summary
from search.study import Proposed, Study

root, complaints = Path("mlruns"), []

def open_study():
    return Study.resume(root, "first", "") if root.exists() else Study.create(root, "first", "name: first\\n")

def write(study):
    study.replace_space("name: first\\n")
    study.append(Proposed(trial=len(study.trials()), values={"pretrain.lr": 0.1}, starting_point=False))
    save_checkpoint(study.checkpoint_path(0), {"number": 0})
    write_summary(study.folder, {"leaderboard.csv": "rank\\n", "plots/history.png": b"picture"})
    cache = EmbeddingCache(root / "cache", 60_000, complaints.append)
    history = History(5, [PretrainEpoch(1.5, 1.0, 0.5, 0.1)], [Look({"signal.alignment": 0.5})])
    for key in ("0" * 64, f"{len(study.trials()):064x}"):
        cache.put(key, Stored((torch.zeros(100, 100),), history))
        assert cache.get(key) is not None
    assert not complaints, complaints
"""
TRACKED = """
from search.tracking import Tracker, tracking_uri
from search.tracking.store import open_client

def write_tracked():
    with open_study() as study, Tracker(tracking_uri(root, None), "first") as tracker:
        write(study)
        tracker.start_trial(0, {"pretrain.lr": 0.1}, {"fold": 0})
        tracker.end_trial(0, "complete", {}, {"config.yaml": "seed: 1\\n"})
        tracker.finish({}, {"best.yaml": "seed: 1\\n", "plots/history.png": b"picture"})

# Loaded once: each umask has a process of its own.
open_client(tracking_uri(Path("first"), None))
for umask in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        os.mkdir(umask)
        os.chdir(umask)
        os.umask(int(umask, 8))
        try:
            write_tracked()
        except BaseException as error:
            os.write(2, f"{umask}: {error!r}".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
WRITE = "with open_study() as study: write(study)"


def run_in(folder: Path, program: str, *words: str, user: Sequence[str] = (), umask: int = 0o022) -> None:
    """Runs a program with a folder as its own."""
    command = [*user, sys.executable, "-c", PROGRAM + program, *words]
    done = subprocess.run(command, cwd=folder, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def rights(folder: Path) -> dict[int, set[str]]:
    """Files and folders below a folder by their rights, without those bits that folders inherit."""
    found: dict[int, set[str]] = {}
    for path in folder.rglob("*"):
        found.setdefault(stat.S_IMODE(path.stat().st_mode) & 0o777, set()).add(path.name)
    return found


def test_all_that_a_search_writes_has_the_rights_of_the_umask(tmp_path: Path) -> None:
    umasks = ("002", "077")
    run_in(tmp_path, TRACKED, *umasks)
    for umask in umasks:
        found = rights(tmp_path / umask)
        file_bits, folder_bits = 0o666 & ~int(umask, 8), 0o777 & ~int(umask, 8)
        assert set(found) == {file_bits, folder_bits}, umask
        assert {"lock", "record.jsonl", "space.yaml", "0.pt", "mlflow.db", "best.yaml"} <= found[file_bits]
        assert {"mlruns", "studies", "first", "plots", "artifacts", "cache"} <= found[folder_bits]


def test_a_colleague_of_the_group_goes_on(tmp_path: Path) -> None:
    first, second = colleague(1_001, GROUP), colleague(1_002, GROUP)
    tmp_path.chmod(0o777)
    for user in (first, second, first):
        run_in(tmp_path, WRITE, user=user, umask=0o002)
    study = tmp_path / "mlruns/studies/first"
    # The header, and each time an opening and a proposal.
    assert len((study / "record.jsonl").read_bytes().splitlines()) == 7
    assert study.stat().st_uid == 1_001
    assert set(rights(tmp_path)) == {0o664, 0o775}


def test_without_rights_for_the_group_a_colleague_is_told_of_the_file(tmp_path: Path) -> None:
    first, second = colleague(1_001, GROUP), colleague(1_002, GROUP)
    tmp_path.chmod(0o777)
    run_in(tmp_path, WRITE, user=first, umask=0o022)
    with pytest.raises(AssertionError, match=r"first/lock: cannot be opened \(Permission denied\)\. .*chmod -R g\+w"):
        run_in(tmp_path, WRITE, user=second, umask=0o002)
