"""One entry under `search` to a Parameter; both ends and every choice pass the field's own check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from licap.config import TrialConfig
from licap.fields import FieldSpec, Scalar, specs_of
from licap.spelling import shown
from licap.suggestions import nearest
from licap.yaml_file import Path_
from search.space.findings import Findings
from search.space.parameter import MOST_STEPS, Kind, Parameter, num_steps

_RANGE_KEYS = ("low", "high", "log", "step")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "float": (*_RANGE_KEYS, "when", "default"),
    "int": (*_RANGE_KEYS, "when", "default"),
    "categorical": ("choices", "when", "default"),
}


def declare(name: str, declaration: object, findings: Findings) -> Parameter | None:
    """The parameter without its conditions, or None where something is wrong; every problem goes to the findings."""
    path: Path_ = ("search", name)
    spec = specs_of(TrialConfig)[name]
    if not isinstance(declaration, Mapping):
        findings.add(path, f"must be a mapping, as {_example(spec)} (got {shown(declaration)})")
        return None
    kind = _kind(spec, declaration, path, findings)
    if kind is None:
        return None
    if not _keys_fit(declaration, kind, path, findings):
        # A key that is missing may be the one that is misspelt.
        _check_given(spec, declaration, path, findings)
        return None
    if kind == "categorical":
        return _categorical(spec, declaration, path, findings)
    return _range(spec, kind, declaration, path, findings)


def _check_given(spec: FieldSpec, declaration: Mapping[str, Any], path: Path_, findings: Findings) -> None:
    """Notes the values that are wrong by themselves."""
    rules = {"low": spec, "high": spec, "log": _RULES["log"]}
    for key, rule in rules.items():
        if declaration.get(key) is not None:
            parsed(rule, declaration[key], (*path, key), findings)
    choices = declaration.get("choices")
    for index, item in enumerate(choices if isinstance(choices, list) else ()):
        parsed(spec, item, (*path, "choices", index), findings)


def _example(spec: FieldSpec) -> str:
    if spec.kind in (float, int):
        return f"{{type: {spec.kind.__name__}, low: …, high: …}}"
    return "{type: categorical, choices: […, …]}"


def _kind(spec: FieldSpec, declaration: Mapping[str, Any], path: Path_, findings: Findings) -> Kind | None:
    given = declaration.get("type")
    if given is None:
        findings.add(path, f"type is missing. Write it as {_example(spec)}")
    elif not isinstance(given, str) or given not in _KEYS:
        findings.add(
            (*path, "type"), f"must be float, int or categorical (got {shown(given)}){nearest(str(given), _KEYS)}"
        )
    elif given != "categorical" and given != spec.kind.__name__:
        fitting = f"{spec.kind.__name__} or categorical" if spec.kind in (float, int) else "categorical"
        findings.add((*path, "type"), f"must be {fitting}: the field holds {spec.expectation()} (got {given})")
    else:
        return cast(Kind, given)
    return None


def _keys_fit(declaration: Mapping[str, Any], kind: Kind, path: Path_, findings: Findings) -> bool:
    valid, known = _KEYS[kind], {key for keys in _KEYS.values() for key in keys}
    fits = True
    for key in map(str, declaration):
        if key in valid or key == "type":
            continue
        if key in known:
            findings.add((*path, key), f"has no meaning for type {kind}. Leave it out, or change the type")
        else:
            findings.add((*path, key), f"unknown key{nearest(key, valid) or '; valid here: type, ' + ', '.join(valid)}")
        fits = False
    return fits


def _categorical(spec: FieldSpec, declaration: Mapping[str, Any], path: Path_, findings: Findings) -> Parameter | None:
    given, where = declaration.get("choices"), (*path, "choices")
    if not isinstance(given, list):
        findings.add(where if given is not None else path, "choices must be a list, as [a, b]")
        return None
    choices: list[Scalar] = []
    good = True
    for index, item in enumerate(given):
        value = parsed(spec, item, (*where, index), findings)
        if value is INVALID:
            good = False
        elif value in choices:
            findings.add((*where, index), f"{shown(value)} stands twice among the choices. Keep one of the two")
            good = False
        else:
            choices.append(cast(Scalar, value))
    # A single value is of use with a condition: it gives one model a setting that others do not get.
    if good and not choices:
        findings.add(where, "needs a value at least (got none)")
        return None
    return Parameter(name=spec.name, kind="categorical", choices=tuple(choices)) if good else None


def _range(
    spec: FieldSpec, kind: Kind, declaration: Mapping[str, Any], path: Path_, findings: Findings
) -> Parameter | None:
    low, high = (_end(spec, end, declaration, path, findings) for end in ("low", "high"))
    log = parsed(_RULES["log"], declaration.get("log", False), (*path, "log"), findings)
    if low is None or high is None or not isinstance(log, bool):
        return None
    if not _ends_fit(low, high, log, path, findings):
        return None
    given = declaration.get("step")
    step = (1 if kind == "int" else None) if given is None else _step(kind, given, (low, high), log, path, findings)
    if step is None and given is not None:
        return None
    return Parameter(name=spec.name, kind=kind, low=low, high=high, log=log, step=step)


def _end(
    spec: FieldSpec, end: str, declaration: Mapping[str, Any], path: Path_, findings: Findings
) -> float | int | None:
    given = declaration.get(end)
    if given is None:
        findings.add((*path, end), f"is missing: {end} must be {_number(spec)}")
        return None
    value = parsed(spec, given, (*path, end), findings)
    return None if value is INVALID else cast(float, value)


def _number(spec: FieldSpec) -> str:
    return spec.expectation().removesuffix(" or null")


def _ends_fit(low: float, high: float, log: bool, path: Path_, findings: Findings) -> bool:
    if low == high:
        findings.add((*path, "high"), f"low and high are both {shown(low)}. A fixed value belongs under config")
    elif low > high:
        findings.add((*path, "high"), f"must be above low (got low {shown(low)}, high {shown(high)}). Swap them")
    elif log and low <= 0:
        findings.add((*path, "low"), f"must be above 0 on a log scale (got {shown(low)}). Raise it, or set log: false")
    else:
        return True
    return False


def _step(
    kind: Kind, given: object, ends: tuple[float, float], log: bool, path: Path_, findings: Findings
) -> float | int | None:
    where = (*path, "step")
    parsed_step = parsed(_RULES[kind], given, where, findings)
    if parsed_step is INVALID:
        return None
    step, (low, high) = cast(float, parsed_step), ends
    if log and not (kind == "int" and step == 1):
        findings.add(where, "has no meaning on a log scale. Leave out step or log")
        return None
    if kind == "float" and (high - low) / step > MOST_STEPS:
        findings.add(where, f"is so small that there are more than {MOST_STEPS:,} values. Raise it, or leave it out")
        return None
    reachable = Parameter(name="", kind=kind, low=low, high=high, step=step)
    steps = num_steps(low, high, step)
    if steps < 1:
        findings.add(where, f"is wider than the range (got {shown(step)} for {shown(low)} to {shown(high)}). Lower it")
        return None
    highest = reachable.at_step(steps)
    if not math.isclose(highest, high, rel_tol=1e-12):
        findings.add(
            where, f"{shown(step)} does not lead from {shown(low)} to {shown(high)}; write high: {shown(highest)}"
        )
        return None
    return step


# Of `step` by the kind of parameter, and of `log`.
_RULES: Mapping[str, FieldSpec] = {
    "float": FieldSpec(name="step", kind=float, optional=False, default=None, meaning="", above=0.0),
    "int": FieldSpec(name="step", kind=int, optional=False, default=None, meaning="", at_least=1),
    "log": FieldSpec(name="log", kind=bool, optional=False, default=False, meaning=""),
}

# What `parsed` gives where a value was refused; None is a value that some fields may hold.
INVALID = object()


def parsed(spec: FieldSpec, value: object, path: Path_, findings: Findings) -> object:
    """The value converted by the field's own check, or INVALID after noting the problem at its place."""
    try:
        return spec.parse(value)
    except ValueError as error:
        findings.add(path, str(error))
        return INVALID
