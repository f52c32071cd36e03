"""Starting points: combinations that the study tries first. Each must be a point of the space, all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from licap.config import TrialConfig
from licap.fields import Scalar, is_group, specs_of
from licap.spelling import shown
from licap.suggestions import nearest_key
from licap.yaml_file import Path_
from search.space.conditions import active
from search.space.findings import Findings
from search.space.parameter import Parameter


def leaves(tree: Mapping[str, Any], path: Path_ = (), prefix: str = "") -> Iterator[tuple[str, Any, Path_]]:
    """Dotted name, value and place of everything in a nested or dotted mapping of the trial config."""
    specs = specs_of(TrialConfig)
    for key, value in tree.items():
        name, place = f"{prefix}{key}", (*path, key)
        if isinstance(value, Mapping) and name not in specs and (value or is_group(name, specs)):
            yield from leaves(value, place, f"{name}.")
        else:
            yield name, value, place


def read_starting_points(
    raw: object,
    parameters: Sequence[Parameter],
    base: Mapping[str, Scalar],
    ignored: frozenset[str],
    findings: Findings,
) -> dict[int, dict[str, Scalar]]:
    """The points with every active parameter, by their place in the file; equal ones once.

    ignored: names without a say here, because the command line fixed them or their entry is already refused.
    """
    if raw is None:
        return {}
    if not isinstance(raw, list):
        findings.add(("start",), "must be a list of points, as - {pretrain.lr: 5e-3}")
        return {}
    points: dict[int, dict[str, Scalar]] = {}
    for index, given in enumerate(raw):
        path = ("start", index)
        if not isinstance(given, Mapping):
            findings.add(path, f"must be a mapping of parameters to values (got {shown(given)})")
            continue
        point = _read_point(given, path, parameters, base, ignored, findings)
        if point is not None and point not in points.values():
            points[index] = point
    return points


def _read_point(
    given: Mapping[str, Any],
    path: Path_,
    parameters: Sequence[Parameter],
    base: Mapping[str, Scalar],
    ignored: frozenset[str],
    findings: Findings,
) -> dict[str, Scalar] | None:
    by_name = {parameter.name: parameter for parameter in parameters}
    places: dict[str, Path_] = {}
    values: dict[str, Scalar] = {}
    good = True
    for name, raw, place in leaves(given, path):
        if name in ignored:
            continue
        problem = _unknown(name, by_name, base)
        if problem is None and name in places:
            problem = f"stands twice, first on line {findings.line(places[name])}. Keep one of the two"
        if problem is None:
            places[name] = place
            try:
                values[name] = by_name[name].parse(raw)
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            findings.add(place, problem)
            good = False
    return _completed(values, places, path, parameters, base, findings) if good else None


def _unknown(name: str, by_name: Mapping[str, Parameter], base: Mapping[str, Scalar]) -> str | None:
    if name in by_name:
        return None
    if name in base:
        return f"is not searched (fixed at {shown(base[name])}). Leave it out, or give it a range under search"
    return f"unknown parameter{nearest_key(name, by_name)} (searched: {', '.join(by_name) or 'nothing'})"


def _completed(
    values: Mapping[str, Scalar],
    places: Mapping[str, Path_],
    path: Path_,
    parameters: Sequence[Parameter],
    base: Mapping[str, Scalar],
    findings: Findings,
) -> dict[str, Scalar] | None:
    by_name = {parameter.name: parameter for parameter in parameters}
    # Where a parameter has a single value, there is nothing to leave out.
    usual = {**base, **{each.name: each.extremes()[0] for each in parameters if each.count() == 1}}
    counting = active(parameters, usual, values)
    good = True
    for name in values:
        if name not in counting:
            findings.add(places[name], f"does not count here: needs {by_name[name].when_text()}. Leave it out")
            good = False
    for name in counting:
        if name not in values and not by_name[name].contains(usual[name]):
            findings.add(
                path,
                f"leaves out {name}, whose default {shown(usual[name])} lies outside the space "
                f"({by_name[name].range_text()}). Give a value",
            )
            good = False
    return {name: values.get(name, usual[name]) for name in counting} if good else None
