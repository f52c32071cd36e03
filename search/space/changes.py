"""What differs between the space a study began with and the one it is to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from licap.errors import ConfigError
from licap.fields import flatten
from licap.spelling import shown
from search.space.space import SearchSpace

# How long and how widely a study is run; what a trial computes and what is proposed do not depend on it.
FREE = (
    *("name", "trials", "time_budget", "trial_timeout", "stop_after_failures", "max_concurrent"),
    *("cache", "max_failures", "checkpoint_every"),
)
_ABSENT = object()


def check_same(before: SearchSpace, now: SearchSpace) -> None:
    """Raises: ConfigError with every key that differs, budgets aside: trials of two spaces are not one study."""
    old, new = _flat(before), _flat(now)
    lines = [
        f"{now.source}: {name}: {_words(new.get(name, _ABSENT))}, but the study began with "
        f"{_words(old.get(name, _ABSENT))}."
        for name in dict.fromkeys([*old, *new])
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    ]
    if lines:
        lines.append("Go on with the space it began with (leave --space out), or start a new study (without --resume).")
        raise ConfigError(lines)


def _flat(space: SearchSpace) -> dict[str, Any]:
    tree = {key: value for key, value in space.resolved().items() if key not in FREE}
    points = tree.pop("start")
    whens = {name: entry.pop("when", None) for name, entry in tree["search"].items()}
    flat: dict[str, Any] = flatten({key: value for key, value in tree.items() if key != "search"})
    for name, entry in tree["search"].items():
        flat |= {f"search.{name}.{key}": value for key, value in entry.items()} | {f"search.{name}.when": whens[name]}
    return flat | {f"start.{place}": point for place, point in enumerate(points)}


def _words(value: Any) -> str:
    if value is _ABSENT:
        return "not there"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {shown(each)}" for name, each in value.items()) or "nothing"
    return shown(value)
