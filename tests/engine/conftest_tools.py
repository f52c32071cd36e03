"""A small space, and the commands run as a person runs them: real subprocesses, a real Ray, a real MLflow store."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from search.tracking import tracking_uri
from search.tracking.store import open_client

REPOSITORY = Path(__file__).resolve().parents[2]

# What spaces of these tests begin with: trials of a second.
SMALL_HEAD = """\
name: small
metric: NDCG@20
config:
  data.synthetic: {num_nodes: 150, num_edges: 700, num_relations: 8}
  data.node2vec: {dim: 8, num_walks: 2, walk_length: 8}
"""
SMALL = (
    SMALL_HEAD
    + """\
  pretrain: {max_epochs: 6, heads: 2, hidden: 4, out_dim: 8}
  downstream: {max_epochs: 18, model: geni}
search:
  pretrain.imp_ratio: {type: float, low: 0.1, high: 0.4}
  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}
  pretrain.bins.count: {type: int, low: 2, high: 4, when: {pretrain.bins.kind: quantile}}
  downstream.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
  downstream.input: {type: categorical, choices: [features, embeddings, features+embeddings]}
start:
  - {pretrain.imp_ratio: 0.2, pretrain.bins.kind: length, downstream.lr: 5e-3, downstream.input: embeddings}
sampler: {name: tpe, startup: 3}
pruner: {name: asha, grace: 2, reduction: 2}
trials: 8
report_every: 2
"""
)


@dataclass(frozen=True)
class Workplace:
    """A folder in which commands are run."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs `python WORDS…`; the scripts of search/ are named as in the README."""
        return subprocess.run(
            self.command(*words), cwd=self.folder, env={**self.environment, **(env or {})}, capture_output=True,
            text=True, timeout=240, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts `python WORDS…` in a session of its own."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=dict(self.environment), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def command(self, *words: str) -> list[str]:
        """The full command line."""
        first = str(REPOSITORY / words[0]) if words[0].startswith("search/") else words[0]
        return [sys.executable, first, *words[1:]]

    def search(self, *words: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Runs a search to its end and returns its JSON."""
        done = self.run("search/run.py", "--space", "small.yaml", "--json", *words, env=env)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def write(self, name: str, text: str) -> Path:
        """Writes a file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def make_workplace(folder: Path) -> Workplace:
    """A folder with the small space, and an environment that tries to lead astray."""
    long = folder.parent / f"{folder.name}-a-temporary-folder-too-long-for-the-sockets-of-ray" / ("x" * 60)
    long.mkdir(parents=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(long),
        # Leftovers of another instance: a search without --ray-address must not follow them.
        "RAY_ADDRESS": "127.0.0.1:1",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }
    place = Workplace(folder, environment)
    place.write("small.yaml", SMALL)
    return place


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A fresh folder for one test."""
    return make_workplace(tmp_path)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without a run: making its tables takes seconds, a copy none."""
    root = tmp_path_factory.mktemp("database")
    open_client(tracking_uri(root, None))
    return root / "mlflow.db"


@dataclass(frozen=True)
class FinishedSearch:
    """A search that ran once for all tests that only look at what it left."""

    place: Workplace
    result: dict[str, Any]


# Hides DGL from every Python that is started with it on its path.
HIDE_DGL = """\
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None:
        None if name.split('.')[0] == 'dgl' else found(name, path, target))
"""
SEARCHES = {
    "one slot": ("--max-concurrent", "1"),
    "one slot again": ("--max-concurrent", "1"),
    "no dgl, no home": ("--trials", "2"),
    "time budget": ("--trials", "500", "--time-budget", "3s"),
    "diverged": (
        "--trials", "3", "--set", "sampler=random", "--set", "pruner=none", "--seed", "3",
        "--set", "search.downstream.lr={type: categorical, choices: [5e-3, 1e6]}",
    ),
}  # fmt: skip


class Searches:
    """Searches that ran once, by the names in SEARCHES; several at a time, since each waits more than it works."""

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._pool = ThreadPoolExecutor(3)
        self._places = {name: make_workplace(make_folder(f"search-{n}")) for n, name in enumerate(SEARCHES)}
        self._running = {name: self._pool.submit(self._search, name) for name in SEARCHES}

    def __getitem__(self, name: str) -> FinishedSearch:
        return FinishedSearch(self._places[name], self._running[name].result())

    def close(self) -> None:
        """Waits for all."""
        self._pool.shutdown(cancel_futures=True)

    def _search(self, name: str) -> dict[str, Any]:
        place = self._places[name]
        return place.search(*SEARCHES[name], env=hidden_dgl(place) if name.startswith("no dgl") else None)


def hidden_dgl(place: Workplace) -> dict[str, str]:
    """An environment without DGL, and without a home folder."""
    place.write("sitecustomize.py", HIDE_DGL)
    return {"PYTHONPATH": str(place.folder), "HOME": "/proc/nobody"}


@pytest.fixture(scope="session")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    """The searches that tests only look at."""
    made = Searches(tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.fixture
def finished(searches: Searches) -> FinishedSearch:
    """One whole search in one slot."""
    return searches["one slot"]


def living(pids: set[int]) -> set[int]:
    """Which processes are still there."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)}


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    children: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), set()).add(int(stat.parent.name))
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = set().union(*(children.get(each, set()) for each in frontier)) - found
        found |= frontier
    return found


def listening(pids: set[int]) -> set[str]:
    """The addresses at which some processes listen for connections."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                found.add(_address(local.partition(":")[0]))
    return found


def _address(digits: str) -> str:
    """An address of /proc/net: words of four bytes, each in the machine's order."""
    words = [bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8)]
    address = ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
