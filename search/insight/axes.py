"""Rows and columns of a comparison: the values of one or several parameters, in the space's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from licap.config import TrialConfig
from licap.errors import ConfigError
from licap.fields import Scalar, parse_all, specs_of
from licap.spelling import shown
from licap.suggestions import nearest
from licap.yaml_file import parse_scalar
from search.space import SearchSpace


@dataclass(frozen=True)
class Axis:
    """names: of parameters. values: one of each, for each row or column."""

    names: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def head(self) -> str:
        """The names in words."""
        return ", ".join(self.names)

    @property
    def labels(self) -> tuple[str, ...]:
        """The values in words."""
        return tuple(", ".join(map(shown, each)) for each in self.values)

    def index_of(self, config: Mapping[str, Scalar]) -> int:
        """Where a trial's config stands."""
        return self.values.index(tuple(config[name] for name in self.names))


def check_apart(rows: Sequence[str], columns: Sequence[str]) -> None:
    """Raises: ConfigError for a name that the trial config lacks, and for one that stands twice."""
    problems = []
    for option, names in (("--rows", rows), ("--columns", columns)):
        for place, name in enumerate(names):
            if name not in specs_of(TrialConfig):
                _, found = parse_all(TrialConfig, {name: None})
                problems.append(f"{option} {name}: {found[0].message.replace('unknown key', 'unknown parameter')}")
            elif name in names[:place]:
                problems.append(f"{option} {name}: stands twice. Keep one of the two.")
            elif option == "--columns" and name in rows:
                problems.append(f"--columns {name}: is what --rows names too. Give another parameter to one of them.")
    if problems:
        raise ConfigError(problems)


def axis_of(names: Sequence[str], space: SearchSpace, configs: Iterable[Mapping[str, Scalar]]) -> Axis:
    """The values of some parameters; of several, the combinations that a trial took.

    configs: of the trials. All choices of a categorical are there, whether or not a trial took them; of any other
    parameter those that a trial took, smallest first.
    """
    taken = dict.fromkeys(tuple(config[name] for name in names) for config in configs)
    each = [_values(name, space, [values[index] for values in taken]) for index, name in enumerate(names)]
    return Axis(tuple(names), tuple(values for values in product(*each) if len(names) == 1 or values in taken))


def _values(name: str, space: SearchSpace, taken: Sequence[Scalar]) -> list[Scalar]:
    """Choices as the file has them, then what stands in where the parameter does not count."""
    searched = {parameter.name: parameter for parameter in space.parameters}
    choices = searched[name].choices if name in searched else ()
    # None, a value that some fields may hold, has no place among numbers.
    others = sorted({*taken} - {*choices}, key=lambda value: (value is None, value if value is not None else 0))
    return [*choices, *others]


def pick_value(axis: Axis, text: str) -> int:
    """The place of a row or column that a command line names. Raises: ConfigError with the nearest that there is."""
    words = [text] if len(axis.names) == 1 else [word.strip() for word in text.split(",")]
    given = tuple(_parsed(name, word) for name, word in zip(axis.names, words, strict=False))
    if len(words) == len(axis.names) and given in axis.values:
        return axis.values.index(given)
    near = nearest(", ".join(words), axis.labels) or f" (there are: {'; '.join(axis.labels)})"
    raise ConfigError(f"--baseline {text}: is no value of {axis.head} here{near}")


def _parsed(name: str, word: str) -> object:
    try:
        return specs_of(TrialConfig)[name].parse(parse_scalar(word))
    except ValueError:
        # Whatever it is, it is no value of the parameter.
        return word
