"""Who decides: which values a trial gets, and which trials stop early. No clock, no process, no store."""

from __future__ import annotations

from search.strategy.proposer import Proposer
from search.strategy.pruner import ASHA, Decision, NoPruner, Pruner, TrialReport, build_pruner, replay

__all__ = ["ASHA", "Decision", "NoPruner", "Proposer", "Pruner", "TrialReport", "build_pruner", "replay"]
