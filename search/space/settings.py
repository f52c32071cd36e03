"""The settings of a study, all but the searched parameters: defaults, bounds and meanings, each on one line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from licap.config import MOST_THREADS
from licap.fields import Checked, choice, part, real, string, whole
from licap.number_text import read_number

_SECONDS = {"s": 1, "m": 60, "h": 3600}
# What is longer is refused as it is written.
_MOST_SECONDS = 1e300
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_STUDY_NAME = 100
# Samplers that propose at random at first, and then from what became of the trials.
LEARNING = ("tpe", "gp", "cmaes")
# How many trials a sampler gets that knows no end of its own, where the file does not say.
USUAL_TRIALS = 20
# Far above what anybody can wait for; a number of trials beyond is a slip.
MOST_TRIALS = 10**9


@dataclass(frozen=True, kw_only=True)
class SamplerConfig(Checked):
    """Who proposes the next trial's values."""

    name: str = choice(
        "tpe",
        "tpe: learns where good values lie; gp: more from fewer trials; cmaes: for numbers; random; grid: each once",
        ["tpe", "random", "grid", "cmaes", "gp"],
    )
    startup: int = whole(10, "random proposals before tpe, gp or cmaes take over", at_least=1, at_most=MOST_TRIALS)


@dataclass(frozen=True, kw_only=True)
class PrunerConfig(Checked):
    """Who stops a trial early. Rungs stand at offset + grace · reduction^k epochs, below the total budget.

    Sources: ASHA (Li et al., MLSys 2020), stopping variant; Hyperband (Li et al., JMLR 2018); the median rule of Vizier
    (Golovin et al., KDD 2017).
    """

    name: str = choice(
        "asha",
        "asha: stop what lags behind at the rungs; hyperband: asha with several graces; median: stop what does worse "
        "than half of the others; none: train every trial to its end",
        ["asha", "hyperband", "median", "none"],
    )
    grace: int | None = whole(
        None, "epochs of the stage before a trial may stop; null: 7.5 % of the stage, rounded up", at_least=1
    )
    reduction: int = whole(
        3, "one in this many trials survives a rung; also the rungs' spacing", at_least=2, at_most=MOST_TRIALS
    )
    startup: int = whole(
        5,
        "trials that median must have seen at an epoch before it stops others there",
        at_least=1,
        at_most=MOST_TRIALS,
    )
    stage: str = choice(
        "downstream",
        "where grace starts; downstream: after pretraining, whose probe need not predict the result; pretrain: at once",
        ["downstream", "pretrain"],
    )


@dataclass(frozen=True, kw_only=True)
class Resources(Checked):
    """What each trial slot takes of the machine; fractions share a device."""

    cpus: float = real(1.0, "CPU cores of a slot", above=0.0, at_most=MOST_THREADS)
    gpus: float = real(0.0, "GPUs of a slot; 0.5: two trials share one", at_least=0.0)

    @property
    def threads(self) -> int:
        """CPU threads of a slot's trial, so that slots together never use more than there are cores."""
        return max(1, int(self.cpus))


@dataclass(frozen=True, kw_only=True)
class CacheConfig(Checked):
    """What is kept of pretraining, so that trials which share it train it once; results do not depend on it."""

    max_gb: float = real(
        2.0, "GB of embeddings kept for other trials and studies of a root; 0: none", at_least=0.0, at_most=1e6
    )


@dataclass(frozen=True, kw_only=True)
class SpaceSettings(Checked):
    """Every key of a space file but `preset`, `config`, `search` and `start`."""

    name: str | None = string(None, "name of the study; null: the file's name")
    metric: str = string("spearman", "validation metric to be best in; its direction is known")
    sampler: SamplerConfig = part(SamplerConfig)
    pruner: PrunerConfig = part(PrunerConfig)
    trials: int | None = whole(
        None,
        "trials in all, starting points included; null: all points of a grid, else 20",
        at_least=1,
        at_most=MOST_TRIALS,
    )
    time_budget: float | None = real(
        None, "seconds, or as 90s, 30m, 2h; no trial starts after it; null: none", above=0.0
    )
    trial_timeout: float | None = real(
        None,
        "seconds, or as 90s, 30m, 2h, that a trial may run before it fails as timeout; null: no end",
        above=0.0,
        at_most=1e8,
    )
    stop_after_failures: int = whole(
        5, "the search ends where its first trials, as many as this, all fail for the same class; 0: never", at_least=0
    )
    max_concurrent: int | None = whole(None, "trials at a time; null: what the resources allow", at_least=1)
    seed: int = whole(0, "seed of the sampler", at_least=0, at_most=2**32 - 1)
    resources: Resources = part(Resources)
    cache: CacheConfig = part(CacheConfig)
    max_failures: int = whole(
        2, "times that a trial whose worker process died goes on from its checkpoint", at_least=0, at_most=100
    )
    checkpoint_every: float = real(
        20.0, "seconds, or as 90s, 2m, between checkpoints of a running trial; 0: after every stretch", at_least=0.0
    )
    report_every: int = whole(5, "epochs that a trial runs at a stretch; every one of them is reported", at_least=1)


def seconds(value: object) -> object:
    """`90s`, `30m`, `2h` in seconds; anything else as it is, for the field's own check."""
    word = value.strip(" ") if isinstance(value, str) else ""
    number = read_number(word[:-1]) if word[-1:] in _SECONDS else None
    return value if number is None or number > _MOST_SECONDS else float(number * _SECONDS[word[-1]])


def is_study_name(name: str) -> bool:
    """Whether a name can stand for a folder on any system: up to 100 letters, digits, dots, dashes, underscores."""
    return len(name) <= MAX_STUDY_NAME and _NAME.fullmatch(name) is not None


def study_name_of(stem: str) -> str:
    """A study name made of a file's stem; what a folder's name cannot hold becomes a dash."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")
    return cleaned[:MAX_STUDY_NAME] or "study"
