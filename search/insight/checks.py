"""What a check of a study looks at and finds, and how it is told: a line for each check, below it what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from licap.fields import Scalar
from search.insight.next_steps import resume_command
from search.insight.render import trials_text
from search.space import SearchSpace
from search.study import Study, TrialRecord
from search.study.lock import Owner
from search.tracking import tracking_uri

MAX_LINES = 20
# A tracker waits at most this long for its store; what is older should be there.
SETTLED_S = 60.0


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what, and what to do about it.

    trial: its number, where it is about one. by_resume: a resumed search mends it without more.
    """

    text: str
    remedy: str
    trial: int | None = None
    by_resume: bool = False


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. found: what there is, in a few words."""

    what: str
    found: str
    differences: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the tracking store should say of a trial: parameters by our names, and tags.

    Of the parameters those in `searched` must be there; others need only be right where they are.
    """

    params: Mapping[str, Scalar]
    searched: frozenset[str]
    tags: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The study that is checked, as its record tells it.

    trials: by number. expected: what a store should say of each. unsettled: numbers of the trials that run, or ended a
    moment ago, in a search that goes on; stores may lag behind on them. owner: who runs that search, or None.
    tracking: what `--tracking-uri` was given.
    """

    study: Study
    space: SearchSpace
    trials: tuple[TrialRecord, ...]
    expected: Mapping[int, Expected]
    unsettled: frozenset[int]
    owner: Owner | None
    root: Path
    tracking: str | None

    @property
    def running(self) -> bool:
        """Whether a search goes on."""
        return self.owner is not None

    @property
    def settled(self) -> tuple[TrialRecord, ...]:
        """The trials on which all should agree."""
        return tuple(trial for trial in self.trials if trial.number not in self.unsettled)

    def resumable(self, text: str, what: str, trial: int | None = None) -> Difference:
        """A difference that a resumed search mends. what: it does then."""
        return Difference(text, self.resume(what), trial, by_resume=True)

    def resume(self, what: str) -> str:
        """The remedy where a resumed search does the rest."""
        command = resume_command(self.study.name, self.root, tracking_uri(self.root, self.tracking))
        when = "once the search has ended, " if self.running else ""
        return f"{when}`{command}` {what}"


def report_text(subject: Subject, checks: Sequence[Check], heading: str) -> str:
    """All checks, and a last line that sums up."""
    lines = [heading]
    for check in checks:
        lines.append(f"{'ok' if check.agrees else 'differs':<9}{check.what}: {check.found}")
        lines += [f"{'':11}{line}" for line in _details(check)]
    differing = sum(not check.agrees for check in checks)
    if differing:
        lines.append(f"{differing} of {len(checks)} checks found differences; nothing was changed")
    else:
        lines.append(f"record, folder, MLflow and Optuna agree on {counted(len(subject.settled), 'trial')}")
    return "\n".join(lines)


def counted(number: int, what: str, of: int | None = None) -> str:
    """`1 trial`, `2 trials`, `2 of 8 trials`."""
    all_of_them = number if of is None else of
    part = "" if of is None else f"{number:,} of "
    return f"{part}{all_of_them:,} {what}{'' if all_of_them == 1 else 's'}"


def _details(check: Check) -> Iterable[str]:
    """What differs, once for all trials of which the same is to be said, and what to do about which of it."""
    texts = _grouped((each.text, each.trial) for each in check.differences)
    yield from (_line(numbers, text) for text, numbers in texts[:MAX_LINES])
    if len(texts) > MAX_LINES:
        yield f"and {len(texts) - MAX_LINES:,} more"
    remedies = _grouped((each.remedy, each.trial) for each in check.differences)
    for remedy, numbers in remedies:
        yield f"→ {_line(numbers if len(remedies) > 1 else [], remedy)}"


def _grouped(pairs: Iterable[tuple[str, int | None]]) -> list[tuple[str, list[int]]]:
    """Each text once, in order, with the numbers of its trials; a text about no trial has none."""
    found: dict[str, list[int]] = {}
    for text, number in pairs:
        numbers = found.setdefault(text, [])
        if number is not None:
            numbers.append(number)
    return list(found.items())


def _line(numbers: Sequence[int], text: str) -> str:
    return f"{trials_text(numbers)}: {text}" if numbers else text
