"""Where graph, features and importance scores come from: published pickles, raw TSV, or generated."""

from __future__ import annotations
