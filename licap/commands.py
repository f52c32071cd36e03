"""Commands as they are shown to people: quoted, with absolute paths, so that they run from any folder as they stand."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parents[1] / "search"


def program(name: str, *words: str | Path) -> str:
    """A call of an installed program, as `licap` or `mlflow`: of the environment in which this process runs."""
    return shlex.join([_found(name), *map(_word, words)])


def script(name: str, *words: str | Path) -> str:
    """A call of a script of the folder `search`, as `run.py`."""
    return shlex.join([_found("python"), str(_SCRIPTS / name), *map(_word, words)])


def _found(name: str) -> str:
    """The name where a shell would find the program of this environment by it, else its path."""
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not own.exists() or (found is not None and Path(found).absolute() == own):
        return name
    return str(own)


def _word(word: str | Path) -> str:
    return str(word.absolute()) if isinstance(word, Path) else word
