"""Studies written with the API, and the commands that read them, run as a person runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from search.space import SearchSpace
from search.study import Ended, Proposed, Reported, Study

REPOSITORY = Path(__file__).resolve().parent.parent
SPACE = """
name: small
metric: spearman
search:
  pretrain.imp_ratio: {type: float, low: 0.01, high: 0.3, log: true}
  pretrain.eta2: {type: float, low: 0.0, high: 3.0}
"""


def write_study(root: Path, name: str, values: list[float | None], *overrides: str) -> Study:
    """A finished study; None stands for a failed trial. overrides: `--set` words for its space."""
    space = SearchSpace.from_text(SPACE, source="small.yaml", overrides=overrides)
    with Study.create(root, name, space.to_yaml()) as study:
        for number, value in enumerate(values):
            drawn = {"pretrain.imp_ratio": 0.1 / (number + 3), "pretrain.eta2": 1 / 3}
            study.append(Proposed(trial=number, values=drawn, starting_point=False))
            if value is not None:
                metrics = {"val.spearman": value}
                study.append(Reported(trial=number, stage="downstream", epoch=0, budget=151, metrics=metrics))
            state, failure = ("failed", "diverged") if value is None else ("complete", None)
            study.append(
                Ended(trial=number, state=state, failure=failure, message="", budget=151, seconds=1.0, notes=())
            )
    return study


def run_door(
    cwd: Path, name: str, *words: str, env: Mapping[str, str] | None = None, shell: str = 'exec "$@"'
) -> subprocess.CompletedProcess[str]:
    """Runs `python search/NAME WORDS…` in a folder. shell: a script of bash that runs the words "$@"."""
    command = ["bash", "-c", shell, "bash", sys.executable, str(REPOSITORY / "search" / name), *words]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return set(done.stdout.split())
