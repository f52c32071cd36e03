"""Runs the tests under settings that make libraries compute as they do on other CPUs.

    python tests/on_other_cpus.py [--dependent] [--only NAME ...] [-- ARGUMENTS OF PYTEST]

The settings choose other instructions than this CPU's best, or other numbers of threads. All tests run under each of
them; with --dependent those alone whose outcome such a setting has changed or could change.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from licap.console import say

TESTS = Path(__file__).resolve().parent
DEPENDENT = (
    "test_decisions.py",
    "test_golden.py",
    "test_logarithm.py",
    "test_splits.py",
    "test_sampling.py",
    "ops/test_relation_sum.py",
    "strategy/test_samplers.py",
)


def _each() -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "default", {}
    yield "mkl", {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    yield "torch", {"ATEN_CPU_CAPABILITY": "default"}
    yield "numpy", {"NPY_DISABLE_CPU_FEATURES": " ".join(_numpy_features())}
    yield "numba", {"NUMBA_CPU_NAME": "generic"}
    # Tests side by side share the cores, so that the default may be one thread too.
    yield "two threads", {"OMP_NUM_THREADS": "2"}
    yield "one thread", {"OMP_NUM_THREADS": "1"}
    if platform.machine() in ("x86_64", "AMD64"):
        # numpy's and scipy's BLAS, and the logarithm and exponential of glibc; other C libraries pass over it.
        yield "openblas", {"OPENBLAS_CORETYPE": "Nehalem"}
        yield "libc", {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}


def _settings() -> Mapping[str, Mapping[str, str]]:
    each = dict(_each())
    return {**each, "together": {name: value for variables in each.values() for name, value in variables.items()}}


def _numpy_features() -> list[str]:
    """The groups of instructions that this numpy finds out at its start, and that this CPU has."""
    home = "numpy._core" if importlib.util.find_spec("numpy._core") else "numpy.core"
    core = import_module(f"{home}._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]


# Name to environment variables. numpy takes only names that it knows, and these differ from version to version.
SETTINGS: Mapping[str, Mapping[str, str]] = _settings()


def main() -> int:
    """Runs pytest under each setting. Returns: 1 where one of them fails, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dependent", action="store_true", help="only the tests that such a setting can change")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME", help="settings")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    asked = parser.parse_args()
    tests = [str(TESTS / name) for name in DEPENDENT] if asked.dependent else [str(TESTS)]
    failed = []
    for name in asked.only:
        began = time.monotonic()
        variables = " ".join(f"{key}={value!r}" for key, value in SETTINGS[name].items())
        say(f"== {name}: {variables or 'as it is'}")
        command = [sys.executable, "-m", "pytest", "-q", *tests, *asked.pytest]
        if subprocess.run(command, env=os.environ | SETTINGS[name], cwd=TESTS.parent, check=False).returncode:
            failed.append(name)
        say(f"== {name}: {'failed' if name in failed else 'passed'} in {time.monotonic() - began:.0f} s")
    say(f"failed under: {', '.join(failed)}" if failed else f"passed under: {', '.join(asked.only)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
