"""The commands that people are shown about a study: they run from any folder as they stand."""

from __future__ import annotations

from pathlib import Path

from licap.commands import script
from search.tracking import tracking_uri
from search.tracking.uris import shown


def export_command(study: str, root: Path) -> str:
    """Writes the study's best config."""
    return script("export.py", study, "--root", root)


def summary_command(study: str, root: Path) -> str:
    """Writes the study's table and pictures anew."""
    return script("summarize.py", study, "--root", root)


def resume_command(study: str, root: Path, uri: str) -> str:
    """Goes on with the study. uri: of its tracking store, named where it is not the root's own; without a password."""
    place = [] if uri == tracking_uri(root, None) else ["--tracking-uri", shown(uri) if "@" in uri else uri]
    return script("run.py", "--resume", "--study", study, "--root", root, *place)
