"""Names that look alike and are not equal: a trailing blank, an invisible character, a composed or decomposed letter.

They stay different nodes and relations, for nothing may be read into a name. But one thing under two names is the usual
reason, and then its edges, its label and its features belong to nodes that know nothing of each other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from licap.datasets.raw import RawGraph
from licap.invisible import escaped, invisible_in

_EXAMPLES, _MOST_NAMES = 3, 5
# Cyrillic and Greek letters that are drawn as Latin ones (a part of Unicode's confusables, UTS #39), each above it.
_LETTERS = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϳ",
    "ABESIJKMHOPCTYXaesijopcyxdqwhABEZHIKMNOPTYXoj",
)
# Of apostrophes, dashes (the minus sign among them) and variation selectors, which choose between pictures of one sign.
_SIGNS = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u02b9\u2032\u0060\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-"),
    **dict.fromkeys(range(0xFE00, 0xFE10), ""),
}


def appearance(name: str) -> str:
    """What a name looks like: equal for names that a reader can hardly tell apart.

    Without invisible characters, with blanks put together and cut off at the ends, letters composed and in their common
    form (Unicode's NFKC, UAX #15), one kind of dash and apostrophe, and Latin letters for what is drawn like them.
    """
    if _is_plain(name):
        return name
    # Signs first: NFKC makes a blank and an accent of some.
    text = unicodedata.normalize("NFKC", name.translate(_SIGNS)).translate(_LETTERS)
    return " ".join(_without_invisible(text).split())


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and "  " not in name and name.strip() == name and "`" not in name


def _without_invisible(text: str) -> str:
    """Spaces stay, of whatever kind."""
    hidden = "".join(each for each in invisible_in(text) if not each.isspace())
    return text.translate(dict.fromkeys(map(ord, hidden))) if hidden else text


def look_alikes(names: Sequence[str]) -> list[list[int]]:
    """Places of names that look alike, in groups of two or more, in the order of their first; equal names once each."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if not _is_plain(name):
            groups.setdefault(appearance(name), []).append(place)
    # Most names are plain and look like themselves alone, so they are only looked up.
    for place, name in enumerate(names) if groups else ():
        if _is_plain(name) and name in groups:
            groups[name].append(place)
    return sorted(sorted(places) for places in groups.values() if len(places) > 1)


def twins(strange: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """For names that are not among `names`, the first one there that looks alike, where there is one."""
    wanted = {name: appearance(name) for name in strange}
    looks = set(wanted.values())
    known: dict[str, str] = {}
    for name in names if looks else ():
        look = appearance(name)
        if look in looks:
            known.setdefault(look, name)
    return {name: known[look] for name, look in wanted.items() if look in known}


def told_apart(names: Sequence[str]) -> str:
    r"""Names in quotes, with escapes for what tells them apart: `'Berlin', 'Berlin\u00a0'`."""
    common = set.intersection(*map(set, names))
    return ", ".join(f"'{_with_escapes(name, common)}'" for name in names)


def _with_escapes(name: str, common: Iterable[str]) -> str:
    return "".join(
        escaped(each) if invisible_in(each) or each.isascii() or each in common else f"\\u{ord(each):04x}"
        for each in name
    )


def look_alike_warnings(raw: RawGraph, isolated: NDArray[np.bool_]) -> Iterator[str]:
    """A warning each for nodes and relations that look alike, with examples. isolated: [N] nodes without an edge."""
    groups = look_alikes(raw.names)
    if groups:
        alone = sum(any(isolated[place] for place in places) for places in groups)
        where = f"; in {alone:,} of these groups a node has no edges, which its twin may have" if alone else ""
        yield f"{_size(groups)} nodes look like others and are different nodes{where}: {_examples(raw.names, groups)}"
    groups = look_alikes(raw.relation_names)
    if groups:
        examples = _examples(raw.relation_names, groups)
        yield f"{_size(groups)} relations look like others and are different relations: {examples}"


def _size(groups: Sequence[Sequence[int]]) -> str:
    return f"{sum(map(len, groups)):,}"


def _examples(names: Sequence[str], groups: Sequence[Sequence[int]]) -> str:
    shown = "; ".join(told_apart([names[place] for place in places[:_MOST_NAMES]]) for places in groups[:_EXAMPLES])
    more = f"; and {len(groups) - _EXAMPLES:,} more groups" if len(groups) > _EXAMPLES else ""
    return f"{shown}{more}. Where one thing is meant, write its name in one way in all files"
