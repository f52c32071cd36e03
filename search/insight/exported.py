"""Exported configs: YAML headed by comments that say where it comes from, and sealed, so that no work is lost.

The seal is a hash of the file. An export replaces exports that are as they were written, and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from licap.config import TrialConfig, config_from
from licap.errors import StoreError
from licap.portable import portable_yaml
from search.insight.leaderboard import Row
from search.space import SearchSpace
from search.study import Study

# What decides on graph and scores, and on features.
_GRAPH, _FEATURES = ("dataset", "path", "synthetic"), ("features", "struct_file", "semantic_file")
_ORIGIN = re.compile(r"# (trial \d+ of study [^\s,]+),")
_SEAL = "# replaced by a later export, unless somebody has changed it: {}\n"


def trial_yaml(config: TrialConfig, space: SearchSpace, study: Study) -> str:
    """A trial's config as YAML that repeats it from any folder: what acts, where the data lie and what they are."""
    own, base, origin = config.data, config_from(space.base).data, study.origin
    if not origin.dataset or any(getattr(own, name) != getattr(base, name) for name in _GRAPH):
        # The record names the data of the space's own path alone.
        return portable_yaml(config, fingerprint=own.fingerprint)
    if any(getattr(own, name) != getattr(base, name) for name in _FEATURES):
        return portable_yaml(config, fingerprint=origin.dataset)
    fingerprint = "+".join(filter(None, (origin.dataset, origin.features)))
    return portable_yaml(config, fingerprint=fingerprint, given=origin.given)


def exported_text(row: Row, space: SearchSpace, *, study: Study, command: str) -> str:
    """The config of a trial as sealed YAML. command: runs it."""
    value = f"Validation {space.metric.label}: {row.value!r}"
    if len(space.folds) > 1:
        value += f", the mean over folds {', '.join(map(str, space.folds))}"
    head = (described(row, space, study=study.name), value, f"Run it: {command}")
    # A file's name may hold line ends, which must not end the comment.
    text = "".join(f"# {line}\n" for line in "\n".join(head).splitlines())
    body = trial_yaml(space.config_for(row.values), space, study)
    return text + _seal(text + body) + body


def described(row: Row, space: SearchSpace, *, study: str) -> str:
    """Which trial this is, in words."""
    return f"trial {row.trial} of study {study}, rank {row.rank} by validation {space.metric.label} ({row.value:.4f})"


def replaced_by(path: Path, text: str) -> str | None:
    """Which export the text would replace, as `trial 12 of study default`; None where nothing would be lost.

    Raises: StoreError where a file stands there that is no export, or was changed since.
    """
    if not path.is_file():
        return None
    try:
        found = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error}). Give another --out.") from None
    except UnicodeDecodeError:
        found = ""
    found = found.replace("\r\n", "\n")
    origin = _ORIGIN.match(found)
    if origin is None or not _is_sealed(found):
        raise StoreError(
            f"{path}: is not replaced, for it was not exported from a study, or was changed since. "
            "Give another --out, or delete it."
        )
    return None if found == text else origin[1]


def _seal(unsealed: str) -> str:
    return _SEAL.format(hashlib.sha256(unsealed.encode("utf-8")).hexdigest()[:16])


def _is_sealed(text: str) -> bool:
    lines = text.splitlines(keepends=True)
    seals = [n for n, line in enumerate(lines) if line.startswith(_SEAL[:20])]
    return any(lines[n] == _seal("".join(lines[:n] + lines[n + 1 :])) for n in seals)
