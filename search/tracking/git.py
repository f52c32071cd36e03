"""Which commit of the code a study ran on."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_commit(path: Path) -> str | None:
    """The commit that is checked out where `path` lies; None without git, outside a checkout, before a first commit."""
    folder = path if path.is_dir() else path.parent
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None
