"""What does a search cost beside the training: seconds for a trial that does next to nothing, and memory of the driver?

    python -m benchmarks.search [--trials 100] [--slots 2] [--pruner none]

Runs search/run.py on a graph of 60 nodes. Each trial reports ten epochs of a few milliseconds, which count.
The first ten trials are left out: processes start in them.
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
from benchmarks.command import positive, run
from benchmarks.measuring import memory_mb
from benchmarks.output import Bars, Column, Findings
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


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--trials", type=positive, default=100)
    parser.add_argument("--slots", type=positive, default=2)
    parser.add_argument("--pruner", default="none")
    output.add_options(parser)
    options = parser.parse_args()
    findings = Findings("search", options)
    with tempfile.TemporaryDirectory(prefix="licap-benchmark-") as folder:
        found = measure(Path(folder), options)
    table = findings.table("search", [Column("what", "what"), Column("value", "value", ".4g")])
    for what, value in found.items():
        table.add(what=what, value=value)
    for title, unit in (("a trial", "seconds"), ("the driver", "MB")):
        shown = {what.removeprefix(f"{title}, "): each for what, each in found.items() if what.startswith(title)}
        findings.pictures.append(Bars(title, unit, shown))
    findings.write()


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per trial, the median wait between ends, and MB of the driver after the warm-up and at the end."""
    space = folder / "overhead.yaml"
    space.write_text(SPACE, encoding="utf-8")
    words = ["--trials", options.trials, "--max-concurrent", options.slots, "--set", f"pruner={options.pruner}"]
    command = [sys.executable, REPOSITORY / "search" / "run.py", "--space", space, *words]
    driver = subprocess.Popen(
        [str(word) for word in command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
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
