"""Checkpoints: exact, whole, and never run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from licap.checkpoint import content_hash, load_checkpoint, save_checkpoint
from licap.config import TrialConfig
from licap.errors import DataError, StoreError

STATE: dict[str, Any] = {
    "epoch": 7,
    "score": 0.1,
    "best": None,
    "done": False,
    "name": "geni",
    "weights": OrderedDict(w=torch.tensor([1.0, float("nan"), -0.0]), n=torch.arange(3)),
    "nested": [(1, 2.5), {"3": [True]}],
    "ids": {0: torch.zeros(0, dtype=torch.int32)},
}


def damaged(path: Path, kind: str) -> None:
    """Writes a file of which no state can be read."""
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    middle = len(content) // 2
    contents = {
        "cut short": content[:middle],
        "empty": b"",
        "text": b"epoch: 7\n",
        "zeros": bytes(4096),
        "bit": content.replace(torch.tensor([1.0]).numpy().tobytes(), torch.tensor([1.5]).numpy().tobytes()),
        "pickle": pickle.dumps({"format": "licap checkpoint 1", "state": {}}),
    }
    assert contents[kind] != content
    path.write_bytes(contents[kind])


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "deep" / "er" / "a.pt", STATE)
    found = load_checkpoint(tmp_path / "deep" / "er" / "a.pt")
    assert list(found) == list(STATE)
    assert found["weights"]["w"].numpy().tobytes() == STATE["weights"]["w"].numpy().tobytes()
    assert found["ids"][0].dtype == torch.int32
    plain = ("epoch", "score", "best", "done", "name", "nested")
    assert [found[key] for key in plain] == [STATE[key] for key in plain]
    assert type(found["nested"][0]) is tuple


def test_saving_again_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "a.pt", {"epoch": epoch})
    assert load_checkpoint(tmp_path / "a.pt") == {"epoch": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (np.float64(1.0), r"state\['a'\] is a float64"),
        ([1, {"b": np.zeros(2)}], r"state\['a'\]\[1\]\['b'\] is a ndarray"),
        ({np.int64(1): 1}, "is a int64"),
        ({1, 2}, "is a set"),
        (Path("x"), "Path"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, value: object, place: str) -> None:
    with pytest.raises(TypeError, match=place):
        save_checkpoint(tmp_path / "a.pt", {"a": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["cut short", "empty", "text", "zeros", "bit", "pickle"])
def test_a_damaged_or_foreign_file_is_named(tmp_path: Path, kind: str) -> None:
    damaged(tmp_path / "a.pt", kind)
    with pytest.raises(DataError, match=r"a\.pt: (not a checkpoint|damaged)"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [torch.zeros(3), {"state": {}}, {"format": "licap checkpoint 0", "state": {}}])
def test_what_torch_reads_but_we_did_not_write_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: not a checkpoint of this program"):
        load_checkpoint(tmp_path / "a.pt")


class Harmful:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"format": "licap checkpoint 1", "state": Harmful(tmp_path / "harm")}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt: holds more than tensors and plain values"):
        load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_checkpoint(tmp_path / name)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match=r"file/a\.pt: cannot be written"):
        save_checkpoint(tmp_path / "file" / "a.pt", STATE)


def test_a_hash_is_the_same_in_every_process() -> None:
    code = (
        "from licap.checkpoint import content_hash; from licap.config import TrialConfig; "
        "print(content_hash(TrialConfig(seed=5)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == content_hash(TrialConfig(seed=5))
