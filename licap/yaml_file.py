"""YAML as people write it: the line of every key, `1e-5` as a number, and a key given twice refused.

Reading goes through a subclass of PyYAML's SafeLoader, so a file can hold nothing but mappings, lists and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from licap.errors import ConfigError

Path_ = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
# Aliases of aliases can blow a small file up; no config is near this.
_MOST_VISITS = 100_000

# YAML 1.1 wants a dot and a signed exponent; people write 1e-5, 1E-2 and 5e3.
_NUMBER = re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)$")

# Of Unicode; beside the newline, YAML takes them for line ends too.
_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads every usual way of writing a float."""


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


class _Dumper(yaml.SafeDumper):
    """SafeDumper whose text reads back as it was.

    It quotes what `_Loader` would read as a number, as a folder called 1e5, and escapes line ends other than the common
    one, which stand for a space or for the common one when they are read.
    """

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """See the class."""
        escaped = '"' if _OTHER_LINE_ENDS.search(data) else None
        return self.represent_scalar(_TEXT, data, style=escaped)


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()}
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


@dataclass(frozen=True)
class YamlDocument:
    """A YAML mapping with the line of each key and list item (paths are tuples of keys and indices)."""

    source: str
    data: Mapping[str, Any]
    lines: Mapping[Path_, int]

    def where(self, path: Path_) -> str:
        """`file:line` of a key, written nested or with dots, or of its nearest parent that stands in the file."""
        dotted = {".".join(map(str, known)): line for known, line in self.lines.items()}
        while path and ".".join(map(str, path)) not in dotted:
            path = path[:-1]
        return f"{self.source}:{dotted.get('.'.join(map(str, path)), 1)}"


def read_yaml(path: Path) -> YamlDocument:
    """Reads a YAML file whose top level is a mapping.

    Raises: ConfigError naming file and line: unreadable, not YAML, a key twice, not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text. Save the file as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read ({reason}). Check the path and its rights.") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> YamlDocument:
    """Reads YAML text; `source` stands in for the file name in messages. Raises as `read_yaml`."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        outline = _Outline(source)
        if node is not None:
            outline.walk(node, ())
        data = {} if node is None or outline.problems else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(error, source)) from None
    except RecursionError:
        raise ConfigError(f"{source}: lists or mappings stand too deep in each other. Flatten them.") from None
    except ValueError as error:
        raise ConfigError(f"{source}: a value cannot be read ({error}). Write it in another way.") from None
    if outline.problems:
        raise ConfigError(outline.problems)
    if not isinstance(data, dict):
        raise ConfigError(f"{source}:1: the file must hold keys and values (got {type(data).__name__}).")
    return YamlDocument(source, data, outline.lines)


def parse_scalar(text: str) -> Any:
    """A single value as YAML reads it, for `--set key=value`; text that is no YAML scalar stays text."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def write_yaml(data: Mapping[str, Any]) -> str:
    """Plain YAML that any safe loader reads; floats keep their bits (PyYAML writes their repr)."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _syntax(error: yaml.YAMLError, source: str) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{source}:{mark.line + 1}" if mark else source
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{place}: not valid YAML: {what}. Check indentation and quotes there."


@dataclass
class _Outline:
    """The line of every key and list item below a node, and each key that stands twice."""

    source: str
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _visits: int = 0

    def walk(self, node: yaml.Node, path: Path_) -> None:
        """Takes in a node and all below. Raises: YAMLError for aliases that hold themselves or explode."""
        if id(node) in self._open:
            raise yaml.constructor.ConstructorError(None, None, "an alias that contains itself", node.start_mark)
        self._visits += 1
        if self._visits > _MOST_VISITS:
            raise yaml.constructor.ConstructorError(None, None, "too many values", node.start_mark)
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._walk_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = item.start_mark.line + 1
                self.walk(item, (*path, index))
        self._open.discard(id(node))

    def _walk_mapping(self, node: yaml.MappingNode, path: Path_) -> None:
        first: dict[str, int] = {}
        # What `<<` brings comes first, so that the mapping's own keys have their own lines.
        for key_node, value_node in sorted(node.value, key=lambda pair: pair[0].tag != _MERGE):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in (_TEXT, _MERGE):
                self.problems.append(f"{self.source}:{line}: a key must be plain text. Write its name.")
                continue
            key = key_node.value
            if key in first:
                self.problems.append(
                    f"{self.source}:{line}: {key} stands twice, first on line {first[key]}. Keep one of the two."
                )
            first.setdefault(key, line)
            if key_node.tag == _MERGE:
                for merged in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    self.walk(merged, path)
            else:
                self.lines[(*path, key)] = line
                self.walk(value_node, (*path, key))
