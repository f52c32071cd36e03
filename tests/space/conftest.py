"""Helpers for tests of space files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from licap.errors import ConfigError
from search.space import SearchSpace

Read = Callable[..., SearchSpace]
Refusal = Callable[..., list[str]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the text of a space file, with --set words; the file is called study.yaml."""

    def read_text(text: str, *overrides: str) -> SearchSpace:
        path = tmp_path / "study.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return SearchSpace.load(path, overrides=overrides)

    return read_text


@pytest.fixture
def refusal(read: Read, tmp_path: Path) -> Refusal:
    """The lines that refuse a space file, without the folder's name."""

    def refused(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, *overrides)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return refused
