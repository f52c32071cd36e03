"""A small space, and the commands run as a person runs them: real subprocesses, a real Ray, a real MLflow store."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
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


# Three searches at a time use two cores well, since each waits more than it works; more get into each other's way.
SEARCHES_AT_ONCE = 3


class Turns:
    """How many searches run at a time, whichever of pytest-xdist's workers start them.

    A turn is an flock on a file, which the search's process inherits: it ends with the process.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._paths = [folder / f"turn-{number}" for number in range(count)]

    @contextlib.contextmanager
    def taken(self) -> Iterator[int]:
        """Waits for a turn. Yields a descriptor to be inherited."""
        while True:
            for path in self._paths:
                with path.open("w") as file, contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield file.fileno()
                    return
            time.sleep(0.1)


_turns: list[Turns] = []
_features: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def turns(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where tests run on several workers, these take turns with their searches; all share the computed features."""
    _features.append(shared_folder(tmp_path_factory) / "features")
    _features[0].mkdir(exist_ok=True)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1 and not _turns:
        # A fixture may need two at the same time.
        _turns.append(Turns(shared_folder(tmp_path_factory), max(SEARCHES_AT_ONCE, workers + 1)))


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that all of pytest-xdist's workers share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def turn(words: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    """Waits for a turn where the command is a search. Yields the descriptors that it is to inherit."""
    if words[0] != "search/run.py" or not _turns:
        yield ()
        return
    with _turns[0].taken() as descriptor:
        yield (descriptor,)


@dataclass(frozen=True)
class Workplace:
    """A folder in which commands are run."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs `python WORDS…`; the scripts of search/ are named as in the README."""
        with turn(words) as inherited:
            return subprocess.run(
                self.command(*words), cwd=self.folder, env={**self.environment, **(env or {})}, capture_output=True,
                text=True, timeout=240, check=False, pass_fds=inherited,
            )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts `python WORDS…` in a session of its own."""
        with turn(words) as inherited:
            return subprocess.Popen(
                self.command(*words), cwd=self.folder, env=dict(self.environment), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, start_new_session=True, pass_fds=inherited,
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


def make_workplace(folder: Path, database: Path | None = None) -> Workplace:
    """A folder with the small space, and an environment that tries to lead astray.

    database: a tracking database without a run, to begin with.
    """
    place = workplace_in(folder)
    Path(place.environment["TMPDIR"]).mkdir(parents=True)
    place.write("small.yaml", SMALL)
    (folder / "data").mkdir()
    (folder / "data" / "cache").symlink_to(_features[0])
    if database:
        (folder / "mlruns").mkdir()
        shutil.copy(database, folder / "mlruns" / "mlflow.db")
    return place


def workplace_in(folder: Path) -> Workplace:
    """A folder that `make_workplace` has made."""
    long = folder.parent / f"{folder.name}-a-temporary-folder-too-long-for-the-sockets-of-ray" / ("x" * 60)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(long),
        # Leftovers of another instance: a search without --ray-address must not follow them.
        "RAY_ADDRESS": "127.0.0.1:1",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }
    return Workplace(folder, environment)


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
# Lets the system say that less than two trials' memory is free.
LITTLE_MEMORY = """\
import re
from pathlib import Path
read_text = Path.read_text
def read(path, *args, **kwargs):
    text = read_text(path, *args, **kwargs)
    return re.sub(r"MemAvailable:.*", "MemAvailable: 1500000 kB", text) if str(path) == "/proc/meminfo" else text
Path.read_text = read
"""
# The one in adversity has neither DGL nor a home, little memory, values that diverge, and a time budget.
SEARCHES = {
    "one slot": ("--max-concurrent", "1"),
    "one slot again": ("--max-concurrent", "1"),
    "in adversity": (
        "--trials", "500", "--time-budget", "15s", "--set", "sampler=random", "--set", "pruner=none", "--seed", "3",
        "--set", "search.downstream.lr={type: categorical, choices: [5e-3, 1e30]}",
    ),
}  # fmt: skip


class Searches:
    """Searches that ran once, by the names in SEARCHES; several at a time, since each waits more than it works.

    folder: where they ran, or are to run. Several processes may share it: each search is run by the first to begin it.
    database: what all but the first begin with.
    """

    def __init__(self, folder: Path, database: Path) -> None:
        self._database = database
        self._places = {name: workplace_in(folder / f"search-{n}") for n, name in enumerate(SEARCHES)}
        self._pool = ThreadPoolExecutor(SEARCHES_AT_ONCE)
        self._running = {name: self._pool.submit(self._search, name) for name in SEARCHES}

    def __getitem__(self, name: str) -> FinishedSearch:
        return FinishedSearch(self._places[name], self._running[name].result())

    def close(self) -> None:
        """Waits for all."""
        self._pool.shutdown(cancel_futures=True)

    def _search(self, name: str) -> dict[str, Any]:
        place = self._places[name]
        result = place.folder.with_suffix(".json")
        with place.folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.exists():
                place.folder.mkdir()
                make_workplace(place.folder, None if name == "one slot" else self._database)
                found = place.search(*SEARCHES[name], env=misled(place) if name == "in adversity" else None)
                result.write_text(json.dumps(found), encoding="utf-8")
        return dict(json.loads(result.read_text(encoding="utf-8")))


def misled(place: Workplace) -> dict[str, str]:
    """An environment without DGL, without a home folder, and with little memory."""
    place.write("sitecustomize.py", HIDE_DGL + LITTLE_MEMORY)
    return {"PYTHONPATH": str(place.folder), "HOME": "/proc/nobody"}


@pytest.fixture(scope="session")
def searches(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Searches]:
    """The searches that tests only look at."""
    made = Searches(shared_folder(tmp_path_factory), empty_database)
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
