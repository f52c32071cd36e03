"""Config fields that carry their own rules: default, bounds, choices and meaning on one line, and one checker for all.

A config dataclass declares each field with `real`, `whole`, `flag`, `string`, `choice` or `part`. From these
declarations come the checks, the conversion of what YAML and the command line give, the nearest valid name for a
misspelt key, and the reference of all keys. Knows no config in particular.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from functools import cache
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, TypeVar

from licap.conditions import Conditions, one_of
from licap.errors import ConfigError, Problem
from licap.number_text import number_hint, read_number
from licap.paths import expanded
from licap.spelling import quoted
from licap.suggestions import nearest, nearest_key

Scalar = float | int | bool | str | None
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FieldSpec:
    """What one leaf of a config may hold.

    is_path: whether a text names a file or folder. acts: beside which other values it acts; all must hold. serves:
    options of which at least one must act for this one to act; empty: none.
    """

    name: str
    kind: type
    optional: bool
    default: Scalar
    meaning: str
    choices: tuple[str, ...] = ()
    is_path: bool = False
    acts: Conditions = ()
    serves: tuple[str, ...] = ()
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def parse(self, value: object) -> Scalar:
        """Converts what YAML or a command line gave to the field's type.

        Raises: ValueError with what is expected and what was given.
        """
        if value is None:
            if self.optional:
                return None
            raise ValueError(f"must be {self.expectation()} (got nothing)")
        parsed = _PARSERS[self.kind](value)
        if parsed is None or not self._allows(parsed):
            raise ValueError(f"must be {self.expectation()} (got {quoted(value)}){self._suggestion(value)}")
        return expanded(parsed) if self.is_path else typing.cast(Scalar, parsed)

    def _allows(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def _suggestion(self, value: object) -> str:
        if self.choices:
            return nearest(str(value), self.choices)
        hint = ""
        if self.kind is str and isinstance(value, bool):
            hint = "Put it in quotes if it is meant as text"
        elif self.kind in (float, int) and isinstance(value, str):
            hint = number_hint(value)
        return hint and f". {hint}"

    def expectation(self) -> str:
        """The rule in words, as messages and the reference of keys print it."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        bounds = [
            f"{word} {bound:.15g}"
            for word, bound in (
                ("above", self.above),
                ("at least", self.at_least),
                ("below", self.below),
                ("at most", self.at_most),
            )
            if bound is not None
        ]
        noun = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}[self.kind]
        noun = "a path" if self.is_path else noun
        return " ".join([noun, " and ".join(bounds)]).strip() + (" or null" if self.optional else "")


def _parse_real(value: object) -> float | None:
    if isinstance(value, str):
        value = read_number(value)
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _parse_whole(value: object) -> int | None:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    exact = read_number(value) if isinstance(value, str) else _parse_real(value)
    return int(exact) if exact is not None and int(exact) == exact else None


def _parse_flag(value: object) -> bool | None:
    if isinstance(value, str):
        return _FLAGS.get(value.lower())
    return value if isinstance(value, bool) else None


# Beside true and false what older YAML takes for them, which means nothing else where a flag is expected.
_FLAGS: Mapping[str, bool] = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _parse_text(value: object) -> str | None:
    if isinstance(value, PathLike):
        value = fspath(value)
    return value if isinstance(value, str) and value and "\0" not in value else None


_PARSERS: Mapping[type, Any] = {float: _parse_real, int: _parse_whole, bool: _parse_flag, str: _parse_text}


def real(default: float | None, meaning: str, *, acts: Conditions = (), **bounds: float) -> Any:
    """A float field."""
    return field(default=default, metadata={"meaning": meaning, "acts": acts, **bounds})


def whole(default: int | None, meaning: str, *, acts: Conditions = (), **bounds: float) -> Any:
    """An int field."""
    return field(default=default, metadata={"meaning": meaning, "acts": acts, **bounds})


def flag(default: bool, meaning: str, *, acts: Conditions = ()) -> Any:
    """A bool field."""
    return field(default=default, metadata={"meaning": meaning, "acts": acts})


def string(default: str | None, meaning: str) -> Any:
    """A str field."""
    return field(default=default, metadata={"meaning": meaning})


def file_path(default: str | None, meaning: str, *, acts: Conditions = (), serves: tuple[str, ...] = ()) -> Any:
    """A str field that names a file or folder; `~` at its beginning is a home folder."""
    return field(default=default, metadata={"meaning": meaning, "is_path": True, "acts": acts, "serves": serves})


def choice(default: str | None, meaning: str, options: Iterable[str], *, acts: Conditions = ()) -> Any:
    """A str field that is one of a few."""
    return field(default=default, metadata={"meaning": meaning, "choices": tuple(options), "acts": acts})


def part(cls: type[T], *, acts: Conditions = ()) -> T:
    """A field that is a config of its own. acts: of all its options."""
    return field(default_factory=cls, metadata={"acts": acts})


@cache
def specs_of(cls: type) -> Mapping[str, FieldSpec]:
    """All leaves of a config class and its parts, by dotted name; its own before its parts', as declared."""
    hints, chosen_by = _hints_of(cls), getattr(cls, "chosen_by", "")
    found: dict[str, FieldSpec] = {}
    for item in sorted(fields(cls), key=lambda item: is_dataclass(hints[item.name])):
        hint = hints[item.name]
        if is_dataclass(hint):
            acts = item.metadata.get("acts", ())
            if chosen_by:
                acts = (*acts, one_of(chosen_by, item.name))
            for name, spec in specs_of(typing.cast(type, hint)).items():
                name = f"{item.name}.{name}"
                found[name] = dataclasses.replace(spec, name=name, acts=(*acts, *spec.acts))
        else:
            found[item.name] = _spec(item, hint)
    return types.MappingProxyType(found)


