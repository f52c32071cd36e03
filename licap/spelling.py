"""Values as files and messages spell them: never Python's own names for what a file calls null, true or a number."""

from __future__ import annotations

from collections.abc import Mapping

from licap.number_text import number_hint, read_number

_LONGEST_SHOWN = 80


def quoted(value: object) -> str:
    """A value that was given, for messages: as `shown`, but with a text in quotes unless it is meant as a number."""
    if isinstance(value, str) and read_number(value) is None and not number_hint(value):
        return shortened(repr(value))
    return shortened(shown(value))


def shown(value: object) -> str:
    """A value as a file spells it: `null`, `true`, a number in its fewest digits, a text of one line as it is."""
    if isinstance(value, Mapping):
        return shortened(f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}")
    if isinstance(value, (list, tuple)):
        return shortened(f"[{', '.join(map(shown, value))}]")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        # numpy's floats are called by their type in a repr of their own.
        text = repr(float(value)) if isinstance(value, float) else str(value)
        # A message is one line.
        return text if text.isprintable() else repr(text)
    except ValueError:
        # Python does not write out a whole number of thousands of digits.
        return "a number of more digits than can be shown"


def shortened(text: str) -> str:
    """The first 80 characters, for messages."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
