"""A command run in the process of the tests: what it prints and how it ends, without a start of Python and torch.

For commands that refuse, or only look. What trains, or is stopped by signals, runs as a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock


def run_here(
    main: Callable[[], object], words: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command's `main` as if started by `words`, the first of which is its name, in a folder."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch("sys.argv", words),
        mock.patch.dict(os.environ, environment or {}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())
