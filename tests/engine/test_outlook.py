"""What a dry run says beside the description: names that are taken, and what would keep the search from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.engine.outlook import missing_files, outlook
from search.space import SearchSpace
from search.study import Study

SPACE = """\
name: small
search:
  pretrain.lr: {type: float, low: 1e-3, high: 1e-2}
"""


def space(*overrides: str, more: str = "") -> SearchSpace:
    return SearchSpace.from_text(SPACE + more, source="small.yaml", overrides=overrides)


def seen(root: Path, study: str | None = None, *overrides: str, tracking: str | None = None) -> list[str]:
    """The outlook of a search on this machine."""
    return list(outlook(space(*overrides), root=root, study_name=study, tracking=tracking, ray_address=None))


def test_nothing_is_said_where_all_is_well(tmp_path: Path) -> None:
    assert seen(tmp_path) == seen(tmp_path, "mine") == []
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_said_with_the_one_that_stands_in(tmp_path: Path) -> None:
    for name, following in (("small", "small-2"), ("small-2", "small-3")):
        Study.create(tmp_path, name, space().to_yaml()).close()
        (line,) = seen(tmp_path)
        assert line.startswith(f"study small exists; this one is {following}") and "takes the latest" in line
    (line,) = seen(tmp_path, "small")
    assert line.startswith("warning: the search will refuse to start") and "exists already" in line


def test_a_study_to_go_on_with_must_be_there_and_have_the_same_space(tmp_path: Path) -> None:
    def resumed(*overrides: str) -> list[str]:
        options = {"root": tmp_path, "study_name": "small", "tracking": None, "ray_address": None}
        return list(outlook(space(*overrides), **options, resume=True))

    (line,) = resumed()
    assert line.startswith("warning: the search will refuse to start") and "there is no study small" in line
    Study.create(tmp_path, "small", space().to_yaml(), "").close()
    assert resumed() == []
    assert resumed("sampler=random")[0].startswith("warning: the search will refuse to start")


def test_what_this_machine_cannot_run_is_named(tmp_path: Path) -> None:
    (line,) = seen(tmp_path, None, "runtime.cuda_graphs=true")
    assert line.startswith("warning: the search will refuse to start: runtime.cuda_graphs: epochs on cpu")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.path=absent"], ["data.path: absent does not exist; the search will refuse to start"]),
        (["data.struct_file=a.npy"], ["data.struct_file: a.npy does not exist; the search will refuse to start"]),
        (["data.semantic_file=a.npy"], []),
        (["data.semantic_file=a.npy", "data.features=both"], ["data.semantic_file: a.npy does not exist; the search"]),
    ],
)
def test_data_that_are_not_there_are_named(overrides: list[str], expected: list[str]) -> None:
    lines = list(missing_files(space(*overrides)))
    assert len(lines) == len(expected)
    assert all(line.startswith(f"warning: {start}") for line, start in zip(lines, expected, strict=True))


def test_data_that_only_some_trials_read_keep_nothing_from_starting(tmp_path: Path) -> None:
    searched = f"""\
  data.path: {{type: categorical, choices: [{tmp_path}, absent], default: {tmp_path}}}
  data.features: {{type: categorical, choices: [struct, concat]}}
config: {{data.semantic_file: texts.npy}}
"""
    assert list(missing_files(space(more=searched))) == [
        "warning: data.path: absent does not exist; trials that read it will fail",
        "warning: data.semantic_file: texts.npy does not exist; trials that read it will fail",
    ]


def test_what_the_machine_or_the_store_cannot_give_is_said(tmp_path: Path) -> None:
    (line,) = seen(tmp_path, None, "resources.cpus=1000")
    assert line.startswith("warning: the search will refuse to start: resources.cpus: 1000 asked")
    (tmp_path / "a.db").write_text("no database", encoding="utf-8")
    (line,) = seen(tmp_path, tracking=str(tmp_path / "a.db"))
    assert line.startswith("warning: the search will refuse to start") and "a.db" in line
