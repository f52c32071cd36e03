"""The fixtures of these tests; their tools stand in conftest_tools."""

from __future__ import annotations

from conftest_tools import empty_database, finished, searches, turns, workplace
from damages import copy
from desk import desks

__all__ = ["copy", "desks", "empty_database", "finished", "searches", "turns", "workplace"]
