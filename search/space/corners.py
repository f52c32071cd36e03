"""Checks the rules that join several config fields at the edges of a space, before anything is trained.

Ranges are intervals, so a rule on one field holds inside where it holds at both ends; a rule on several fields is tried
with every extreme alone, in pairs within one part of the config, all low and all high. The options whose rules join
several parts (`TrialConfig.joined`) are tried in all combinations.
Of a short range of whole numbers every value is tried alone and in pairs: a rule may be one of divisors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from licap.config import TrialConfig
from licap.errors import ConfigError, Problem
from licap.fields import Scalar
from licap.spelling import shown
from licap.yaml_file import Path_
from search.space.conditions import requirements
from search.space.findings import Findings
from search.space.parameter import Parameter
from search.space.points import PointConfigs

Values = Mapping[str, Scalar]
# So many whole numbers are tried one by one, in pairs up to the square of it.
_FEW = 32


@dataclass(frozen=True)
class _Candidate:
    """Values of all parameters; varied: which were moved to an extreme; path: the starting point they are.

    moved: 0 for the usual point, 1 for one parameter or a starting point, 2 for several. Candidates come in this order.
    """

    values: Values
    varied: tuple[str, ...] = ()
    path: Path_ | None = None
    moved: int = 2


def check_combinations(
    parameters: Sequence[Parameter],
    base: Values,
    starting_points: Mapping[int, Values],
    places: Mapping[str, Path_],
    findings: Findings,
) -> None:
    """Builds the config of every starting point and corner; what a rule refuses is noted at the key's line.

    starting_points: by their place in the file. places: where the file sets a value, by dotted name.
    """
    told: set[tuple[str, Path_]] = set()
    # By key, how few moved parameters break its rule: that need not be said again where more were moved.
    fewest: dict[str, int] = {}
    configs = PointConfigs(parameters, base)
    for candidate in _candidates(parameters, base, starting_points):
        try:
            configs.at(candidate.values)
        except ConfigError as error:
            for problem in error.problems:
                path = candidate.path or _place(problem.key, candidate.varied, places)
                if candidate.path is None:
                    fewest.setdefault(problem.key, candidate.moved)
                # Messages hold values, so what was told is known by key and place.
                if fewest.get(problem.key, 1) >= candidate.moved and (problem.key, path) not in told:
                    told.add((problem.key, path))
                    findings.add(path, _sentence(problem, path, candidate))


def _place(key: str, varied: Sequence[str], places: Mapping[str, Path_]) -> Path_:
    """Where the file says something about a key; else about a parameter that was varied."""
    return next((places[name] for name in (key, *varied) if name in places), (key,))


def _sentence(problem: Problem, path: Path_, candidate: _Candidate) -> str:
    text = problem.message if problem.key == path[-1] else f"{problem.key} {problem.message}"
    settings = ", ".join(f"{name} = {shown(candidate.values[name])}" for name in candidate.varied)
    return f"{text.rstrip('.')} (tried {settings})" if settings else text


def _candidates(
    parameters: Sequence[Parameter], base: Values, starting_points: Mapping[int, Values]
) -> Iterator[_Candidate]:
    """The edges, pairs of extremes, all low and all high; whole numbers also between their extremes."""
    yield from _edges(parameters, base, starting_points)
    for parameter in parameters:
        for value in set(_tried(parameter)) - set(parameter.extremes()):
            yield _Candidate(_moved(parameters, base, {parameter.name: value}), (parameter.name,), moved=1)
    joined = [parameter for parameter in parameters if parameter.name in TrialConfig.joined]
    for values in product(*map(_tried, joined)) if len(joined) > 1 else ():
        together = dict(zip((each.name for each in joined), values, strict=True))
        yield _Candidate(_moved(parameters, base, together), tuple(together))
    for a, b in combinations(parameters, 2):
        if a.name.rpartition(".")[0] == b.name.rpartition(".")[0]:
            for first, second in product(_tried(a), _tried(b)):
                yield _Candidate(_moved(parameters, base, {a.name: first, b.name: second}), (a.name, b.name))
    for end in (0, -1):
        yield _Candidate(_moved(parameters, base, {each.name: each.extremes()[end] for each in parameters}))


def _tried(parameter: Parameter) -> Sequence[Scalar]:
    """Every value of a short range of whole numbers, else the extremes."""
    few = parameter.kind == "int" and parameter.count() <= _FEW
    return (few and parameter.values()) or parameter.extremes()


def edges(
    parameters: Sequence[Parameter], base: Values, starting_points: Sequence[Values]
) -> Iterator[tuple[str, Values]]:
    """The usual point, each starting point and each extreme alone, with words that say which it is."""
    for candidate in _edges(parameters, base, dict(enumerate(starting_points))):
        varied = ", ".join(f"{name} = {shown(candidate.values[name])}" for name in candidate.varied)
        start = f"starting point {int(candidate.path[1]) + 1}" if candidate.path else ""
        yield varied or start or "the usual values", candidate.values


def _edges(
    parameters: Sequence[Parameter], base: Values, starting_points: Mapping[int, Values]
) -> Iterator[_Candidate]:
    yield _Candidate(_moved(parameters, base, {}), moved=0)
    for index, point in starting_points.items():
        yield _Candidate(point, path=("start", index), moved=1)
    for parameter in parameters:
        for value in parameter.extremes():
            yield _Candidate(_moved(parameters, base, {parameter.name: value}), (parameter.name,), moved=1)


def _moved(parameters: Sequence[Parameter], base: Values, values: Values) -> dict[str, Scalar]:
    """The usual point with some values changed, and their ancestors so that they count."""
    by_name = {parameter.name: parameter for parameter in parameters}
    point = {p.name: base[p.name] if p.contains(base[p.name]) else p.extremes()[0] for p in parameters}
    for name in values:
        point |= {ancestor: allowed[0] for ancestor, allowed in requirements(name, by_name).items() if allowed}
    return point | dict(values)
