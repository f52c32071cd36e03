"""Names that look alike stay different, and whoever looks at the data is warned."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licap.datasets import inspect_dataset, load_raw
from licap.datasets.lookalikes import appearance, look_alikes, told_apart, twins
from licap.errors import DataError

ALIKE = [
    ("Berlin", "Berlin\u00a0", r"'Berlin', 'Berlin\u00a0'"),
    ("Berlin", "Berlin ", "'Berlin', 'Berlin '"),
    ("Berlin", " Berlin", "'Berlin', ' Berlin'"),
    ("New York", "New  York", "'New York', 'New  York'"),
    ("New York", "New\u00a0York", r"'New York', 'New\u00a0York'"),
    ("Ber\u200blin", "Berlin", r"'Ber\u200blin', 'Berlin'"),
    ("\ufeffBerlin", "Berlin", r"'\ufeffBerlin', 'Berlin'"),
    ("Ber\u00adlin", "Berlin", r"'Ber\u00adlin', 'Berlin'"),
    ("\u202dBerlin\u202c", "Berlin", r"'\u202dBerlin\u202c', 'Berlin'"),
    ("Z\u00fcrich", "Zu\u0308rich", r"'Z\u00fcrich', 'Zu\u0308rich'"),
    ("\ufb01sh", "fish", r"'\ufb01sh', 'fish'"),
    ("\uff21BC", "ABC", r"'\uff21BC', 'ABC'"),
    ("\u0410pple", "Apple", r"'\u0410pple', 'Apple'"),
    ("born\u2010in", "born-in", r"'born\u2010in', 'born-in'"),
    ("x\u22121", "x-1", r"'x\u22121', 'x-1'"),
    ("O\u2019Hara", "O'Hara", r"'O\u2019Hara', 'O'Hara'"),
    ("\u2600\ufe0f", "\u2600", r"'☀\ufe0f', '☀'"),
    ("\ud55c", "\u1112\u1161\u11ab", r"'\ud55c', '\u1112\u1161\u11ab'"),
    ("a\x0bb", "a b", r"'a\u000bb', 'a b'"),
]  # fmt: skip
APART = [("Berlin", "berlin"), ("Berlin", "Berlim"), ("Zürich", "Zurich"), ("a-b", "a_b"), ("a b", "ab"), ("1", "l")]


@pytest.mark.parametrize(("first", "second", "words"), ALIKE)
def test_names_that_look_alike_are_found_and_told_apart(first: str, second: str, words: str) -> None:
    assert appearance(first) == appearance(second)
    assert look_alikes(["other", first, "more", second]) == [[1, 3]]
    assert told_apart([first, second]) == words
    assert twins([first], ["x", second]) == {first: second}
    assert twins([second], ["x", first]) == {second: first}


@pytest.mark.parametrize(("first", "second"), APART)
def test_names_that_differ_to_the_eye_are_left_alone(first: str, second: str) -> None:
    assert look_alikes([first, second]) == []
    assert twins([first], [second]) == {}


@given(st.lists(st.text(st.sampled_from("aé \u00a0\u0301\u200beа`'´"), max_size=4), unique=True))
def test_the_groups_are_those_of_equal_appearance(names: list[str]) -> None:
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(appearance(name), []).append(place)
    assert look_alikes(names) == [places for places in groups.values() if len(places) > 1]


@given(st.text())
def test_a_name_looks_like_its_composed_and_decomposed_forms(name: str) -> None:
    assert appearance(unicodedata.normalize("NFC", name)) == appearance(unicodedata.normalize("NFD", name))


def test_inspect_warns_of_nodes_and_relations_with_examples(tsv: Any) -> None:
    tsv.nodes += ["n003\u00a0\t3\t0\t\t", "n004 \t4\t1\t\t", "Zu\u0308rich\t1\t0\t\t", "Z\u00fcrich\t1\t0\t\t"]
    tsv.triples += ["Z\u00fcrich\trel1\u200b\tZu\u0308rich", "n004 \trel1\tn001"]
    config = tsv.write()
    raw = load_raw(config)
    assert raw.graph.num_nodes == 64
    assert "rel1\u200b" in raw.relation_names
    report = inspect_dataset(config)
    assert (
        "warning: 6 nodes look like others and are different nodes; in 1 of these groups a node has no edges, "
        r"which its twin may have: 'n003', 'n003\u00a0'; 'n004', 'n004 '; 'Zu\u0308rich', 'Z\u00fcrich'. "
        "Where one thing is meant, write its name in one way in all files"
    ) in report
    assert r"warning: 2 relations look like others and are different relations: 'rel1', 'rel1\u200b'. " in report


def test_only_a_few_examples_are_shown(tsv: Any) -> None:
    tsv.nodes += [f"n{i:03}\u00a0\t3\t0\t\t" for i in range(20)]
    report = inspect_dataset(tsv.write())
    assert "warning: 40 nodes look like others" in report
    assert r"'n002', 'n002\u00a0'; and 17 more groups. Where" in report


def test_plain_names_raise_no_warning(tsv: Any) -> None:
    tsv.nodes += ["Zürich\t3\t0\t\t", "東京\t3\t0\t\t", "N003\t3\t0\t\t"]
    assert "look like" not in inspect_dataset(tsv.write())


def test_a_triple_whose_node_is_named_in_another_form_is_refused_with_both(tsv: Any) -> None:
    tsv.nodes.append("Z\u00fcrich\t1\t1\t\t")
    tsv.triples += ["Zu\u0308rich\trel1\tn002", "n003\trel1\tn004\u00a0", "n003\trel1\tnobody"]
    with pytest.raises(DataError) as caught:
        load_raw(tsv.write())
    first, second, third = str(caught.value).splitlines()
    assert first.endswith(
        r"is no node of nodes.tsv, though one looks like it: 'Zu\u0308rich', 'Z\u00fcrich'. Write the name in one way."
    )
    assert r"tail 'n004\xa0' is no node of nodes.tsv, though one looks like it: 'n004\u00a0', 'n004'." in second
    assert third.endswith("tail 'nobody' is no node of nodes.tsv. Add it there, or remove the triple.")


def test_a_header_with_an_invisible_character_shows_it(tsv: Any) -> None:
    tsv.node_header = "node\u00a0\timportance \tvalid\tname\tdescription"
    with pytest.raises(DataError, match=r"no column node, importance \(found: 'node\\u00a0', 'importance ', 'valid'"):
        load_raw(tsv.write())


def test_own_features_under_names_in_another_form_are_refused_with_both(tsv: Any) -> None:
    config = tsv.write()
    names = [line.split("\t")[0] for line in tsv.nodes]
    names[5] += "\u200b"
    path = tsv.folder / "own.npz"
    np.savez(path, names=np.array(names), features=np.ones((60, 2), np.float32))
    with pytest.raises(DataError, match=r"look like 1 of them: 'n005', 'n005\\u200b'\. Write them in one way"):
        inspect_dataset(tsv.config(struct_file=str(path)))
    assert config.path == str(tsv.folder)
