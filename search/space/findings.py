"""What is wrong in a space file, collected with its place and reported at once, in the order of the lines."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from licap.errors import ConfigError
from licap.yaml_file import Path_, YamlDocument

OVERRIDE = "--set"


@dataclass
class Findings:
    """Collects problems of one document.

    overridden: paths whose values came from the command line. A path that starts with OVERRIDE is a `--set` word's.
    remarks: what is no problem and yet worth saying.
    """

    document: YamlDocument
    overridden: Collection[Path_] = ()
    remarks: list[str] = field(default_factory=list)
    _found: dict[str, int] = field(default_factory=dict)

    def add(self, path: Path_, message: str) -> None:
        """Notes a problem at a key of the file; said once, however often it is found."""
        key = spelled(path[1:] if path[0] == OVERRIDE else path)
        text = f"{self.where(path)}: {key}: {message if message.endswith('?') else message.rstrip('.') + '.'}"
        self._found.setdefault(text, 0 if self._is_override(path) else self.line(path))

    def remark(self, path: Path_, message: str) -> None:
        """Notes what is no problem and yet worth saying, with the same place as a problem would have."""
        self.remarks.append(f"{self.where(path)}: {spelled(path)}: {message}.")

    def where(self, path: Path_) -> str:
        """`file:line`, or `--set` for what the command line gave."""
        return OVERRIDE if self._is_override(path) else f"{self.document.source}:{self.line(path)}"

    def line(self, path: Path_) -> int:
        """The line of a key, or of its nearest parent that stands in the file."""
        keys = tuple(key if isinstance(key, int) else str(key) for key in path)
        while keys and keys not in self.document.lines:
            keys = keys[:-1]
        return self.document.lines.get(keys, 1)

    def refuse(self) -> None:
        """Raises: ConfigError with everything found, sorted by line; nothing found, nothing raised."""
        if self._found:
            raise ConfigError([text for text, _ in sorted(self._found.items(), key=lambda item: item[1])])

    def _is_override(self, path: Path_) -> bool:
        return path[0] == OVERRIDE or any(path[: len(start)] == start for start in self.overridden)


def spelled(path: Path_) -> str:
    """A path as people write it: `search.pretrain.lr.low`, `start[0].pretrain.lr`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text
