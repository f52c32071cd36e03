"""The `folds` key of a space file: what a trial may train, one after the other, each but the first to be earned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from licap.config import TrialConfig
from licap.fields import parse_all
from licap.spelling import shown
from licap.yaml_file import Path_
from search.space.findings import OVERRIDE, Findings
from search.space.rungs import STAGE_LENGTHS

_KEY = "folds"


def read_folds(
    raw: object, fixed: Mapping[str, Path_], searched: Collection[str], findings: Findings
) -> tuple[int, ...]:
    """The folds in their order; empty where the file leaves them to `fold` of the trial config."""
    if raw is None:
        return ()
    if not isinstance(raw, list) or not raw:
        findings.add((_KEY,), f"must be a list of folds, as [0, 1, 2] (got {shown(raw)})")
        return ()
    folds: list[int] = []
    for value in raw:
        good, problems = parse_all(TrialConfig, {"fold": value})
        for problem in problems:
            findings.add((_KEY,), problem.message)
        folds += [] if problems else [cast(int, good["fold"])]
    if len(set(folds)) < len(folds):
        findings.add((_KEY,), "names a fold twice")
    if "fold" in fixed:
        path = fixed["fold"]
        where = "the command line" if path[0] == OVERRIDE else f"line {findings.line(path)}"
        findings.add((_KEY,), f"says which folds are trained, and fold is fixed on {where}. Keep one of the two")
    if "fold" in searched:
        findings.add((_KEY,), "says which folds are trained, and fold is searched. Keep one of the two")
    for name in STAGE_LENGTHS if len(folds) > 1 else ():
        if name in searched:
            findings.add((_KEY,), f"needs stages of fixed lengths, and {name} is searched. Fix it under config")
    return tuple(folds)