@cache
def _hints_of(cls: type) -> Mapping[str, Any]:
    # Evaluating annotations is most of the cost of building a config, and a space file is checked by building many.
    return typing.get_type_hints(cls)


def _spec(item: dataclasses.Field[Any], hint: Any) -> FieldSpec:
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    kind = members[0] if members else hint
    return FieldSpec(
        name=item.name, kind=kind, optional=bool(members), default=typing.cast(Scalar, item.default), **item.metadata
    )


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as dotted names; an empty mapping stays a value.

    Raises: ConfigError with every name that stands there twice, nested and with dots.
    """
    flat: dict[str, Any] = {}
    twice: dict[str, None] = {}
    for name, value in _leaves(tree, prefix):
        if name in flat:
            twice[name] = None
        flat[name] = value
    if twice:
        raise ConfigError(Problem(name, "stands twice, nested and with dots. Keep one of the two") for name in twice)
    return flat


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree


def parse_all(cls: type, flat: Mapping[str, object]) -> tuple[dict[str, Scalar], list[Problem]]:
    """Checks dotted values against a config class: what is good, converted, and every problem."""
    specs, good, problems = specs_of(cls), {}, []
    for name, value in flat.items():
        if name not in specs:
            problems.append(Problem(name, f"unknown key{_hint(name, specs)}"))
            continue
        try:
            good[name] = specs[name].parse(value)
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    return good, problems


def is_group(name: str, specs: Mapping[str, FieldSpec]) -> bool:
    """Whether a dotted name is that of a part, which has options of its own."""
    return any(valid.startswith(f"{name}.") for valid in specs)


def _hint(name: str, specs: Mapping[str, FieldSpec]) -> str:
    parts = [valid for valid in specs if valid.startswith(f"{name}.")]
    if parts:
        return f": it is a group, give its keys ({', '.join(p.removeprefix(name + '.') for p in parts)})"
    suggestion = nearest_key(name, specs)
    if suggestion:
        return suggestion
    parent = name.rpartition(".")[0]
    siblings = [valid for valid in specs if parent and valid.startswith(f"{parent}.")]
    return f"; valid here: {', '.join(siblings)}" if siblings else ""


def updated(config: T, values: Mapping[str, object]) -> T:
    """A copy of a config with some dotted values. Each is checked once; parts that hold none of them are shared.

    Raises: ConfigError with every problem, in the order of the values.
    """
    specs = specs_of(typing.cast(Any, type(config)))
    # A group that a file leaves empty changes nothing.
    values = {name: value for name, value in values.items() if value != {} or not is_group(name, specs)}
    problems: list[Problem] = [
        Problem(name, f"unknown key{_hint(name, specs)}") for name in values if name not in specs
    ]
    try:
        found = _updated(config, {name: value for name, value in values.items() if name in specs}, "")
    except ConfigError as error:
        problems += error.problems
    if problems:
        places = {name: place for place, name in enumerate(values)}
        problems.sort(key=lambda problem: places.get(problem.key, len(places)))
        raise ConfigError(problems)
    return found


def _updated(config: T, values: Mapping[str, object], prefix: str) -> T:
    """`updated` for names that are known. prefix: of the names in its messages."""
    own: dict[str, object] = {}
    inner: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        first, dot, rest = name.partition(".")
        if dot:
            inner.setdefault(first, {})[rest] = value
        else:
            own[first] = value
    parts: dict[str, object] = {}
    problems: list[Problem] = []
    for name, below in inner.items():
        try:
            parts[name] = _updated(getattr(config, name), below, f"{prefix}{name}.")
        except ConfigError as error:
            problems += error.problems
    if problems:
        # Rules that join values are asked of parts that are right.
        _, more = parse_all(type(config), own)
        raise ConfigError([*problems, *(Problem(prefix + each.key, each.message) for each in more)])
    try:
        return typing.cast(T, dataclasses.replace(typing.cast(Any, config), **own, **parts))
    except ConfigError as error:
        raise ConfigError(Problem(prefix + each.key, each.message) for each in error.problems) from None


def values_of(config: object) -> dict[str, Scalar]:
    """All leaves of a config object, by dotted name, in the order of `specs_of`."""
    flat = flatten(dataclasses.asdict(typing.cast(Any, config)))
    return {name: flat[name] for name in specs_of(typing.cast(type, type(config)))}


class Checked:
    """A config dataclass that cannot exist with wrong values: field rules, then `cross_problems`.

    chosen_by: the option whose value names the one part that acts; empty where all of them may.
    """

    chosen_by: typing.ClassVar[str] = ""

    def __post_init__(self) -> None:
        cls: Any = type(self)
        good, problems = parse_all(cls, {name: getattr(self, name) for name in specs_of(cls) if "." not in name})
        for name, value in good.items():
            # As a file would have it: `~` of a path is a home folder in Python code too.
            object.__setattr__(self, name, value)
        problems = problems or list(self.cross_problems())
        if problems:
            raise ConfigError(problems)

    def cross_problems(self) -> Iterator[Problem]:
        """Rules that join several fields; keys are relative to this part. Override where there are some."""
        yield from ()
