"""The fixtures of these tests; their tools stand in conftest_tools."""

from __future__ import annotations

from conftest_tools import finished, workplace

__all__ = ["finished", "workplace"]
