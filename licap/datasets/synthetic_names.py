"""Readable names and descriptions of the synthetic graph's nodes and relations, unique where they identify.

The combinations of a type's name parts are numbered, and numbers are drawn without replacement: uniqueness needs no
look at other names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from licap.datasets.synthetic_words import (
    CIRCLES,
    CLAUSES,
    EXTRAS,
    PARTS,
    PRAISE,
    RELATIONS,
    NodeType,
    RelationTemplate,
)

# One node in so many has no description, as in real graphs.
_UNDESCRIBED = 33


def relation_templates(count: int) -> tuple[RelationTemplate, ...]:
    """What each of `count` relations joins: the templates in order, again from the first where they run out."""
    return tuple(RELATIONS[number % len(RELATIONS)] for number in range(count))


def relation_names(count: int) -> tuple[str, ...]:
    """As in `person/born_in/city`; a template's second use is `person/born_in_2/city`."""
    names = []
    for number, template in enumerate(relation_templates(count)):
        use = number // len(RELATIONS) + 1
        verb = template.verb if use == 1 else f"{template.verb}_{use}"
        names.append(f"{template.head}/{verb}/{template.tail}")
    return tuple(names)


def node_names(type_of: NDArray[np.int64], types: Sequence[NodeType], rng: np.random.Generator) -> tuple[str, ...]:
    """A unique name for each node. type_of: [N] positions in `types`."""
    names = np.empty(type_of.size, dtype=object)
    for number, node_type in enumerate(types):
        members = np.flatnonzero(type_of == number)
        names[members] = _names_of_type(node_type, members.size, rng)
    return tuple(names.tolist())


def _names_of_type(node_type: NodeType, count: int, rng: np.random.Generator) -> list[str]:
    """`count` different names; where the combinations run out, a number in brackets follows."""
    parts = re.findall(r"{(\w+)}", node_type.pattern)
    sizes = [len(PARTS[part]) for part in parts]
    capacity = math.prod(sizes)
    rounds = np.arange(count) // capacity
    sizes_of_rounds = [min(capacity, count - done) for done in range(0, count, capacity)]
    drawn = [rng.choice(capacity, size=size, replace=False) for size in sizes_of_rounds]
    digits = np.unravel_index(np.concatenate(drawn), sizes)
    words = [[PARTS[part][digit] for digit in column.tolist()] for part, column in zip(parts, digits, strict=True)]
    layout = re.sub(r"{\w+}", "{}", node_type.pattern)
    names = [layout.format(*row) for row in zip(*words, strict=True)]
    return [name if again == 0 else f"{name} ({again + 1})" for name, again in zip(names, rounds.tolist(), strict=True)]


def node_descriptions(
    type_of: NDArray[np.int64],
    types: Sequence[NodeType],
    circle: NDArray[np.int64],
    praise: NDArray[np.int64],
    clause: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """One sentence per node, as in `legendary baltic composer, honoured with a national medal`; some are empty.

    type_of, circle: [N]. praise, clause: [N] levels of fame that the words before and after the noun show; -1 stands
    for no description in both.
    """
    choice = rng.integers(2**31, size=(4, type_of.size))
    columns = [
        _pick([node_type.nouns for node_type in types], type_of, choice[0]),
        _pick(PRAISE, np.maximum(praise, 0), choice[1]),
        _pick(CLAUSES, np.maximum(clause, 0), choice[2]),
        _pick([EXTRAS], np.zeros_like(type_of), choice[3]),
        [CIRCLES[number] for number in circle.tolist()],
    ]
    return tuple(
        f"{word} {region} {noun} {extra}, {ending}" if level >= 0 else ""
        for level, noun, word, ending, extra, region in zip(praise.tolist(), *columns, strict=True)
    )


def _pick(lists: Sequence[Sequence[str]], which: NDArray[np.int64], choice: NDArray[np.int64]) -> list[str]:
    """For each node a word of its list, by a large random number."""
    return [lists[row][number % len(lists[row])] for row, number in zip(which.tolist(), choice.tolist(), strict=True)]


def fame_levels(fame: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Levels of the words before and after the noun for nodes of such fame (about standard normal), -1 for none."""
    highest = len(PRAISE) - 1
    spread = rng.normal(scale=0.5, size=(2, fame.size))
    levels = np.clip(np.rint(highest / 2 + fame + spread), 0, highest).astype(np.int64)
    levels[:, rng.integers(_UNDESCRIBED, size=fame.size) == 0] = -1
    return levels[0], levels[1]
