"""The fixtures of these tests; their tools stand in conftest_tools."""

from __future__ import annotations

from conftest_tools import empty_database, finished, searches, workplace

__all__ = ["empty_database", "finished", "searches", "workplace"]
