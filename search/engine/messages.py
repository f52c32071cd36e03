"""What driver and actor say to each other: an assignment goes out, step results come back. Plain data, no Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from licap.config import TrialConfig
from licap.trial import Report


@dataclass(frozen=True)
class Assignment:
    """One trial for an actor: its number in the study, its config, and how many epochs to run between two results.

    folds: what it trains, one after the other, whatever fold the config names.
    checkpoint: where its state is kept. recorded: the budget up to which its reports are in the study's record; a
    checkpoint beyond it is not used, so that no report is left out. time_left_s: how long it may run; None: to its end.
    """

    number: int
    config: TrialConfig
    folds: tuple[int, ...]
    report_every: int
    checkpoint: Path
    checkpoint_s: float
    recorded: int = 0
    time_left_s: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a trial could not end well: one of `search.study.FAILURES`, and a sentence for people.

    details: a traceback, where a fault of the program is behind it.
    """

    kind: str
    message: str
    details: str = ""


TIMED_OUT = Failure("timeout", "it has run for trial_timeout. Raise that, or lower epochs and widths.")


@dataclass(frozen=True)
class CachePlace:
    """Where actors keep pretrained embeddings for each other and for later studies, and how large that may become."""

    folder: Path
    max_bytes: int


@dataclass
class Interruption:
    """Whether the search was asked to stop, and by which signal; `ask` is safe to call from a signal handler."""

    asked: bool = False
    signal: int | None = None

    def ask(self, signal: int | None = None) -> None:
        """Asks for it. signal: the number of the one that did so."""
        self.asked, self.signal = True, self.signal or signal


@dataclass(frozen=True)
class StepResult:
    """What an actor did since its last result.

    reports: in order, one per epoch. finished: the trial has no more reports. failure: set where it ended badly.
    notes: flags that belong into table and tags, such as a constant prediction. warnings: what people should know now.
    pretraining: `trained` or `cached`, where it comes from; empty where the trial has none, or has not begun.
    ran_s: seconds since the worker took the trial up, its own start not counted; None where nobody measured.
    """

    reports: tuple[Report, ...]
    finished: bool
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pretraining: str = ""
    ran_s: float | None = None
