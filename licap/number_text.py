"""Numbers as people write them: one grammar for files and command lines, and what to write in place of the ambiguous.

A field decides that a text is a number; the reader of YAML does not guess. So a name such as 1e3 stays the text that it
is, and a number has one meaning: 010, which is 8 to some readers and 10 to others, has none.
"""

from __future__ import annotations

import math
import re
import sys
from decimal import Decimal

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_DECIMAL = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?")
_PREFIXED = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_LEADING_ZERO = re.compile(r"(?P<sign>[-+]?)0[_0]*(?P<rest>[0-9][0-9_]*)")
_OTHER_SEPARATORS = re.compile(r"[-+]?[0-9][0-9.,' ]*[0-9]")
_LARGEST_BITS = sys.float_info.max_exp
_BASE_60 = re.compile(r"[-+]?[0-9]+(?::[0-9.]+)+")


def read_number(text: str) -> Decimal | None:
    """The exact number that a text stands for; None where it stands for none, or not for one alone.

    Decimal (`10`, `-0.5`, `.5`, `5.`, `1e-3`, `1_000`), or whole with a prefix (`0x10`, `0o10`, `0b10`). Beyond what a
    float holds there is no number: 1e999 is not infinity, and 1e-999 is not 0.
    """
    text = text.strip(" ")
    if _LEADING_ZERO.fullmatch(text):
        return None
    if _PREFIXED.fullmatch(text):
        number = int(text, 0)
        return Decimal(number) if number.bit_length() < _LARGEST_BITS else None
    return Decimal(text) if _DECIMAL.fullmatch(text) and _is_within_floats(text) else None


def _is_within_floats(decimal: str) -> bool:
    number = float(decimal)
    is_zero = not re.search(r"[1-9]", re.split("[eE]", decimal)[0])
    return math.isfinite(number) and (number != 0 or is_zero)


def number_hint(text: str) -> str:
    """What to write in place of a text that `read_number` refuses, as a sentence; empty where nobody can tell."""
    if read_number(text) is not None:
        return ""
    text = text.strip(" ")
    zeros = _LEADING_ZERO.fullmatch(text)
    if zeros:
        sign, digits = zeros["sign"], zeros["rest"]
        octal = "" if re.search("[89]", digits) or len(digits) < 2 else f", or {sign}0o{digits} for an octal number"
        return f"Write {sign}{digits} without leading zeros{octal}"
    if _DECIMAL.fullmatch(text) or _PREFIXED.fullmatch(text):
        return "A number of double precision lies between 5e-324 and 1.8e308, or is 0"
    if _BASE_60.fullmatch(text):
        return "Write one number, without a colon"
    if _OTHER_SEPARATORS.fullmatch(text):
        return "Write a decimal point, and digits without separators"
    return ""
