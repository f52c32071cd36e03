"""Space files: YAML to a checked SearchSpace, without importing anything heavy."""

from __future__ import annotations

from search.space.changes import as_begun, check_same
from search.space.estimate import describe
from search.space.grid import grid_points, num_points
from search.space.located import located
from search.space.parameter import Parameter
from search.space.settings import PrunerConfig, Resources, SamplerConfig
from search.space.space import SearchSpace

__all__ = [
    "Parameter",
    "PrunerConfig",
    "Resources",
    "SamplerConfig",
    "SearchSpace",
    "as_begun",
    "check_same",
    "describe",
    "grid_points",
    "located",
    "num_points",
]
