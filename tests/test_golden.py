"""Every file and every case of the golden folder, checked against the published implementation.

`LICAP_GOLDEN_DIR` names another folder. The check of `X.npz` is `check` in `golden_checks/X.py`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from golden_checks.case import Case, case_names, load_case

OWN_COPY = Path(__file__).parent / "golden"
FOLDER = Path(os.environ.get("LICAP_GOLDEN_DIR") or OWN_COPY)


def has_check(name: str) -> bool:
    """Whether there is a check for the file of this name."""
    return name.isidentifier() and find_spec(f"golden_checks.{name}") is not None


def assert_known(file: Path) -> None:
    """Asserts that a file of the folder is checked."""
    if file.name == "README.md":
        return
    assert file.suffix == ".npz", f"{file}: not a golden file"
    assert has_check(file.stem), f"{file}: no check for it (golden_checks/{file.stem}.py)"


def assert_case_holds(name: str, case: Case) -> None:
    """Runs a file's check on a case and asserts that it has looked at every key."""
    import_module(f"golden_checks.{name}").check(case)
    assert not case.unused(), f"{name}: {case.name}: the check does not use {case.unused()}"


def golden_cases() -> list[tuple[str, str]]:
    """File and case of everything in the folder."""
    return [(file.stem, case) for file in sorted(FOLDER.glob("*.npz")) for case in case_names(file)]


def checks() -> list[str]:
    """Modules of `golden_checks` that check a file."""
    names = [path.stem for path in sorted((OWN_COPY.parent / "golden_checks").glob("*.py"))]
    return [name for name in names if hasattr(import_module(f"golden_checks.{name}"), "check")]


@pytest.mark.parametrize(("name", "case"), golden_cases())
def test_the_published_implementation_gives_the_same(name: str, case: str) -> None:
    assert_known(FOLDER / f"{name}.npz")
    assert_case_holds(name, load_case(FOLDER / f"{name}.npz", case))


def test_every_file_of_the_folder_is_known() -> None:
    files = sorted(FOLDER.iterdir())
    assert any(file.suffix == ".npz" for file in files)
    for file in files:
        assert_known(file)
        assert file.suffix != ".npz" or case_names(file), f"{file}: holds no case"


@pytest.mark.parametrize("name", checks())
def test_each_check_has_its_file(name: str) -> None:
    assert (OWN_COPY / f"{name}.npz").is_file(), f"{OWN_COPY / name}.npz is missing"
    if not (FOLDER / f"{name}.npz").is_file():
        pytest.skip(f"{FOLDER} has no {name}.npz")


def test_an_unknown_file_is_noticed(tmp_path: Path) -> None:
    for name in ("splitz.npz", "splits.npy", "case.npz.bak"):
        with pytest.raises(AssertionError, match=name):
            assert_known(tmp_path / name)


def test_a_key_that_the_check_does_not_use_is_noticed() -> None:
    case = load_case(OWN_COPY / "centrality.npz", "small")
    assert_case_holds("centrality", case)
    arrays = {key: case[key] for key in ("in.src", "in.dst", "in.rel", "in.num_nodes", "in.num_relations")}
    arrays |= {f"out.{key}": value for key, value in case.below("out").items()}
    with pytest.raises(AssertionError, match=r"out\.median"):
        assert_case_holds("centrality", Case("small", arrays | {"out.median": np.zeros(1)}))


@pytest.mark.parametrize("actual", [[1.0, 2.0 + 1e-6], [1.0, np.nan], [1.0], [[1.0, 2.0]]])
def test_what_is_not_close_is_noticed(actual: object) -> None:
    case = Case("case", {"out.x": np.array([1.0, 2.0])})
    case.close([1.0, 2.0 + 1e-9], "out.x", 1e-8)
    with pytest.raises(AssertionError, match=r"case\.out\.x"):
        case.close(actual, "out.x", 1e-8)
