"""YAML as people write it: the line of every key, a key given twice refused, and nothing read into a text.

Of the plain words only `true`, `false` and `null` (YAML 1.2) have a meaning here. All others are the text that stands
there, numbers too: the field that takes a value decides what it is (`licap.fields`). So `no` is a name where a name is
expected, and 010, 1:30 or 2024-01-01 are never an octal number, a number of base 60 or a date. Reading goes through a
subclass of PyYAML's SafeLoader, so a file can hold nothing but mappings, lists and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from licap.errors import ConfigError
from licap.invisible import described, escaped, invisible_in

Path_ = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
# The words of YAML 1.2's core schema, by what they stand for. Of older YAML's words (yes, no, on, off) none is here.
_WORDS = {
    "tag:yaml.org,2002:null": re.compile("^(?:~|null|Null|NULL|)$"),
    "tag:yaml.org,2002:bool": re.compile("^(?:true|True|TRUE|false|False|FALSE)$"),
}
# Aliases of aliases can blow a small file up; no config is near this.
_MOST_VISITS = 100_000

# Of Unicode; beside the newline, YAML 1.1 takes them for line ends too, where no editor shows one.
_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


class _Loader(yaml.SafeLoader):
    """SafeLoader that knows the words above, merge keys, and no other meaning of a plain word."""


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (_TEXT, *_WORDS, *_COLLECTIONS)}
_Loader.add_implicit_resolver(_MERGE, re.compile("^<<$"), ["<"])
for _tag, _pattern in _WORDS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, ["~", *"nNtTfF", ""])


class _Dumper(yaml.SafeDumper):
    """SafeDumper whose text reads back as it was, in a reader of YAML 1.1 or 1.2.

    It quotes what either takes for a number or a truth value, and what holds invisible characters; and it escapes line
    ends other than the common one, which stand for a space or for the common one when they are read.
    """

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """See the class."""
        escaped = '"' if _OTHER_LINE_ENDS.search(data) else "'" if invisible_in(data) else None
        return self.represent_scalar(_TEXT, data, style=escaped)


# Numbers as YAML 1.2 and `licap.number_text` have them, and words that YAML 1.1 may take for true or false.
_NUMBER_OR_FLAG = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?0[xob][0-9a-fA-F]+|[yYnN])$"
)
_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()}
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER_OR_FLAG, list("-+.0123456789yYnN"))


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
    data, outline = _load(text, source)
    if not isinstance(data, dict):
        found = "nothing" if data is None else "a list" if isinstance(data, list) else "a single value"
        raise ConfigError(f"{source}:1: the file must hold keys and values (got {found}).")
    return YamlDocument(source, data, outline.lines)


def _load(text: str, source: str) -> tuple[Any, _Outline]:
    """What a text holds; an empty one holds an empty mapping. Raises: ConfigError."""
    outline = _Outline(source)
    for match in _OTHER_LINE_ENDS.finditer(text):
        outline.add(text.count("\n", 0, match.start()), (), f"holds {described(match[0])}. Remove it")
    outline.refuse()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            outline.walk(node, ())
        outline.refuse()
        return ({} if node is None else loader.construct_document(node)), outline
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(error, text, source)) from None
    except RecursionError:
        raise ConfigError(f"{source}: lists or mappings stand too deep in each other. Flatten them.") from None
    except (ValueError, OverflowError):
        # Of chr(): PyYAML's scanner does not look at the number after \U.
        raise ConfigError(f"{source}: a \\U escape stands for no character. Write the character itself.") from None


def parse_scalar(text: str) -> Any:
    """The value of a word of a command line.

    `true`, `false`, `null` and nothing, a text in quotes, and a list or mapping in brackets are read as in a file;
    everything else is the text that stands there, `#`, `&` and `: ` in it too.
    """
    word = text.strip(" ")
    if word[:1] not in tuple("[{'\"") and not any(pattern.match(word) for pattern in _WORDS.values()):
        return word
    try:
        value, _ = _load(word, "") if word else (None, None)
    except ConfigError:
        return word
    return word if isinstance(value, dict) and word[0] != "{" else value


def write_yaml(data: Mapping[str, Any]) -> str:
    """Plain YAML that any safe loader reads; floats keep their bits (PyYAML writes their repr)."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _syntax(error: yaml.YAMLError, text: str, source: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position)
        return f"{source}:{line + 1}: not valid YAML: holds {described(text[error.position])}. Remove it."
    place = f"{source}:{mark.line + 1}" if mark else source
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    if r"'\t'" in what:
        return f"{place}: not valid YAML: a tab stands where only spaces may. Replace it by spaces."
    return f"{place}: not valid YAML: {what}. Check indentation and quotes there."


@dataclass
class _Outline:
    """The line of every key and list item below a node, and what is wrong there."""

    source: str
    lines: dict[Path_, int] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _visits: int = 0

    def add(self, line: int, path: Path_, message: str) -> None:
        """Notes a problem. line: counted from 0."""
        key = f" {escaped('.'.join(map(str, path)))}:" if path else ""
        self._problems.append(f"{self.source}:{line + 1}:{key} {message}.")

    def refuse(self) -> None:
        """Raises: ConfigError with everything noted; nothing noted, nothing raised."""
        if self._problems:
            raise ConfigError(self._problems)

    def walk(self, node: yaml.Node, path: Path_) -> None:
        """Takes in a node and all below. Raises: YAMLError for aliases that hold themselves or explode."""
        if id(node) in self._open:
            raise yaml.constructor.ConstructorError(None, None, "an alias that contains itself", node.start_mark)
        self._visits += 1
        if self._visits > _MOST_VISITS:
            raise yaml.constructor.ConstructorError(None, None, "too many values", node.start_mark)
        self._open.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node, path)
        elif node.tag not in _COLLECTIONS:
            self._refuse_tag(node, path)
        elif isinstance(node, yaml.MappingNode):
            self._walk_mapping(node, path)
        else:
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = item.start_mark.line + 1
                self.walk(item, (*path, index))
        self._open.discard(id(node))

    def _check_scalar(self, node: yaml.ScalarNode, path: Path_) -> None:
        word = _WORDS.get(node.tag)
        if node.tag != _TEXT and not (word and word.match(node.value)):
            self._refuse_tag(node, path)
        is_plain = node.style is None
        # A blank line within a plain text is a line end of it.
        hidden = invisible_in(node.value.replace("\n", "")) if is_plain else ""
        if hidden:
            what = f"holds {described(hidden[0])}, which cannot be seen"
            self.add(node.start_mark.line, path, f"{what}. Remove it, or put the text in quotes if it is meant")

    def _refuse_tag(self, node: yaml.Node, path: Path_) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self.add(node.start_mark.line, path, f"the tag {tag} has no meaning here. Leave it out")

    def _walk_mapping(self, node: yaml.MappingNode, path: Path_) -> None:
        first: dict[str, int] = {}
        # What `<<` brings comes first, so that the mapping's own keys have their own lines.
        for key_node, value_node in sorted(node.value, key=lambda pair: pair[0].tag != _MERGE):
            line = key_node.start_mark.line
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in (_TEXT, _MERGE):
                self.add(line, (), "a key must be plain text. Write its name")
                continue
            key = key_node.value
            if key in first:
                self.add(line, (), f"{key} stands twice, first on line {first[key] + 1}. Keep one of the two")
            first.setdefault(key, line)
            if key_node.tag == _MERGE:
                for merged in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    self.walk(merged, path)
            else:
                self._check_scalar(key_node, (*path, key))
                self.lines[(*path, key)] = line + 1
                self.walk(value_node, (*path, key))
