"""The `licap` command as a user types it, a small config, and a small data set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from in_process import run_here

from licap.cli import main

SMALL = """\
data.synthetic: {num_nodes: 150, num_edges: 700, num_relations: 8}
data.node2vec: {dim: 8, num_walks: 2, walk_length: 8}
data.cache: cache
pretrain: {max_epochs: 6, heads: 2, hidden: 4, out_dim: 8}
downstream: {max_epochs: 12}
runtime.threads: 1
"""


RESULTS = ("metrics.json", "predictions.csv", "embeddings.npy")


NAMES = ('6" gun, "loud"', "a,b;c", "Ünïcode – 名前", "'single'", '"')


def licap(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `licap WORDS…` in a folder."""
    return subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def licap_here(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Calls `licap WORDS…` in a folder without a process of its own."""
    return run_here(main, ["licap", *words], folder)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "licap.cli", *words]


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 2, one message with some parts in it, no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    for part in parts:
        assert part in done.stderr, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_tsv(folder: Path, *, importance: str = "7") -> Path:
    """A small data set in which one node has the importance given, and the first have odd names."""
    folder.mkdir()
    nodes = [f"n{i}\t{(i * 37) % 101 + 1}\t1\t{(NAMES + ('',) * 79)[i]}\tword{i % 7} text" for i in range(79)]
    nodes.append(f"odd\t{importance}\t1\tplain\tword text")
    triples = [f"n{i}\tr{i % 3}\tn{(i * 5 + 1) % 79}" for i in range(79)] + ["odd\tr0\tn1"]
    head = ["node\timportance\tvalid\tname\tdescription"]
    (folder / "nodes.tsv").write_text("\n".join([*head, *nodes]) + "\n", encoding="utf-8")
    (folder / "triples.tsv").write_text("\n".join(["head\trelation\ttail", *triples]) + "\n", encoding="utf-8")
    return folder
