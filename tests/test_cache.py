"""The cache of embeddings on disk: order of eviction, damage, kills, processes at once; trials go on regardless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from trial_cases import tiny_config, tiny_dataset

from licap.checkpoint import load_checkpoint, save_checkpoint
from licap.errors import StoreError
from licap.pretrain import PretrainEpoch
from licap.signals import Look
from licap.stored import History, Stored
from licap.trial import Trial
from search.cache import EmbeddingCache

KEYS = [f"{number:064x}" for number in range(20)]
# Entries of about 100 kB; the cache holds three of them.
NODES, WIDTH = 500, 50
THREE = 380_000


def entry(value: float = 0.5) -> Stored:
    """A stage of one epoch whose embeddings are all one value."""
    history = History(5, [PretrainEpoch(1.5, 1.0, 0.5, 0.1)], [Look({"signal.alignment": value})])
    return Stored((torch.full((NODES, WIDTH), value),), history)


@pytest.fixture
def told() -> list[str]:
    """What the cache said."""
    return []


@pytest.fixture
def cache(tmp_path: Path, told: list[str]) -> EmbeddingCache:
    """A cache of three entries in a folder that is not there yet."""
    return EmbeddingCache(tmp_path / "cache", THREE, told.append)


def age(folder: Path, key: str, seconds: float) -> None:
    """Sets when a file was last used."""
    path = folder / f"{key}.pt"
    used = path.stat().st_mtime - seconds
    os.utime(path, (used, used))


def keys_in(folder: Path) -> set[str]:
    """Which entries are there."""
    return {path.stem for path in folder.glob("*.pt")}


def test_what_was_put_comes_back(cache: EmbeddingCache, told: list[str]) -> None:
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], entry(0.25))
    found = cache.get(KEYS[0])
    assert found is not None
    assert torch.equal(found.embeddings[0], torch.full((NODES, WIDTH), 0.25))
    assert found.history == entry(0.25).history
    assert cache.get(KEYS[1]) is None
    assert not told


def test_what_was_used_longest_ago_goes_first(cache: EmbeddingCache, tmp_path: Path, told: list[str]) -> None:
    for place, key in enumerate(KEYS[:3]):
        cache.put(key, entry())
        age(tmp_path / "cache", key, 100 - place)
    cache.get(KEYS[0])
    cache.put(KEYS[3], entry())
    assert keys_in(tmp_path / "cache") == {KEYS[0], KEYS[2], KEYS[3]}
    assert not told


def test_the_folder_stays_within_its_bound(cache: EmbeddingCache, tmp_path: Path) -> None:
    for key in KEYS:
        cache.put(key, entry())
        age(tmp_path / "cache", key, 100)
        assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= THREE
    assert len(keys_in(tmp_path / "cache")) == 3


def test_what_was_used_since_a_put_began_is_not_evicted(cache: EmbeddingCache, tmp_path: Path) -> None:
    for key in KEYS[:3]:
        cache.put(key, entry())
        # As if another process had written or read it meanwhile.
        age(tmp_path / "cache", key, -100)
    cache.put(KEYS[3], entry())
    assert keys_in(tmp_path / "cache") == set(KEYS[:4])


def test_one_entry_that_is_larger_than_the_cache_is_not_kept_and_said_once(tmp_path: Path, told: list[str]) -> None:
    cache = EmbeddingCache(tmp_path / "cache", 50_000, told.append)
    for key in KEYS[:2]:
        cache.put(key, entry())
    assert len(told) == 1 and "0.1 MB" in told[0]
    assert cache.get(KEYS[0]) is None


def test_files_that_are_not_the_caches_are_left_alone(cache: EmbeddingCache, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "README.md").write_bytes(b"x" * THREE)
    cache.put(KEYS[0], entry())
    assert (folder / "README.md").exists() and keys_in(folder) == {KEYS[0]}


def damage(path: Path, how: str) -> None:
    """Spoils a file."""
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped bit":
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif how == "text":
        path.write_text("not a checkpoint")
    elif how == "another key":
        save_checkpoint(path, {**load_checkpoint(path), "key": KEYS[9]})
    elif how == "no stage":
        save_checkpoint(path, {"key": KEYS[0], "stored": {"embeddings": []}})
    elif how == "nothing in it":
        save_checkpoint(path, {"key": KEYS[0]})
    elif how == "code":
        torch.save({"format": "licap checkpoint 1", "state": {"key": KEYS[0], "stored": Look({})}}, path)


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "a flipped bit", "text", "another key", "no stage", "nothing in it", "code"]
)
def test_a_damaged_file_is_a_miss_is_removed_and_said_once(
    cache: EmbeddingCache, tmp_path: Path, told: list[str], how: str
) -> None:
    cache.put(KEYS[0], entry())
    path = tmp_path / "cache" / f"{KEYS[0]}.pt"
    damage(path, how)
    assert cache.get(KEYS[0]) is None
    assert cache.get(KEYS[0]) is None
    assert not path.exists()
    assert len(told) == 1 and "trained again" in told[0] and "removed" in told[0]
    cache.put(KEYS[0], entry())
    assert cache.get(KEYS[0]) is not None


def test_a_file_that_is_evicted_while_it_is_read_is_a_miss_and_no_damage(
    cache: EmbeddingCache, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(KEYS[0], entry())

    def evicted_first(path: Path) -> dict[str, object]:
        path.unlink()
        return load_checkpoint(path)

    monkeypatch.setattr("search.cache.load_checkpoint", evicted_first)
    assert cache.get(KEYS[0]) is None
    assert not told


def test_a_full_disk_is_said_once_and_trials_go_on(
    cache: EmbeddingCache, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, state: object) -> None:
        raise StoreError(f"{path}: cannot be written (No space left on device). Check folder, rights and space.")

    monkeypatch.setattr("search.cache.save_checkpoint", full)
    for seed in (0, 1):
        config = tiny_config({"seed": seed})
        kept = list(Trial(config, dataset=tiny_dataset(), store=cache))
        assert kept == list(Trial(config, dataset=tiny_dataset()))
    assert len(told) == 1 and "No space left" in told[0]


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "cache", THREE, told.append)
    for key in KEYS[:2]:
        assert cache.get(key) is None
        cache.put(key, entry())
    assert len(told) == 1 and "are not kept" in told[0]


def test_temporary_files_of_the_killed_are_swept_and_those_of_the_living_are_not(
    cache: EmbeddingCache, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    old, new = folder / f".{KEYS[1]}.pt.abc.tmp", folder / f".{KEYS[2]}.pt.def.tmp"
    for path, seconds in ((old, 7200), (new, 0)):
        path.write_bytes(b"half")
        used = path.stat().st_mtime - seconds
        os.utime(path, (used, used))
    cache.put(KEYS[0], entry())
    assert not old.exists() and new.exists()


def test_a_trial_finds_in_the_folder_what_another_process_would_have_left(tmp_path: Path, told: list[str]) -> None:
    config, dataset = tiny_config(), tiny_dataset()
    caches = [EmbeddingCache(tmp_path, 10**9, told.append) for _ in range(2)]
    first = Trial(config, dataset=dataset, store=caches[0])
    reports = list(first)
    second = Trial(config, dataset=dataset, store=caches[1])
    list(islice(second, 2))
    assert second.state_dict()["replay"] is not None
    again = Trial(config, dataset=dataset, store=caches[1])
    assert list(again) == reports
    assert np.array_equal(again.predictions(), first.predictions())
    assert not told


WRITER = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
from test_cache import KEYS, THREE, entry
from search.cache import EmbeddingCache
torch.set_num_threads(1)
cache = EmbeddingCache(Path({folder!r}), THREE, print)
print("ready", flush=True)
for turn in range({turns}):
    key = KEYS[(turn * {stride}) % 7]
    found = cache.get(key)
    if found is not None and not (found.embeddings[0] == KEYS.index(key)).all():
        print("wrong content", flush=True)
    if found is None or turn % 3 == 0:
        cache.put(key, entry(float(KEYS.index(key))))
"""


def writer(folder: Path, *, turns: int, stride: int) -> subprocess.Popen[str]:
    """A process that reads and writes entries whose content follows from their key; prints what goes wrong."""
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder), turns=turns, stride=stride)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_kill_leaves_whole_files_only(tmp_path: Path, told: list[str]) -> None:
    cache = EmbeddingCache(tmp_path, THREE, told.append)
    for _ in range(3):
        process = writer(tmp_path, turns=100_000, stride=3)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not keys_in(tmp_path):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.communicate()[0] == ""
        for key in keys_in(tmp_path):
            assert cache.get(key) is not None
            (tmp_path / f"{key}.pt").unlink()
    assert not told


def test_processes_that_read_write_and_evict_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    processes = [writer(tmp_path, turns=60, stride=stride) for stride in (1, 3)]
    for process in processes:
        assert process.communicate()[0] == "ready\n"
        assert process.returncode == 0
    assert keys_in(tmp_path) <= set(KEYS[:7])
