"""Characters that cannot be seen in a text: found by their Unicode category, and escaped where a text is shown."""

from __future__ import annotations

import unicodedata

# Controls, format characters (zero-width spaces, byte-order marks, marks of direction), spaces of any kind, line ends.
_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Control characters have no name in Unicode.
_CONTROLS = {"\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x85": "NEXT LINE"}


def invisible_in(text: str) -> str:
    """The characters of a text that cannot be seen, in their order; a plain space is not among them."""
    return "" if text.isprintable() else "".join(each for each in text if _is_invisible(each))


def escaped(text: str) -> str:
    r"""The text with its invisible characters as escapes, as in `Berlin\u00a0`."""
    return text if text.isprintable() else "".join(_escape(each) if _is_invisible(each) else each for each in text)


def described(character: str) -> str:
    """A character by its name in Unicode and its number: `NO-BREAK SPACE (U+00A0)`."""
    name = _CONTROLS.get(character) or unicodedata.name(character, "CONTROL")
    return f"{name} (U+{ord(character):04X})"


def _is_invisible(character: str) -> bool:
    return character != " " and unicodedata.category(character) in _CATEGORIES


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
