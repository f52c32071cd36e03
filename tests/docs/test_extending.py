"""The page on adding a model is followed to the letter, in a copy of the packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
pretrain: {max_epochs: 2}
downstream: {model: appnp, max_epochs: 20, lr: 0.05}
data: {synthetic: {num_nodes: 200, num_edges: 1500}}
runtime: {threads: 1}
"""


@pytest.fixture(scope="module")
def extended(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the packages to which the page's blocks have been added."""
    folder = tmp_path_factory.mktemp("extended")
    for package in ("licap", "search"):
        shutil.copytree(repository / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    page = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    model, options, field, preset = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    (folder / "licap" / "models" / "appnp.py").write_text(model, encoding="utf-8")
    configs = folder / "licap" / "model_configs.py"
    insert(configs, "@dataclass(frozen=True, kw_only=True)\nclass ModelConfigs", options + "\n\n")
    insert(configs, "\n\nMODEL_NAMES", field)
    insert(folder / "licap" / "presets.py", '    "in_degree": {', preset)
    return folder


def insert(path: Path, before: str, text: str) -> None:
    """Puts text into a file, where the page says."""
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path}: {before!r}"
    path.write_text(content.replace(before, text + before), encoding="utf-8")


def run(folder: Path, *words: str) -> str:
    """The output of a program that finds the extended package first."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_model_trains(extended: Path) -> None:
    (extended / "config.yaml").write_text(CONFIG, encoding="utf-8")
    out = run(extended, "-m", "licap.cli", "run", "config.yaml", "--set", "downstream.appnp.hops=5", "--out", "out")
    assert "Spearman" in out
    assert "appnp" in (extended / "out" / "config.yaml").read_text(encoding="utf-8")


def test_the_documented_model_can_be_searched(extended: Path, repository: Path) -> None:
    page = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    [search] = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    fixed = "data: {synthetic: {num_nodes: 200, num_edges: 1500}}, downstream: {max_epochs: 5, input: features}"
    (extended / "mine.yaml").write_text(
        f"config: {{{fixed}}}\n{search}sampler: random\npruner: none\n", encoding="utf-8"
    )
    assert "downstream.appnp.hops" in run(extended, "search/run.py", "--space", "mine.yaml", "--dry-run")


def test_the_documented_model_is_in_configs_presets_and_registry(extended: Path) -> None:
    program = """
from licap.config import config_from
from licap.models import MODELS
from licap.presets import preset_values
config = config_from(preset_values("published", "appnp"))
assert config.downstream.appnp.hops == 10, config
assert MODELS["appnp"].__module__ == "licap.models.appnp"
"""
    run(extended, "-c", program)
    assert "downstream.appnp.restart" in run(extended, "-m", "licap.cli", "config")
