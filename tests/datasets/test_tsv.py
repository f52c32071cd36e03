"""Raw TSV: verbatim texts, order that does not matter, and every problem with its line."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licap.config import DataConfig
from licap.datasets import load_dataset, load_raw
from licap.datasets.dataset import Dataset
from licap.errors import DataError


def test_lines_in_are_edges_out(tsv: Any) -> None:
    tsv.triples += [tsv.triples[0], "n005\trel1\tn005", tsv.triples[0]]
    raw = load_raw(tsv.write())
    assert raw.graph.num_edges == len(tsv.triples)
    assert (raw.graph.src[-3:].tolist(), raw.graph.dst[-3:].tolist()) == ([0, 5, 0], [1, 5, 1])
    assert raw.relation_names == ("rel0", "rel1", "rel2", "rel3")
    assert raw.graph.rel[:5].tolist() == [0, 1, 2, 3, 0]
    assert raw.importance[:3].tolist() == [0, 3, 6]
    assert raw.titles is not None
    assert raw.titles[7] == "Node_7"


@pytest.mark.parametrize(
    "text",
    ['"', '"a', 'a"b"c', '""', "'", "\\t", "\\", "a,b;c", "#", "NULL", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x85b",
     "a\u2028b", "a\x00b", " a ", "\u00a0", "\ufeffa", "naïve 猫 🐈"],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_every_character_but_tab_and_line_end_is_an_ordinary_one(tsv: Any, text: str, zipped: bool) -> None:
    tsv.nodes[4] = f"{text}\t5\t1\t{text}\t{text}"
    tsv.triples = [line.replace("n004", text) for line in tsv.triples] + [f"{text}\t{text}\tn001"]
    raw = load_raw(tsv.write(zipped=zipped))
    assert len(raw.names) == tsv.size
    assert raw.graph.num_edges == len(tsv.triples)
    assert raw.names[4] == text
    assert raw.titles is not None
    assert raw.descriptions is not None
    assert (raw.titles[4], raw.descriptions[4]) == (text, text)
    assert text in raw.relation_names


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("final_end", [False, True])
def test_bom_line_ends_and_compression_change_nothing(
    tsv: Any, zipped: bool, bom: bool, end: str, final_end: bool
) -> None:
    plain = load_raw(tsv.write())
    for path in tsv.folder.glob("*.tsv"):
        path.unlink()
    other = load_raw(tsv.write(zipped=zipped, bom=bom, end=end, final_end=final_end))
    for name in ("name", "names", "relation_names", "titles", "descriptions", "notes"):
        assert getattr(other, name) == getattr(plain, name)
    for name in ("src", "dst", "rel"):
        np.testing.assert_array_equal(getattr(other.graph, name), getattr(plain.graph, name))
    np.testing.assert_array_equal(other.importance, plain.importance)


def test_the_fingerprint_is_that_of_the_graph_and_not_of_the_file(tsv: Any) -> None:
    plain = load_dataset(tsv.write())
    for path in tsv.folder.glob("*.tsv"):
        path.unlink()
    other = load_dataset(tsv.write(zipped=True, bom=True, end="\r\n", final_end=False))
    assert other.fingerprint == plain.fingerprint
    assert len(plain.fingerprint) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda tsv: tsv.nodes.__setitem__(0, tsv.nodes[0].replace("\t0\t1", "\t1\t1")),
        lambda tsv: tsv.nodes.__setitem__(0, tsv.nodes[0].replace("\t0\t1", "\t0\t0")),
        lambda tsv: tsv.triples.append(tsv.triples[0]),
        lambda tsv: tsv.triples.reverse(),
        lambda tsv: tsv.triples.__setitem__(0, tsv.triples[0].replace("rel0", "rel1")),
    ],
)
def test_another_graph_has_another_fingerprint(tsv: Any, change: Callable[[Any], None]) -> None:
    before = load_dataset(tsv.write()).fingerprint
    change(tsv)
    assert load_dataset(tsv.write()).fingerprint != before


def by_name(dataset: Dataset) -> dict[str, tuple[Any, ...]]:
    degrees = zip(dataset.graph.in_degree.tolist(), dataset.graph.out_degree.tolist(), strict=True)
    (features,) = dataset.features.values()
    return {
        name: (dataset.importance[i], dataset.valid[i], degree, features[i].tobytes())
        for i, (name, degree) in enumerate(zip(dataset.names, degrees, strict=True))
    }


def test_shuffled_lines_leave_each_name_its_label_features_and_degree(tsv: Any, tmp_path: Path) -> None:
    first = load_dataset(tsv.write() and tsv.config(features="concat", cache=str(tmp_path / "a")))
    rng = np.random.default_rng(0)
    rng.shuffle(tsv.nodes)
    rng.shuffle(tsv.triples)
    again = load_dataset(tsv.write() and tsv.config(features="concat", cache=str(tmp_path / "b")))
    assert first.names != again.names
    assert by_name(first) == by_name(again)
    from_cache = load_dataset(tsv.config(features="concat", cache=str(tmp_path / "a")))
    assert by_name(from_cache) == by_name(first)
    assert len(list((tmp_path / "a").glob("*.npy"))) == 2


names = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), nodes=st.lists(names, min_size=1, max_size=8, unique=True))
def test_what_is_written_comes_back(tmp_path: Path, data: st.DataObject, nodes: list[str]) -> None:
    ids = st.integers(0, len(nodes) - 1)
    triples = data.draw(st.lists(st.tuples(ids, names, ids), min_size=1, max_size=12))
    scores = data.draw(
        st.lists(st.floats(0, 2.0**99, width=32, allow_subnormal=False), min_size=len(nodes), max_size=len(nodes))
    )
    valid = data.draw(st.lists(st.booleans(), min_size=len(nodes), max_size=len(nodes)))
    texts = data.draw(st.lists(names | st.just(""), min_size=len(nodes), max_size=len(nodes)))
    rows = [f"{n}\t{s!r}\t{v:d}\t{t}\t{t}" for n, s, v, t in zip(nodes, scores, valid, texts, strict=True)]
    (tmp_path / "nodes.tsv").write_bytes("\n".join(["node\timportance\tvalid\tname\tdescription", *rows]).encode())
    lines = [f"{nodes[h]}\t{r}\t{nodes[t]}" for h, r, t in triples]
    (tmp_path / "triples.tsv").write_bytes("\n".join(["head\trelation\ttail", *lines, ""]).encode())
    raw = load_raw(DataConfig(path=str(tmp_path)))
    assert raw.names == tuple(nodes)
    assert raw.titles == raw.descriptions == tuple(texts)
    assert raw.valid.tolist() == valid
    assert raw.importance.tolist() == [score if ok else 0 for score, ok in zip(scores, valid, strict=True)]
    kinds = [raw.relation_names[rel] for rel in raw.graph.rel]
    assert list(zip(raw.graph.src.tolist(), kinds, raw.graph.dst.tolist(), strict=True)) == triples


def test_columns_are_found_by_name(tsv: Any) -> None:
    expected = load_raw(tsv.write())
    tsv.node_header = "valid\textra\tdescription\timportance\tname\tnode"
    tsv.nodes = ["\t".join([f[2], "x", f[4], f[1], f[3], f[0]]) for f in (line.split("\t") for line in tsv.nodes)]
    tsv.triple_header = "tail\thead\trelation"
    tsv.triples = ["\t".join([f[2], f[0], f[1]]) for f in (line.split("\t") for line in tsv.triples)]
    raw = load_raw(tsv.write())
    assert (raw.names, raw.titles, raw.descriptions) == (expected.names, expected.titles, expected.descriptions)
    np.testing.assert_array_equal(raw.graph.src, expected.graph.src)
    assert raw.notes == ("nodes.tsv: column extra is not used.",)


def test_texts_may_be_absent_and_are_noted(tsv: Any) -> None:
    tsv.node_header = "node\timportance\tvalid"
    tsv.nodes = ["\t".join(line.split("\t")[:3]) for line in tsv.nodes]
    raw = load_raw(tsv.write())
    assert (raw.titles, raw.descriptions) == (None, None)
    assert raw.notes == ("nodes.tsv has no column name.", "nodes.tsv has no column description.")
    with pytest.raises(DataError, match=r"nor texts.*data\.semantic_file"):
        load_dataset(tsv.config(features="semantic"))


def test_the_score_of_an_invalid_node_does_not_matter(tsv: Any) -> None:
    scores = [
        "",
        "nan",
        "-1",
        "inf",
        "7",
        r"\N",
        "NA",
        "n/a",
        "NaN",
        "null",
        "NULL",
        "None",
        "-",
        "?",
        ".",
        " NA ",
        "#N/A",
    ]
    for index, score in enumerate(scores):
        tsv.nodes[index] = f"n{index:03}\t{score}\t0\t\t"
    raw = load_raw(tsv.write())
    assert raw.importance[: len(scores)].tolist() == [0] * len(scores)
    assert not raw.valid[: len(scores)].any()


BAD_NODES = {
    "n001\t1\t1\tName": r"nodes\.tsv:3: 4 columns, must be 5",
    "n001\t1\t1\tName\ttext\t": r"nodes\.tsv:3: 6 columns, must be 5",
    "": r"nodes\.tsv:3: the line is empty",
    "n001\tmany\t1\t\t": r"nodes\.tsv:3: importance is 'many', must be a number",
    "n001\t\t1\t\t": r"nodes\.tsv:3: importance is '', which marks a missing score",
    "n001\t1_000\t1\t\t": r"nodes\.tsv:3: importance is '1_000'",
    "n001\tmany\t0\t\t": r"nodes\.tsv:3: importance is 'many', neither.*\\N, NA or NaN\. Leave the field empty\.",
    "n001\t1,5\t0\t\t": r"nodes\.tsv:3: importance is '1,5', neither a number nor a mark of a missing score",
    "n001\t\\N\t1\t\t": r"nodes\.tsv:3: importance is '\\\\N', which marks a missing score\. Give.*or set valid to 0",
    "n001\t-\t1\t\t": r"nodes\.tsv:3: importance is '-', which marks a missing score",
    "n001\t-1\t1\t\t": r"nodes\.tsv:3: importance is -1, must be a finite number of 0 or more.*set valid to 0",
    "n001\tnan\t1\t\t": r"nodes\.tsv:3: importance is nan, must be a finite",
    "n001\tinf\t1\t\t": r"nodes\.tsv:3: importance is inf, must be a finite",
    "n001\t1e39\t1\t\t": r"nodes\.tsv:3: importance is 1e39, must be a finite",
    "n001\t1\t2\t\t": r"nodes\.tsv:3: valid is '2', must be 0 or 1",
    "n001\t1\ttrue\t\t": r"nodes\.tsv:3: valid is 'true', must be 0 or 1",
    "n005\t1\t1\t\t": r"nodes\.tsv:7: node n005 stands twice, first on line 3",
    "\t1\t1\t\t": r"nodes\.tsv:3: the node has no name",
}


@pytest.mark.parametrize("line", BAD_NODES)
def test_a_wrong_line_of_nodes_is_named(tsv: Any, line: str) -> None:
    tsv.nodes[1] = line
    config = tsv.write()
    with pytest.raises(DataError, match=BAD_NODES[line]):
        load_raw(config)


BAD_TRIPLES = {
    "n001 rel n002": r"triples\.tsv:4: 1 columns, must be 3.*tab",
    "n001\trel\tn002\t": r"triples\.tsv:4: 4 columns, must be 3",
    "": r"triples\.tsv:4: the line is empty",
    "nobody\trel1\tn002": r"triples\.tsv:4: head 'nobody' is no node of nodes\.tsv",
    "n001\trel1\tN002": r"triples\.tsv:4: tail 'N002' is no node",
    "n001\t\tn002": r"triples\.tsv:4: the relation has no name",
}


@pytest.mark.parametrize("line", BAD_TRIPLES)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_wrong_line_of_triples_is_named(tsv: Any, line: str, zipped: bool) -> None:
    tsv.triples[2] = line
    config = tsv.write(zipped=zipped)
    with pytest.raises(DataError, match=BAD_TRIPLES[line].replace(r"\.tsv:4", r"\.tsv(\.gz)?:4")):
        load_raw(config)


def test_all_problems_of_a_file_come_at_once_in_order(tsv: Any) -> None:
    tsv.nodes[8] = "n008\t-1\t3\t\t"
    tsv.nodes[2] = "n001\tx\t1\t\t"
    with pytest.raises(DataError) as caught:
        load_raw(tsv.write())
    places = re.findall(r"nodes\.tsv:(\d+):", str(caught.value))
    assert places == ["4", "4", "10", "10"]


def test_many_problems_are_counted_and_not_all_listed(tsv: Any) -> None:
    tsv.nodes = [line.replace("\t1\t", "\tyes\t") for line in tsv.nodes]
    with pytest.raises(DataError, match=r"nodes\.tsv: 40 more problems") as caught:
        load_raw(tsv.write())
    assert len(str(caught.value).split("\n")) == 21


@pytest.mark.parametrize("header", ["", "n000\t0\t1\tx\ty", "Node\timportance\tvalid", "node importance valid"])
def test_a_missing_header_is_named(tsv: Any, header: str) -> None:
    tsv.node_header = header
    with pytest.raises(DataError, match=r"nodes\.tsv:1: the header has no column node"):
        load_raw(tsv.write())


def test_a_column_that_stands_twice_is_refused(tsv: Any) -> None:
    tsv.node_header = "node\timportance\tvalid\tname\tname"
    with pytest.raises(DataError, match=r"nodes\.tsv:1: .*name twice"):
        load_raw(tsv.write())


@pytest.mark.parametrize("which", ["nodes", "triples"])
def test_a_file_of_only_a_header_is_refused(tsv: Any, which: str) -> None:
    setattr(tsv, which, [])
    with pytest.raises(DataError, match=rf"{which}\.tsv: has a header but no"):
        load_raw(tsv.write())


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tsv: Any, content: bytes) -> None:
    config = tsv.write()
    (tsv.folder / "nodes.tsv").write_bytes(content)
    with pytest.raises(DataError, match=r"nodes\.tsv: is empty"):
        load_raw(config)


@pytest.mark.parametrize("keep", [2, 9, 60, -1, -9])
def test_a_truncated_gzip_file_is_refused(tsv: Any, keep: int) -> None:
    config = tsv.write(zipped=True)
    path = tsv.folder / "nodes.tsv.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"nodes\.tsv\.gz: the gzip data is truncated or damaged"):
        load_raw(config)


def test_a_damaged_gzip_file_is_refused(tsv: Any) -> None:
    config = tsv.write(zipped=True)
    path = tsv.folder / "nodes.tsv.gz"
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"nodes\.tsv\.gz: the gzip data"):
        load_raw(config)


@pytest.mark.parametrize("zipped", [False, True])
def test_text_that_is_not_utf8_is_refused_with_its_line(tsv: Any, zipped: bool) -> None:
    config = tsv.write()
    path = tsv.folder / "nodes.tsv"
    content = path.read_bytes().replace(b"Node_3", "Nöde".encode("latin-1"))
    path.unlink()
    path = path.with_suffix(".tsv.gz") if zipped else path
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataError, match=r"nodes\.tsv(\.gz)?:5: is not UTF-8"):
        load_raw(config)


def test_a_missing_half_is_named(tsv: Any) -> None:
    config = tsv.write()
    (tsv.folder / "triples.tsv").unlink()
    with pytest.raises(DataError, match=r"ring: has no triples\.tsv or triples\.tsv\.gz"):
        load_raw(config)


def test_a_plain_and_a_zipped_file_of_one_name_are_refused(tsv: Any) -> None:
    tsv.write()
    with pytest.raises(DataError, match=r"has both nodes\.tsv and nodes\.tsv\.gz"):
        load_raw(tsv.write(zipped=True))


@pytest.mark.data
def test_the_real_graph_is_the_same_in_both_formats(data_dir: Path) -> None:
    text = load_raw(DataConfig(path=str(data_dir / "fb15k")))
    pickled = load_raw(DataConfig(path=str(data_dir / "fb15k-published-format")))
    for name in ("src", "dst", "rel"):
        np.testing.assert_array_equal(getattr(text.graph, name), getattr(pickled.graph, name))
    assert (text.graph.num_nodes, text.graph.num_relations) == (pickled.graph.num_nodes, pickled.graph.num_relations)
    np.testing.assert_array_equal(text.importance, pickled.importance)
    np.testing.assert_array_equal(text.valid, pickled.valid)
    assert (text.graph.num_nodes, text.graph.num_edges, text.graph.num_relations) == (14_951, 381_186, 1_056)
    assert int(text.valid.sum()) == 14_111


@pytest.mark.data
def test_the_real_folds_are_the_same_in_both_formats(data_dir: Path) -> None:
    from licap.splits import make_split

    text = load_raw(DataConfig(path=str(data_dir / "fb15k")))
    pickled = load_raw(DataConfig(path=str(data_dir / "fb15k-published-format")))
    for fold in range(5):
        ours, theirs = (make_split(raw.valid, fold=fold, seed=0) for raw in (text, pickled))
        for part in ("train", "val", "test"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
