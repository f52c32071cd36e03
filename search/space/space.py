"""The search space of a study: what is searched, what is fixed, how the search goes. Objects are valid."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from licap.config import TrialConfig
from licap.fields import Scalar, nest
from licap.metrics import Metric
from licap.yaml_file import parse_yaml, read_yaml, write_yaml
from search.space import rungs
from search.space.conditions import active
from search.space.corners import edges
from search.space.grid import grid_size, num_points
from search.space.parameter import Parameter
from search.space.points import PointConfigs
from search.space.settings import CacheConfig, PrunerConfig, Resources, SamplerConfig


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A space file, read and checked.

    base: every value of the trial config by dotted name; those of searched parameters stand in where a parameter does
    not count or a starting point leaves it out. folds: what a trial trains one after the other, as far as the pruner
    lets it; empty: the one that its config names. parameters: parents before children. starting_points: each with every
    parameter that counts there. source: the file, notes: what to know before starting; neither decides equality.
    """

    name: str
    metric: Metric
    base: Mapping[str, Scalar]
    parameters: tuple[Parameter, ...]
    starting_points: tuple[Mapping[str, Scalar], ...]
    folds: tuple[int, ...]
    sampler: SamplerConfig
    pruner: PrunerConfig
    resources: Resources
    cache: CacheConfig
    trials: int
    time_budget_s: float | None
    trial_timeout_s: float | None
    stop_after_failures: int
    max_concurrent: int | None
    seed: int
    max_failures: int
    checkpoint_every_s: float
    report_every: int
    source: str = field(compare=False)
    notes: tuple[str, ...] = field(compare=False)

    @classmethod
    def load(cls, path: Path, *, overrides: Sequence[str] = ()) -> SearchSpace:
        """Reads a space file and applies `--set key=value` words.

        Raises: ConfigError with every problem, each as `file:line: key: message`, sorted by line.
        """
        from search.space.reading import read_space

        path = Path(path)
        return read_space(read_yaml(path), path.stem, overrides)

    @classmethod
    def from_text(cls, text: str, *, source: str, overrides: Sequence[str] = ()) -> SearchSpace:
        """`load` for text that is at hand; `source` stands in for the file's name in messages. Raises as `load`."""
        from search.space.reading import read_space

        return read_space(parse_yaml(text, source), Path(source).stem, overrides)

    @property
    def fixed(self) -> dict[str, Scalar]:
        """The values of the trial config that are not searched, by dotted name."""
        searched = {parameter.name for parameter in self.parameters}
        return {name: value for name, value in self.base.items() if name not in searched}

    @property
    def fold_budget(self) -> int:
        """Epochs of both stages on one fold, the longest where they are searched."""
        return rungs.longest(self.parameters, self.base, rungs.STAGE_LENGTHS)

    @property
    def max_budget(self) -> int:
        """Epochs of both stages on all folds, the longest where they are searched."""
        return max(1, len(self.folds)) * self.fold_budget

    @property
    def grid_size(self) -> int | None:
        """How many trials the grid takes, starting points included; None for other samplers."""
        return grid_size(self.parameters, self.starting_points) if self.sampler.name == "grid" else None

    @cached_property
    def num_trials(self) -> int:
        """How many trials there will be if nothing cuts the search off: `trials`, or all points of a smaller space."""
        return int(min(self.trials, self.grid_size or num_points(self.parameters)))

    def rungs(self) -> tuple[int, ...]:
        """Budgets at which the pruner compares trials on their first fold, ascending; empty without a pruner.

        Of median, which compares at every epoch, the first.
        """
        return rungs.budgets(self.pruner, self.base)

    def fold_rungs(self) -> tuple[int, ...]:
        """Budgets at which trials are compared for their next fold; empty without a pruner, or with one fold."""
        return rungs.fold_budgets(self.pruner, self.base, len(self.folds))

    def active(self, values: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Names of the parameters whose conditions hold, parents before children."""
        return active(self.parameters, self.base, values)

    def config_for(self, values: Mapping[str, Scalar]) -> TrialConfig:
        """The complete trial config of some values; those that do not count here are passed over.

        A config that leaves its threads open gets those of the slot: they decide the last digits of a result.
        Raises: ConfigError for names that are not searched, and for values the config refuses.
        """
        config = self._configs.at(values)
        if config.runtime.threads is not None:
            return config
        return config.with_values({"runtime.threads": self.resources.threads})

    @cached_property
    def _configs(self) -> PointConfigs:
        threads = self.base["runtime.threads"] or self.resources.threads
        return PointConfigs(self.parameters, {**self.base, "runtime.threads": threads})

    def edge_configs(self) -> Iterator[tuple[str, TrialConfig]]:
        """Configs at the edges of the space, each with its words: usual values, starting points, each extreme alone."""
        for words, values in edges(self.parameters, self.base, self.starting_points):
            yield words, self.config_for(values)

    def sample(self, rng: random.Random) -> dict[str, Scalar]:
        """Draws a point: a value for every parameter that counts."""
        drawn = {parameter.name: parameter.sample(rng) for parameter in self.parameters}
        return {name: drawn[name] for name in self.active(drawn)}

    def resolved(self) -> dict[str, Any]:
        """A space file's content with everything explicit; read again, it gives an equal space."""
        return {
            "name": self.name,
            "metric": self.metric.name,
            "config": nest({name: value for name, value in self.fixed.items() if name != "fold" or not self.folds}),
            "search": {p.name: {**p.to_mapping(), "default": self.base[p.name]} for p in self.parameters},
            "folds": list(self.folds) or None,
            "start": [dict(point) for point in self.starting_points],
            "sampler": {"name": self.sampler.name, "startup": self.sampler.startup},
            "pruner": {
                "name": self.pruner.name,
                "grace": self.pruner.grace,
                "reduction": self.pruner.reduction,
                "startup": self.pruner.startup,
                "stage": self.pruner.stage,
            },
            "trials": self.trials,
            "time_budget": self.time_budget_s,
            "trial_timeout": self.trial_timeout_s,
            "stop_after_failures": self.stop_after_failures,
            "max_concurrent": self.max_concurrent,
            "seed": self.seed,
            "resources": {"cpus": self.resources.cpus, "gpus": self.resources.gpus},
            "cache": {"max_gb": self.cache.max_gb},
            "max_failures": self.max_failures,
            "checkpoint_every": self.checkpoint_every_s,
            "report_every": self.report_every,
        }

    def to_yaml(self) -> str:
        """`resolved` as YAML with plain scalars; each float reads back to the same bits."""
        return write_yaml(self.resolved())
