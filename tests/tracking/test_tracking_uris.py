"""Which stores can be named, and how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from licap.errors import StoreError
from search.tracking import tracking_uri, ui_command
from search.tracking.uris import shown


def test_without_a_given_store_the_database_lies_in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(Path("mlruns"), None) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


@pytest.mark.parametrize("given", ["sqlite:///sub/x.db", "sub/x.db", "./sub/x.db", " SQLITE:///sub/x.db "])
def test_a_file_can_be_named_in_every_usual_way(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(tmp_path, given) == f"sqlite:///{tmp_path}/sub/x.db"


def test_a_server_keeps_its_address(tmp_path: Path) -> None:
    assert tracking_uri(tmp_path, "https://host:5000/sub/") == "https://host:5000/sub"


@pytest.mark.parametrize("given", ["./mlruns", "mlruns", "file:./mlruns", "file:///x/mlruns", "existing.db"])
def test_a_store_of_files_is_refused_with_what_to_give_instead(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "existing.db").mkdir()
    with pytest.raises(StoreError, match=r"no longer keeps runs in a folder.*sqlite:///"):
        tracking_uri(tmp_path, given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("postgresql://u:secret@host/db", "mlflow server"),
        ("databricks://profile", "mlflow server"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("http://", "not the address of a server"),
        ("http://host:99999", "not the address of a server"),
        ("sqlite:///a?b.db", "path with ?"),
        ("sqlite:///a%20b.db", "path with %"),
    ],
)
def test_what_cannot_hold_runs_is_refused(given: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        tracking_uri(tmp_path, given)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert shown("http://me:secret@host:5000") == "http://me:***@host:5000"


@pytest.mark.parametrize("folder", ["mlruns", "it's a root", 'a "b" $HOME `c`'])
def test_the_command_names_the_database_from_any_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ui_command(tracking_uri(Path(folder), None))
    told = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"],
        cwd="/", capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert Path(told[0]).name == "mlflow"
    assert told[1:] == ["ui", "--backend-store-uri", f"sqlite:///{tmp_path}/{folder}/mlflow.db"]


def test_importing_the_room_does_not_import_mlflow() -> None:
    code = "import sys, search.tracking; sys.exit('mlflow' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
