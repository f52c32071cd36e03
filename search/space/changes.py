"""What differs between the space a study began with and the one it is to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from licap.errors import ConfigError
from licap.fields import flatten
from licap.spelling import shown
from search.space.located import located
from search.space.space import SearchSpace

# How long and how widely a study is run; what a trial computes and what is proposed do not depend on it.
FREE = (
    *("name", "trials", "time_budget", "trial_timeout", "stop_after_failures", "max_concurrent"),
    *("cache", "max_failures", "checkpoint_every"),
)
_ABSENT = object()


def check_same(before: SearchSpace, now: SearchSpace, *, data_known: bool = False) -> None:
    """Raises: ConfigError with every key that differs, budgets aside: trials of two spaces are not one study.

    data_known: whether a fingerprint tells the data themselves, so that they may lie elsewhere by now.
    """
    old, new = _flat(located(before)), _flat(located(now))
    for name in ("config.data.cache", *(["config.data.path"] if data_known else [])):
        old.pop(name, None)
        new.pop(name, None)
    lines = [
        f"{now.source}: {name}: {_words(new.get(name, _ABSENT))}, but the study began with "
        f"{_words(old.get(name, _ABSENT))}."
        for name in dict.fromkeys([*old, *new])
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    ]
    if lines:
        lines.append("Go on with the space it began with (leave --space out), or start a new study (without --resume).")
        raise ConfigError(lines)


def as_begun(before: SearchSpace, now: SearchSpace, *, data_known: bool) -> SearchSpace:
    """The space with which a study goes on: `now`, its paths spelt as before. Raises as `check_same`."""
    check_same(before, now, data_known=data_known)
    there = located(before).base
    base = {name: before.base[name] if there[name] == value else value for name, value in located(now).base.items()}
    return replace(now, base=base, parameters=before.parameters, starting_points=before.starting_points)


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
