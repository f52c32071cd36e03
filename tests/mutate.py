"""Mutation testing with mutmut: changes one module of the code at a time, and says which changes its tests notice.

    python tests/mutate.py [MODULE ...]        as licap/metrics.py; all of TESTS without one

Each module is mutated in a copy of its own below `mutants/`, which a second call takes up where the first ended, and
checked by its own fast tests alone. What survived is listed by `mutmut results`, and shown by `mutmut show NAME`,
called in that copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
COPIES = REPOSITORY / "mutants"
COPIED = ("licap", "search", "tests", "spaces", "README.md", "pyproject.toml")
GOLDEN = "tests/test_golden.py"
# The tests that have to notice a change of a module.
TESTS = {
    "licap/early_stopping.py": ["tests/test_early_stopping.py"],
    "licap/label_scale.py": ["tests/test_label_scale.py"],
    "licap/losses.py": ["tests/test_losses.py", GOLDEN],
    "licap/metrics.py": ["tests/test_metrics.py"],
    "licap/sampling.py": ["tests/test_sampling.py", GOLDEN],
    "licap/splits.py": ["tests/test_splits.py", GOLDEN],
    "licap/probe.py": ["tests/test_probe.py"],
    "licap/signals.py": ["tests/test_signals.py"],
    "licap/downstream.py": ["tests/test_downstream.py", "tests/test_trial.py"],
    "licap/trial.py": ["tests/test_trial.py", "tests/test_trial_store.py", "tests/test_variants.py"],
    "search/strategy/pruner.py": ["tests/strategy/test_pruner.py"],
    "search/strategy/median.py": ["tests/strategy/test_pruner.py"],
    "search/strategy/hyperband.py": ["tests/strategy/test_pruner.py"],
    "search/strategy/folds.py": ["tests/strategy/test_folds.py"],
    "search/insight/statistics.py": ["tests/insight/test_statistics.py"],
    "search/insight/leaderboard.py": ["tests/insight/test_leaderboard.py"],
    "search/study/record.py": ["tests/study"],
    "search/study/lock.py": ["tests/study"],
}
# Modules that call their own functions when they are imported. mutmut looks which test calls a function, and knows of
# none there: what it does not see noticed is run again with all tests of the module.
CALLED_ON_IMPORT = ("licap/metrics.py",)
# What is loaded before processes fork for one of these: not the module itself, which has to be imported mutated.
PRELOADED = ("pytest", "hypothesis.strategies", "hypothesis.extra.numpy", "torch", "scipy.stats", "sklearn.metrics")
# For the copy's conftest.py: the same examples every time, and no search for the smallest one that fails.
HYPOTHESIS = """

from hypothesis import Phase, settings

settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None)
settings.load_profile("mutation")
"""


def settings(module: str) -> str:
    """What pyproject.toml gets for a module."""
    values = {
        "source_paths": ["licap", "search"],
        "only_mutate": [module],
        "also_copy": ["spaces", "README.md"],
        "pytest_add_cli_args_test_selection": TESTS[module],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist"],
        # Torch's threads do not survive a fork, so nothing may have run where processes fork.
        "process_isolation": "forkserver",
        "forkserver_warmup": "import" if module in CALLED_ON_IMPORT else "collect",
        "preload_modules_file": "preloaded.txt",
        # Seconds that a busy machine may add to each test.
        "timeout_constant": 20.0,
    }
    return "\n\n[tool.mutmut]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + "\n"


def copy_for(module: str) -> Path:
    """The folder of a module's copy, brought up to date."""
    folder = COPIES / module.removesuffix(".py").replace("/", ".")
    for name in COPIED:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(settings(module))
    with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as file:
        file.write(HYPOTHESIS)
    (folder / "preloaded.txt").write_text("\n".join(PRELOADED), encoding="utf-8")
    return folder


def run(module: str) -> Counter[str]:
    """How many mutants of a module came to which end. Raises: CalledProcessError where mutmut fails."""
    folder = copy_for(module)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    mutmut = [sys.executable, "-m", "mutmut"]
    with (folder / "mutmut.log").open("w", encoding="utf-8") as log:
        subprocess.run([*mutmut, "run"], cwd=folder, env=environment, stdout=log, stderr=log, check=True)
    listed = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    ends = dict(line.strip().rsplit(": ", 1) for line in listed.stdout.splitlines() if ": " in line)
    if module in CALLED_ON_IMPORT:
        ends |= {name: _end(module, folder, name) for name, end in ends.items() if end != "killed"}
    return Counter(ends.values())


def _end(module: str, folder: Path, mutant: str) -> str:
    """What all tests of a module make of one mutant."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS[module]]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MUTANT_UNDER_TEST": mutant}
    try:
        done = subprocess.run(
            command, cwd=folder / "mutants", env=environment, capture_output=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return "killed" if done.returncode else "survived"


def main(modules: list[str]) -> None:
    """Prints a line for each module."""
    for module in modules or list(TESTS):
        ends = run(module)
        total = sum(ends.values())
        noticed = ends["killed"] + ends["timeout"]
        rest = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()) if end not in ("killed", "timeout"))
        share = f"{noticed} of {total} noticed ({100 * noticed / total:.0f} %)"
        sys.stdout.write(f"{module}: {share}; {rest or 'nothing survived'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
