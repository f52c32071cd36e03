"""Compiled functions compute the same whether or not their machine code can be kept on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rights_cases import ordinary_user

pytest.importorskip("numba")

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import sys
import numpy as np
from licap.datasets import walks
from licap.graph import KnowledgeGraph
graph = KnowledgeGraph.from_edges([0, 1, 2], [1, 2, 3], [0, 0, 0], num_nodes=4, num_relations=1)
found = walks.random_walks(
    walks.undirected_neighbours(graph), np.array([0, 3]), number=1, length=6, p=0.5, q=2.0, seed=3
)
print(found.tolist(), walks.__file__)
if "ops" in sys.argv:
    import torch
    from licap.ops import neighbour_sum
    print(neighbour_sum(torch.ones(4, 1), graph, backend="numba").tolist())
print(sum(walks._fill_walks.stats.cache_hits.values()))
"""
WALKS = [[0, 1, 0, 1, 0, 1], [3, 2, 3, 2, 3, 2]]


def run_in(tree: Path, *words: str, settings: Mapping[str, str] | None = None, first: str = "") -> tuple[str, int]:
    """Runs the program on a tree's package with nothing of this user's environment. Returns: output, cache hits."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/dev/null/nowhere",
    }
    done = subprocess.run(
        [*ordinary_user(), sys.executable, "-c", first + PROGRAM, *words],
        cwd="/",
        env=environment | dict(settings or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *output, hits = done.stdout.replace(str(tree), "TREE").splitlines()
    assert "TREE/licap/datasets/walks.py" in output[0]
    return "\n".join(output), int(hits)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package in which numba cannot keep anything, not even for root: `__pycache__` is a file."""
    copy = tmp_path / "tree"
    shutil.copytree(ROOT / "licap", copy / "licap", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (copy / "licap", *(path for path in (copy / "licap").rglob("*") if path.is_dir())):
        (folder / "__pycache__").touch()
    return copy


def expected(*more: str) -> str:
    """What the program prints before the number of its cache hits."""
    return "\n".join([f"{WALKS} TREE/licap/datasets/walks.py", *more])


def test_without_a_folder_to_write_all_compiled_functions_work(tree: Path) -> None:
    assert run_in(tree, "ops") == (expected("[[0.0], [1.0], [1.0], [1.0]]"), 0)


@pytest.mark.parametrize("below", ["file/cache", "n" * 300], ids=["below a file", "name too long"])
def test_a_cache_folder_that_cannot_be_made_costs_nothing_but_the_time(tree: Path, below: str) -> None:
    (tree / "file").touch()
    assert run_in(tree, settings={"NUMBA_CACHE_DIR": os.fspath(tree / below)}) == (expected(), 0)


def test_a_read_only_checkout_is_enough(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "licap", tree / "licap", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [tree, *(path for path in tree.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert run_in(tree) == (expected(), 0)
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_disk_that_is_full_keeps_nothing_and_says_nothing(tree: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    # No file may grow: writing fails as on a full disk, and making a file does not.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    assert run_in(tree, settings={"NUMBA_CACHE_DIR": str(cache)}, first=limit) == (expected(), 0)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_what_can_be_kept_is_used_again_and_what_is_damaged_is_compiled_anew(tree: Path, tmp_path: Path) -> None:
    settings = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run_in(tree, settings=settings) == (expected(), 0)
    assert run_in(tree, settings=settings) == (expected(), 1)
    files = sorted(path for path in (tmp_path / "cache").rglob("*.nb*"))
    assert {path.suffix for path in files} == {".nbi", ".nbc"}
    for suffix, size in ((".nbc", 9), (".nbi", 0)):
        for path in files:
            if path.suffix == suffix:
                os.truncate(path, min(size, path.stat().st_size))
        assert run_in(tree, settings=settings) == (expected(), 0)
    assert run_in(tree, settings=settings) == (expected(), 1)


def test_files_of_another_user_that_may_not_be_read_are_compiled_anew(tree: Path, tmp_path: Path) -> None:
    settings = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run_in(tree, settings=settings)
    for path in (tmp_path / "cache").rglob("*.nb*"):
        path.chmod(0)
    assert run_in(tree, settings=settings) == (expected(), 0)
