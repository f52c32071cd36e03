"""`--set key=value` words applied to a space file: a name of the trial config fixes it, any other is a key of the file.

`seed` is both; it means the study's. `config.seed` is the trial's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from licap.config import TrialConfig, parse_overrides
from licap.fields import specs_of
from licap.suggestions import nearest_key
from licap.yaml_file import Path_, YamlDocument
from search.space.findings import OVERRIDE, Findings
from search.space.settings import SpaceSettings

# Keys of a space file that are no settings of the study.
SECTIONS = ("preset", "config", "search", "start", "folds")
# Keys whose value may be a bare name, and the field that the name stands for.
SHORTHANDS = ("sampler", "pruner")


@dataclass(frozen=True)
class Overridden:
    """A space file with the command line's words applied.

    data: the tree of the file, words for its own keys written in. fixed: raw values of the trial config by dotted name.
    """

    data: Mapping[str, Any]
    fixed: Mapping[str, object]
    findings: Findings


def apply_overrides(document: YamlDocument, words: Sequence[str]) -> Overridden:
    """Sorts the words into fixed values and keys of the file. Raises: ConfigError for a word without `=`."""
    data: dict[str, Any] = copy.deepcopy(dict(document.data))
    paths: list[Path_] = []
    findings = Findings(document, paths)
    fixed: dict[str, object] = {}
    for key, value in parse_overrides(words).items():
        name = _trial_name(key)
        if name is not None:
            if fixed.setdefault(name, value) != value:
                findings.add((OVERRIDE, key), f"{name} has two values. Leave one of them out")
            continue
        path = _file_path(key, data)
        if path is None:
            findings.add((OVERRIDE, key), _refusal(key, data))
        elif _put(data, path, value):
            paths.append(path)
        else:
            findings.add((OVERRIDE, key), "cannot be set: what it belongs to is no mapping in the file")
    return Overridden(data, fixed, findings)


def _trial_name(key: str) -> str | None:
    fields = specs_of(TrialConfig)
    if key.startswith("config.") and key.removeprefix("config.") in fields:
        return key.removeprefix("config.")
    return key if key in fields and key not in file_keys() else None


def file_keys() -> tuple[str, ...]:
    """Every dotted key of a space file outside `config`, `search` and `start`."""
    settings = tuple(specs_of(SpaceSettings))
    groups = tuple(dict.fromkeys(name.split(".")[0] for name in settings if "." in name))
    return settings + groups + SECTIONS


def _file_path(key: str, data: Mapping[str, Any]) -> Path_ | None:
    if not key.startswith("search."):
        return tuple(key.split(".")) if key in file_keys() else None
    rest = key.removeprefix("search.")
    if rest in specs_of(TrialConfig):
        return ("search", rest)
    name, _, item = rest.rpartition(".")
    declared = data.get("search")
    return ("search", name, item) if isinstance(declared, Mapping) and name in declared else None


def _put(data: dict[str, Any], path: Path_, value: object) -> bool:
    """Writes a value into the tree; a bare name on the way (`pruner: asha`) becomes a mapping first."""
    branch = data
    for depth, key in enumerate(map(str, path[:-1])):
        below = branch.get(key)
        if depth == 0 and key in SHORTHANDS and isinstance(below, str):
            below = {"name": below}
        if below is None:
            below = {}
        if not isinstance(below, dict):
            return False
        branch[key] = below
        branch = below
    branch[str(path[-1])] = value
    return True


def _refusal(key: str, data: Mapping[str, Any]) -> str:
    fields, keys = specs_of(TrialConfig), file_keys()
    declared = data.get("search")
    searched = [str(name) for name in declared] if isinstance(declared, Mapping) else []
    if key.startswith("search."):
        parameter, _, item = key.removeprefix("search.").rpartition(".")
        if parameter in fields:
            return f"{parameter} is not searched in the file (searched: {', '.join(searched) or 'nothing'})"
        valid = [f"search.{name}.{item}" for name in searched]
        return f"unknown key{nearest_key(key, valid)}"
    group = [name for name in fields if name.startswith(f"{key}.")]
    if group:
        return f"is a group of the trial config, give one of its keys: {', '.join(group)}"
    near = nearest_key(key, [*keys, *fields])
    return f"unknown key, neither of the trial config nor of the file{near or '; keys of the file: ' + ', '.join(keys)}"
