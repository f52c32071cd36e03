"""What .ci/run runs stands in README: where it does not, that is a failure, and nothing has been touched."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands for the first Python on the path: it says how it was called, and makes no environment.
PYTHON = """#!/bin/sh
echo "python3 $*" >> called
mkdir -p .venv/bin && : > .venv/bin/activate && cp tools/python .venv/bin/python
"""
OTHERS = '#!/bin/sh\necho "$(basename $0) $*" >> called\n'


def run_ci(folder: Path, readme: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs .ci/run on a README, with commands that only say how they were called. Returns these as well."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(readme, encoding="utf-8")
    tools = folder / "tools"
    tools.mkdir()
    for name in ("python3", "python", "pip", "ruff", "mypy"):
        (tools / name).write_text(PYTHON if name == "python3" else OTHERS, encoding="utf-8")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["bash", folder / ".ci" / "run"], env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    called = folder / "called"
    return done, called.read_text(encoding="utf-8").splitlines() if called.exists() else []


def without_block(number: int) -> str:
    """README without one of its fenced bash blocks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = list(re.finditer(r"^```bash\n.*?^```\n", text, re.M | re.S))[number - 1]
    return text[: found.start()] + text[found.end() :]


def test_the_commands_of_the_readme_are_run_tests_first(tmp_path: Path) -> None:
    done, called = run_ci(tmp_path, (ROOT / "README.md").read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stderr
    assert called[0] == "python3 -m venv --clear .venv"
    tests = next(place for place, line in enumerate(called) if line.startswith("python -m pytest "))
    assert called.index("python search/run.py --space spaces/default.yaml") > tests
    assert "ruff check ." in called[:tests] and "python search/export.py" in called[tests:]


@pytest.mark.parametrize(
    ("readme", "words"),
    [
        pytest.param(without_block(1), "block number 1 should hold 'search/run.py'", id="no main job"),
        pytest.param(without_block(2), "block number 2 should hold 'pytest'", id="no tests"),
        pytest.param("# licap-search\n", "block number 1", id="no blocks"),
        pytest.param((ROOT / "README.md").read_text("utf-8").replace("```bash", "```sh"), "block number 1", id="sh"),
    ],
)
def test_a_block_that_is_missing_is_a_failure_before_anything_is_touched(
    tmp_path: Path, readme: str, words: str
) -> None:
    done, called = run_ci(tmp_path, readme)
    assert done.returncode != 0 and words in done.stderr
    assert not called and not (tmp_path / ".venv").exists()
