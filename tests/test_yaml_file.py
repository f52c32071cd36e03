"""YAML as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.errors import ConfigError
from licap.yaml_file import parse_scalar, parse_yaml, read_yaml, write_yaml


def refusal(text: str) -> str:
    """The message with which a text is refused."""
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "a.yaml")
    return str(caught.value)


NUMBERS = {
    "1e-5": 1e-5,
    "1E-2": 1e-2,
    "5e3": 5e3,
    "+1e-5": 1e-5,
    "-2E+4": -2e4,
    ".5e3": 500.0,
    "1.e5": 1e5,
    "1.5e-3": 1.5e-3,
    "1_000e2": 1e5,
    "0.1": 0.1,
    "7": 7,
}


@pytest.mark.parametrize("written", NUMBERS)
def test_every_usual_way_of_writing_a_number_is_one(written: str) -> None:
    document = parse_yaml(f"a: {written}\nb: [{written}, 'x']\nc:\n  - {written}\n", "a.yaml")
    assert document.data == {"a": NUMBERS[written], "b": [NUMBERS[written], "x"], "c": [NUMBERS[written]]}
    assert parse_scalar(written) == NUMBERS[written]
    assert type(parse_scalar(written)) is type(NUMBERS[written])


@pytest.mark.parametrize("written", ["e5", "1e", "1e5x", "'1e-5'", '"5e3"', "e-5", "x1e5", "1e-5-2"])
def test_what_only_looks_like_a_number_stays_text(written: str) -> None:
    assert parse_yaml(f"a: {written}", "a.yaml").data == {"a": written.strip("'\"")}


def test_lines_are_those_of_keys_and_items() -> None:
    document = parse_yaml("# head\na: 1\n\nb:\n  c:\n    - 5\n    - d: 6\n", "a.yaml")
    assert document.where(("a",)) == "a.yaml:2"
    assert document.where(("b", "c")) == "a.yaml:5"
    assert document.where(("b", "c", 1, "d")) == "a.yaml:7"
    assert document.where(("b", "c", 7)) == "a.yaml:5"
    assert document.where(("nowhere",)) == "a.yaml:1"


def test_a_key_written_with_dots_has_its_line() -> None:
    assert parse_yaml("a: 1\nb.c: 2\n", "a.yaml").where(("b", "c")) == "a.yaml:2"


def test_every_key_that_stands_twice_is_told_with_both_lines() -> None:
    message = refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 4\n'a': 5\n")
    assert message.splitlines() == [
        "a.yaml:5: c stands twice, first on line 3. Keep one of the two.",
        "a.yaml:6: a stands twice, first on line 1. Keep one of the two.",
        "a.yaml:7: a stands twice, first on line 1. Keep one of the two.",
    ]


def test_a_key_twice_within_a_list_is_found() -> None:
    assert "a.yaml:3: b stands twice, first on line 2" in refusal("a:\n  - b: 1\n    b: 2\n")


def test_merged_keys_are_there_under_lines_of_their_own() -> None:
    document = parse_yaml(
        "base: &base\n  lr: 1\n  heads: 2\nuse:\n  lr: 3\n  <<: *base\nmore:\n  <<: [*base]\n", "a.yaml"
    )
    assert document.data["use"] == {"lr": 3, "heads": 2}
    assert document.where(("use", "lr")) == "a.yaml:5"
    assert document.where(("use", "heads")) == "a.yaml:3"
    assert document.where(("more", "lr")) == "a.yaml:2"


def test_a_wrong_merge_is_refused_with_its_line() -> None:
    assert "a.yaml:2" in refusal("a:\n  <<: 5\n")


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a\n  <<: *a\n", "&a a: 1\n? *a\n: 2\n"])
def test_aliases_that_go_round_in_circles_are_refused(text: str) -> None:
    assert "a.yaml" in refusal(text)


@pytest.mark.parametrize("shape", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_explode_are_refused(shape: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} " + shape.format(", ".join([f"*a{i - 1}"] * 9)) for i in range(1, 12)]
    assert "too many values" in refusal("\n".join(lines))


def test_tabs_are_refused_with_their_line() -> None:
    assert refusal("a:\n\tb: 1\n").startswith("a.yaml:2: not valid YAML")


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2\n", "a: 'open\n", "a: 1\n b: 2\n", "a: b: c\n", "a: *nowhere", "a: !!python/object:os.x {}", "@a: 1"],
)
def test_broken_yaml_is_refused_with_its_line(text: str) -> None:
    assert refusal(text).startswith("a.yaml:")
    assert "not valid YAML" in refusal(text)


@pytest.mark.parametrize(
    ("text", "kind"), [("- 1\n- 2\n", "list"), ("hello", "str"), ("42", "int"), ("null", "NoneType")]
)
def test_the_top_level_must_be_a_mapping(text: str, kind: str) -> None:
    assert refusal(text) == f"a.yaml:1: the file must hold keys and values (got {kind})."


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert parse_yaml(text, "a.yaml").data == {}


def test_two_documents_in_one_file_are_refused() -> None:
    assert refusal("a: 1\n---\nb: 2\n").startswith("a.yaml:2")


def test_a_key_that_is_no_text_is_refused() -> None:
    assert refusal("? [a, b]\n: 1\n") == "a.yaml:1: a key must be plain text. Write its name."


@pytest.mark.parametrize("text", ["a: " + "[" * 1_500, "a: " + "{b: " * 1_500, "a: " + "[" * 1_200 + "]" * 1_200])
def test_endless_nesting_is_refused(text: str) -> None:
    assert refusal(text) == "a.yaml: lists or mappings stand too deep in each other. Flatten them."
    assert parse_scalar(text) == text


@pytest.mark.parametrize("text", ["a: 2020-13-45", "a: " + "9" * 5000, "a: !!int x"])
def test_values_that_do_not_exist_are_refused(text: str) -> None:
    assert refusal(text).startswith("a.yaml")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00a",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"a: \x00",
        b"a: \x1b[0m",
        "a: ä".encode("latin-1"),
        bytes(range(256)),
    ],
)
def test_a_binary_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.yaml: "):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no such file|cannot be read"):
        read_yaml(tmp_path / name)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_bytes(b"a: 1e-5\nb:\n  c: x\n")
    (tmp_path / "windows.yaml").write_bytes(b"\xef\xbb\xbfa: 1e-5\r\nb:\r\n  c: x")
    plain, windows = (read_yaml(tmp_path / f"{name}.yaml") for name in ("plain", "windows"))
    assert (plain.data, plain.lines) == (windows.data, windows.lines)


@pytest.mark.parametrize("text", ["a: b: c", "[1, 2", "\t- x", "*x", "\x00", "!!python/name:os.system", "'"])
def test_a_word_that_is_no_yaml_stays_text(text: str) -> None:
    assert parse_scalar(text) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_to_the_same_bits_in_any_safe_loader(number: float) -> None:
    text = write_yaml({"a": number, "b": [number]})
    for data in (yaml.safe_load(text), parse_yaml(text, "a.yaml").data):
        assert data["a"].hex() == data["b"][0].hex() == number.hex()


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(
        ["1e5", "5e3", "1E-2", "yes", "null", "~", "0x1", "1:30", "#", "a: b", "- x", "<<", "", " x", "1_0e1"]
    ),
    st.from_regex(r"[-+]?[0-9._]{0,3}[eE]?[-+]?[0-9]{0,2}", fullmatch=True),
    st.text("a \n\r\x85\u2028\u2029\ufeff", max_size=6),
)


@settings(deadline=None)
@given(texts)
def test_text_reads_back_as_the_same_text_in_any_safe_loader(text: str) -> None:
    written = write_yaml({"a": text})
    assert yaml.safe_load(written) == {"a": text}
    assert parse_yaml(written, "a.yaml").data == {"a": text}


def test_keys_keep_their_order() -> None:
    assert write_yaml({"z": 1, "a": {"y": None, "b": True}}) == "z: 1\na:\n  y: null\n  b: true\n"
