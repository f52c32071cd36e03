"""What does a search cost beside the training, and how much faster is one whose backend is faster?

    python -m benchmarks.search [--trials 100] [--slots 2] [--pruner none]
    python -m benchmarks.search --backends numba torch dgl [--data FOLDER] [--trials 4] [--rounds 3]

Without backends: seconds for a trial that does next to nothing, and memory of the driver. Runs search/run.py on a graph
of 60 nodes. Each trial reports ten epochs of a few milliseconds, which count. The first ten trials are left out:
processes start in them.

With backends: searches of a few whole trials (twenty epochs of pretraining, fifty of GENI, structure features), which
take turns. A trial's seconds count from when its worker takes it up; those that workers begin with are left out.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import output
from benchmarks.command import new_parser, positive, run
from benchmarks.measuring import memory_mb, yardstick
from benchmarks.output import Bars, Column, Findings
from licap.ops import available_backends
from licap.paths import path_option
from licap.yaml_file import write_yaml
from search.study import Ended, Study

WARM_UP = 10
REPOSITORY = Path(__file__).resolve().parents[1]
SPACE = """\
name: overhead
config:
  data.synthetic: {num_nodes: 60, num_edges: 200, num_relations: 3}
  data.node2vec: {dim: 8, num_walks: 2, walk_length: 8}
  downstream: {max_epochs: 10, model: gcn, input: features}
search:
  downstream.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
report_every: 1
"""


COMPARED = {
    "name": "compared",
    "config": {
        "pretrain": {"max_epochs": 20, "patience": 20},
        "downstream": {"model": "geni", "max_epochs": 50, "patience": 50},
    },
    # Changes nothing of a trial's cost, and lets no trial take another's embeddings.
    "search": {"pretrain.lr": {"type": "float", "low": 0.001, "high": 0.01, "log": True}},
    "sampler": "random",
    "pruner": "none",
}


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("search", __doc__)
    parser.add_argument(
        "--data", type=path_option, help="with backends: folder of the data set; without it, the synthetic graph"
    )
    parser.add_argument("--backends", nargs="+", choices=available_backends(), help="compare searches on these")
    parser.add_argument("--trials", type=positive, help="default: 100; with backends two for each slot")
    parser.add_argument("--rounds", type=positive, default=3, help="searches with each backend")
    parser.add_argument("--slots", type=positive, default=2)
    parser.add_argument("--pruner", default="none", help="without backends")
    output.add_options(parser)
    options = parser.parse_args()
    if options.backends and options.trials and options.trials <= options.slots:
        parser.error("--trials: with backends more than --slots, as a worker's first trial is left out")
    findings = Findings("search", options)
    with tempfile.TemporaryDirectory(prefix="licap-benchmark-") as folder:
        (compare if options.backends else overhead)(findings, Path(folder), options)
    findings.write()


def overhead(findings: Findings, folder: Path, options: argparse.Namespace) -> None:
    """Seconds per trial, the median wait between ends, and MB of the driver after the warm-up and at the end."""
    found = measure(folder, options)
    table = findings.table("search", [Column("what", "what"), Column("value", "value", ".4g")])
    for what, value in found.items():
        table.add(what=what, value=value)
    for title, unit in (("a trial", "seconds"), ("the driver", "MB")):
        shown = {what.removeprefix(f"{title}, "): each for what, each in found.items() if what.startswith(title)}
        findings.pictures.append(Bars(title, unit, shown))


def compare(findings: Findings, folder: Path, options: argparse.Namespace) -> None:
    """Seconds of a search's trials by backend."""
    space = folder / "compared.yaml"
    space.write_text(write_yaml(COMPARED), encoding="utf-8")
    data = ["--set", f"data.path={options.data.resolve()}"] if options.data else []
    spent: dict[str, list[float]] = {backend: [] for backend in options.backends}
    for number in range(options.rounds):
        for backend in options.backends:
            study = f"{backend}-{number}"
            words = ["--study", study, "--set", f"runtime.backend={backend}", *data, "--no-cache"]
            size = ["--trials", options.trials or 2 * options.slots, "--max-concurrent", options.slots]
            search = started(folder, "--space", space, *words, *size)
            _, problems = search.communicate()
            if search.returncode:
                raise RuntimeError(problems)
            trials = Study.open(folder / "mlruns", study).trials()
            spent[backend] += [trial.seconds for trial in trials[options.slots :] if trial.seconds is not None]
    medians = {backend: statistics.median(seconds) for backend, seconds in spent.items()}
    other = yardstick(options.backends)
    columns = [
        Column("backend", "backend"),
        Column("seconds", "s/trial", ".2f"),
        Column("faster", f"{other} / it", ".2f"),
    ]
    table = findings.table("trials", columns)
    for backend, seconds in medians.items():
        table.add(backend=backend, seconds=seconds, faster=medians[other] / seconds)
    findings.pictures.append(Bars("a trial of a search", "seconds", medians))


def started(folder: Path, *words: object) -> subprocess.Popen[str]:
    """A search that keeps its studies in the folder."""
    command = [sys.executable, REPOSITORY / "search" / "run.py", *words]
    return subprocess.Popen(
        [str(word) for word in command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """What `overhead` shows."""
    space = folder / "overhead.yaml"
    space.write_text(SPACE, encoding="utf-8")
    words = ["--trials", options.trials or 100, "--max-concurrent", options.slots, "--set", f"pruner={options.pruner}"]
    driver = started(folder, "--space", space, *words)
    assert driver.stderr is not None
    record = folder / "mlruns" / "studies" / "overhead" / "record.jsonl"
    memory: dict[int, float] = {}
    while driver.poll() is None:
        ended = record.read_bytes().count(b'{"event":"ended"') if record.exists() else 0
        memory[ended] = _resident(driver.pid) or memory.get(ended, 0.0)
        time.sleep(0.05)
    if driver.returncode:
        raise RuntimeError(driver.stderr.read())
    study = Study.open(folder / "mlruns", "overhead")
    ends = [when for event, when in zip(study.events, study.times, strict=True) if isinstance(event, Ended)]
    waits = [after - before for before, after in zip(ends[WARM_UP:], ends[WARM_UP + 1 :], strict=False)]
    first, last = (choose(count for count in memory if WARM_UP <= count < len(ends)) for choose in (min, max))
    return {
        "trials": len(ends),
        "a trial, seconds": (ends[-1] - ends[WARM_UP]) / len(waits),
        "a trial, median wait between ends in s": statistics.median(waits),
        "the driver, MB after the warm-up": memory[first],
        "the driver, MB before the last ends": memory[last],
    }


def _resident(pid: int) -> float:
    """MB in memory; 0 where the process has just ended."""
    try:
        return memory_mb("VmRSS", pid)
    except OSError:
        return 0.0


if __name__ == "__main__":
    run(main)
