"""Who decides: which values a trial gets, and which trials stop early. No clock, no process, no store."""

from __future__ import annotations

from search.strategy.build import build_pruner
from search.strategy.hyperband import Hyperband
from search.strategy.median import Median
from search.strategy.proposer import Proposer
from search.strategy.pruner import ASHA, Decision, NoPruner, Pruner, TrialReport, replay

__all__ = [
    "ASHA",
    "Decision",
    "Hyperband",
    "Median",
    "NoPruner",
    "Proposer",
    "Pruner",
    "TrialReport",
    "build_pruner",
    "replay",
]
