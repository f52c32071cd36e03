"""Imports point one way, one library per room, every module says what it is for, files and functions stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("licap", "search")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# Lowest first; a module may import what stands in an earlier group, and modules of its own room.
LICAP_LAYERS = (
    ("errors", "number_text", "invisible", "commands", "suggestions"),
    ("spelling",),
    ("paths",),
    ("conditions",),
    ("fields", "yaml_file", "files", "console", "optional", "machine", "garbage", "compiled", "logarithm"),
    ("model_configs", "presets"),
    ("data_config",),
    ("config", "metrics", "early_stopping", "stalled", "reproducibility"),
    ("checkpoint", "graph", "splits", "portable"),
    ("sampling",),
    ("datasets", "results"),
    ("losses", "ops"),
    ("models", "cuda_graphs", "adam"),
    ("training", "probe"),
    ("step_limit",),
    ("pretrain", "downstream", "label_scale"),
    ("signals",),
    ("stored",),
    ("encoding",),
    ("joint",),
    ("trial",),
    ("experiment", "folded"),
    ("cli",),
)
SEARCH_LAYERS = (
    ("space", "cache"),
    ("study", "strategy", "tracking"),
    ("insight",),
    ("engine",),
    ("chosen",),
    ("run", "check", "export", "compare", "summarize", "replay"),
)
LIBRARY_ROOMS = {
    "ray": ("search/engine/",),
    "optuna": ("search/strategy/",),
    "mlflow": ("search/tracking/",),
    "triton": ("licap/ops/",),
    "numba": ("licap/ops/", "licap/compiled.py"),
    "llvmlite": ("licap/ops/",),
    "dgl": ("licap/ops/", "licap/optional.py"),
    "gensim": ("licap/datasets/node2vec.py",),
    "matplotlib": ("search/insight/",),
    "sklearn": ("licap/datasets/text_features.py", "licap/models/"),
    "sentence_transformers": ("licap/datasets/",),
}


def imports_of(path: Path) -> Iterator[str]:
    """Full names of everything a file imports at run time, inside functions too; typing-only imports are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str, layers: tuple[tuple[str, ...], ...]) -> int | None:
    """The layer of `licap.x.y` or `search.x.y`; None for the package itself."""
    parts = name.split(".")
    if len(parts) < 2:
        return None
    return next((index for index, group in enumerate(layers) if parts[1] in group), -1)


def module_name(path: Path) -> str:
    """Dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    own = module_name(path)
    layers = LICAP_LAYERS if own.startswith("licap") else SEARCH_LAYERS
    layer = room(own, layers)
    assert layer != -1, f"{own} stands in no layer: give it one"
    for name in imports_of(path):
        package = name.split(".")[0]
        assert not (own.startswith("licap") and package == "search"), f"{own} must not know {name}"
        if package != own.split(".")[0] or layer is None:
            continue
        other = room(name, layers)
        same_room = name.split(".")[1:2] == own.split(".")[1:2]
        assert same_room or other is None or other < layer, f"{own} must not know {name}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_each_library_has_one_room(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    for name in imports_of(path):
        rooms = LIBRARY_ROOMS.get(name.split(".")[0])
        assert rooms is None or place.startswith(rooms), f"{place} must not import {name}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_each_module_says_what_it_is_for_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the first line says what the module is for"
    assert text.count("\n") <= 400, "one idea or two?"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 70, f"{node.name} does more than one thing"


def test_public_functions_and_classes_have_docstrings() -> None:
    missing = [
        f"{module_name(path)}.{node.name}"
        for path in FILES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert missing == []


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import search.space", "import licap.config", "import search.run", "import licap.cli"]
)
def test_a_bad_file_is_refused_before_anything_heavy_is_imported(statement: str) -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "dgl", "numba", "gensim", "sklearn", "scipy"}
    assert not heavy & loaded_after(statement)


def test_no_module_in_search_is_called_like_a_library() -> None:
    taken = sys.stdlib_module_names | set(LIBRARY_ROOMS) | {"torch", "numpy", "yaml", "rich", "scipy", "sklearn"}
    assert not {path.stem for path in (ROOT / "search").iterdir()} & taken
