"""`when:` of searched parameters: read, evaluated against fixed values, put into order, and applied to drawn values.

After `settle` conditions name searched parameters only, and every parameter can count in some combination.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from licap.config import TrialConfig
from licap.fields import Scalar, specs_of
from licap.spelling import shown
from licap.suggestions import nearest_key
from search.space.declare import INVALID, parsed
from search.space.findings import Findings
from search.space.parameter import Parameter

Allowed = tuple[Scalar, ...]


def active(
    parameters: Iterable[Parameter], base: Mapping[str, Scalar], values: Mapping[str, Scalar]
) -> tuple[str, ...]:
    """Names of the parameters that count; what `values` leaves out takes the config's value.

    parameters: parents before children, as `settle` gives them.
    """
    seen: dict[str, Scalar] = {}
    for parameter in parameters:
        if parameter.counts(seen):
            seen[parameter.name] = values.get(parameter.name, base[parameter.name])
    return tuple(seen)


@dataclass(frozen=True)
class Surroundings:
    """What conditions are judged by.

    declared: names under `search`, whether or not their entry is good. base: the config's values. fixed: names that the
    command line fixed; a condition that fails because of them drops the parameter instead of being a mistake.
    """

    declared: frozenset[str]
    base: Mapping[str, Scalar]
    fixed: frozenset[str]


def settle(
    parameters: Sequence[Parameter], raw: Mapping[str, object], around: Surroundings, findings: Findings
) -> tuple[Parameter, ...]:
    """Parameters with their conditions, parents before children, else in the order of the file.

    raw: `when` as the file gives it, of entries that are refused already too. Parameters that the command line switched
    off are left out.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    wanted = {name: _read(name, given, by_name, around, findings) for name, given in raw.items()}
    ordered = _ordered(list(by_name), wanted, findings)
    kept: dict[str, Parameter] = {}
    for name in ordered:
        when = _remaining(name, wanted.get(name, {}), by_name, kept, around, findings)
        if when is not None:
            kept[name] = replace(by_name[name], when=when)
    return tuple(parameter for parameter in kept.values() if _can_hold(parameter, kept, findings))


def _read(
    name: str, raw: object, by_name: Mapping[str, Parameter], around: Surroundings, findings: Findings
) -> dict[str, Allowed]:
    path = ("search", name, "when")
    if not isinstance(raw, Mapping) or not raw:
        findings.add(path, f"must name a parameter and its values, as {{downstream.model: geni}} (got {shown(raw)})")
        return {}
    found: dict[str, Allowed] = {}
    specs = specs_of(TrialConfig)
    for parent, values in ((str(key), values) for key, values in raw.items()):
        where = (*path, parent)
        if parent == name:
            findings.add(where, "a parameter cannot be its own condition")
        elif parent not in specs:
            findings.add(where, f"unknown parameter{nearest_key(parent, [*around.declared, *specs])}")
        elif parent in by_name and by_name[parent].kind == "float":
            findings.add(where, "is a float range, which hardly ever takes a given value. Make it categorical")
        elif parent in around.declared and parent not in by_name:
            continue  # its own entry is already refused
        else:
            allowed = _allowed(parent, values, by_name.get(parent), where, findings)
            if allowed:
                found[parent] = allowed
    return found


def _allowed(
    parent: str, values: object, searched: Parameter | None, where: tuple[str, ...], findings: Findings
) -> Allowed:
    listed = values if isinstance(values, list) else [values]
    allowed: list[Scalar] = []
    for index, item in enumerate(listed):
        value = parsed(specs_of(TrialConfig)[parent], item, (*where, index), findings)
        if value is INVALID:
            continue
        if value not in allowed:
            allowed.append(cast(Scalar, value))
    if not listed:
        findings.add(where, "holds no value, so the condition can never hold")
    return _possible(tuple(allowed), parent, searched, where, findings)


def _possible(
    allowed: Allowed, parent: str, searched: Parameter | None, where: tuple[str, ...], findings: Findings
) -> Allowed:
    """The values that the parent can take in this space; the others are remarked on, unless none is left."""
    possible = tuple(value for value in allowed if searched is None or searched.contains(value))
    if searched is None or len(possible) == len(allowed):
        return possible
    rest = ", ".join(shown(value) for value in allowed if value not in possible)
    if possible:
        findings.remark(where, f"{parent} never takes {rest} here ({searched.range_text()})")
    else:
        findings.add(where, f"can never hold: {rest} is no value of {parent} ({searched.range_text()})")
    return possible


def _ordered(names: Sequence[str], wanted: Mapping[str, Mapping[str, Allowed]], findings: Findings) -> list[str]:
    done: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = (*trail[trail.index(name) :], name)
            findings.add(("search", circle[-2], "when"), f"conditions go round in a circle: {' -> '.join(circle)}")
        elif name in names and name not in done:
            for parent in wanted.get(name, {}):
                visit(parent, (*trail, name))
            if name not in done:
                done.append(name)

    for name in names:
        visit(name, ())
    return done


def _remaining(
    name: str,
    when: Mapping[str, Allowed],
    by_name: Mapping[str, Parameter],
    kept: Mapping[str, Parameter],
    around: Surroundings,
    findings: Findings,
) -> dict[str, Allowed] | None:
    """The conditions on searched parameters; None where one on a fixed value fails, so that `name` never counts."""
    remaining: dict[str, Allowed] = {}
    for parent, allowed in when.items():
        if parent in kept:
            remaining[parent] = allowed
        elif parent in by_name:
            return None  # the parent itself was left out, or stands in a circle that was refused
        elif around.base[parent] not in allowed:
            if parent not in around.fixed:
                findings.add(
                    ("search", name, "when", parent),
                    f"can never hold: {parent} is not searched and fixed at {shown(around.base[parent])}",
                )
            return None
    return remaining


def _can_hold(parameter: Parameter, kept: Mapping[str, Parameter], findings: Findings) -> bool:
    """Whether the conditions of a parameter and of its parents agree with each other."""
    needs = requirements(parameter.name, kept)
    for parent, allowed in needs.items():
        if not allowed:
            findings.add(
                ("search", parameter.name, "when"),
                f"can never hold: its conditions and those of its parents ask for different values of {parent}",
            )
            return False
    return True


def requirements(name: str, by_name: Mapping[str, Parameter]) -> dict[str, Allowed]:
    """The values that every ancestor of a parameter must take for it to count; empty values where they contradict."""
    needs: dict[str, Allowed] = {}
    for parent, allowed in by_name[name].when.items():
        for ancestor, values in {parent: allowed, **requirements(parent, by_name)}.items():
            needs[ancestor] = tuple(v for v in needs.get(ancestor, values) if v in values)
    return needs
