"""What a data set is, in 64 characters: sha256 over its canonical arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from licap.graph import KnowledgeGraph


def fingerprint(
    graph: KnowledgeGraph, *, names: Iterable[str], importance: NDArray[np.float32], valid: NDArray[np.bool_]
) -> str:
    """Hash of names in the order of the nodes, edges as stored, raw importance and validity.

    Equal for a graph read from a plain, gzipped, CRLF or BOM file, on any machine.
    """
    digest = hashlib.sha256()
    add_texts(digest, names)
    for ids in (graph.src, graph.dst, graph.rel):
        add_array(digest, ids, "<i8")
    add_array(digest, importance, "<f4")
    add_array(digest, valid, "u1")
    return digest.hexdigest()


def features_fingerprint(features: Mapping[str, NDArray[np.float32]]) -> str:
    """Hash of the features that a data set brings, by name; empty without any."""
    digest = hashlib.sha256()
    for name in sorted(features):
        add_texts(digest, [name])
        add_array(digest, features[name], "<f4")
    return digest.hexdigest() if features else ""


def add_texts(digest: hashlib._Hash, texts: Iterable[str]) -> None:
    """Adds texts so that where one ends and the next begins is part of the hash."""
    parts = [text.encode("utf-8") for text in texts]
    add_array(digest, [len(part) for part in parts], "<i8")
    digest.update(b"".join(parts))


def add_array(digest: hashlib._Hash, values: ArrayLike, dtype: str) -> None:
    """Adds an array with its length, in one type and byte order."""
    array = np.asarray(values, dtype=dtype)
    digest.update(f"{array.shape}{dtype}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
