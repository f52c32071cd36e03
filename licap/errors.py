"""Errors that the user can put right: one base that command lines catch, a subclass where somebody reacts differently.

A message says what is wrong, where (file, line, key), and what to do about it. Command lines print it and exit with 2;
no traceback is shown. Anything else that is raised is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class LicapError(Exception):
    """Something the user can put right: a message for people, exit code 2, no traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the dotted key it stands at (may be empty), and what to do."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class ConfigError(LicapError):
    """Keys or values of a config that are wrong; holds every problem found, not only the first."""

    def __init__(self, problems: str | Iterable[Problem | str]) -> None:
        found = [problems] if isinstance(problems, str) else list(problems)
        self.problems = tuple(Problem("", each) if isinstance(each, str) else each for each in found)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class DataError(LicapError):
    """A file or array that cannot be used as data."""


class DeviceError(LicapError):
    """A device or backend that this machine does not have."""


class StoreError(LicapError):
    """A folder, lock or database that cannot be used."""


class OutOfMemoryError(LicapError):
    """More memory than the device has. Ends the trial as `oom`; a study goes on."""


class DivergedError(LicapError):
    """A loss or metric that is no longer finite. Ends the trial as `diverged`; a study goes on."""

    def __init__(self, stage: str, epoch: int, quantity: str) -> None:
        self.stage, self.epoch, self.quantity = stage, epoch, quantity
        super().__init__(
            f"{stage} epoch {epoch}: {quantity} is not finite. Lower {stage}.lr, or raise pretrain.temperature."
        )

    def again(self) -> DivergedError:
        """The same error, not raised yet."""
        return DivergedError(self.stage, self.epoch, self.quantity)

    def __reduce__(self) -> tuple[type[DivergedError], tuple[str, int, str]]:
        return type(self), (self.stage, self.epoch, self.quantity)
