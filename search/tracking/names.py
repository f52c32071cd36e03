"""The one rule by which our names and values become what MLflow allows.

Tables, files and reports keep the usual names (`NDCG@20`); only MLflow's stores see the mapped ones. No mlflow here.
"""

from __future__ import annotations

import hashlib
import re

from licap.fields import Scalar

# MLflow's limits: a name, the value of a parameter, the value of a tag (the smallest among stores and versions).
MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, 5000

_WORDS = {"@": "_at_", "+": "_and_", "%": "_percent_"}
_FOREIGN = re.compile(r"[^a-z0-9_.\-]")
_LEADING_DOTS = re.compile(r"^\.+")


def mlflow_name(name: str) -> str:
    """A metric, parameter or tag name as every MLflow store takes it.

    The rule: lower case (some databases ignore case); `@` → `_at_`, `+` → `_and_`, `%` → `_percent_`; any other
    character than a-z, 0-9, `_`, `.` and `-` → `_`, and so do dots at the front, since a name may become a path;
    an empty name → `_`. A name longer than 250 characters is cut and ends in a hash of the whole.
    `NDCG@20` → `ndcg_at_20`, `val.ndcg@20` → `val.ndcg_at_20`, `features+embeddings` → `features_and_embeddings`.
    Applied twice it changes nothing more.
    """
    text = name.lower()
    for sign, word in _WORDS.items():
        text = text.replace(sign, word)
    text = _FOREIGN.sub("_", text)
    text = _LEADING_DOTS.sub(lambda dots: "_" * len(dots.group()), text) or "_"
    if len(text) <= MAX_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: MAX_NAME - len(digest) - 1]}_{digest}"


def param_text(value: Scalar) -> str:
    """A parameter's value, spelt as in our YAML (`null`, `true`, floats with all digits), cut to MLflow's limit."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return clipped(str(value), MAX_PARAM)


def tag_text(value: object) -> str:
    """A tag's value as text, cut to MLflow's limit."""
    return clipped(str(value), MAX_TAG)


def clipped(text: str, limit: int) -> str:
    """Text that a store can hold: valid UTF-8 without NUL, at most `limit` characters, `…` where it was cut."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
    return text if len(text) <= limit else text[: limit - 1] + "…"
