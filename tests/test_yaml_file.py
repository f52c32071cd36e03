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


PLAIN = [
    *("7", "010", "0o10", "0x10", "1_000", "1e-5", "5e3", ".5", "5.", "+1", ".inf", ".nan", "1e999", "9" * 5000),
    *("1:30", "190:20:30.15", "2024-01-01", "2020-13-45", "2001-12-14t21:59:43.10-05:00", "12e", "1e5x", "0b1"),
    *("yes", "no", "on", "OFF", "y", "NO", "=", "none", "tRUE", "nULL", "~x", "a  b", "0.1.2", "-"),
]


@pytest.mark.parametrize("written", PLAIN[:-1])
def test_a_plain_text_is_the_text_that_stands_there(written: str) -> None:
    document = parse_yaml(f"a: {written}\nb: [{written}, 'x']\nc:\n  - {written}\n{written[:9]}: 1\n", "a.yaml")
    assert document.data == {"a": written, "b": [written, "x"], "c": [written], written[:9]: "1"}


@pytest.mark.parametrize("written", PLAIN)
def test_a_word_of_the_command_line_is_the_text_that_stands_there(written: str) -> None:
    assert parse_scalar(written) == parse_scalar(f" {written} ") == written


WORDS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "~": None,
}


@pytest.mark.parametrize("written", WORDS)
def test_true_false_and_null_are_themselves(written: str) -> None:
    assert parse_yaml(f"a: {written}\nb: ['{written}', {written}]\n", "a.yaml").data == {
        "a": WORDS[written],
        "b": [written, WORDS[written]],
    }
    assert parse_scalar(written) is WORDS[written]
    assert parse_scalar(f'"{written}"') == written


def test_a_key_without_a_value_holds_nothing() -> None:
    assert parse_yaml("a:\nb: ''\n", "a.yaml").data == {"a": None, "b": ""}
    assert (parse_scalar(""), parse_scalar(" "), parse_scalar("''")) == (None, None, "")


@pytest.mark.parametrize(
    "word", ["a #b", "#1", "&a", "*b", "!x", "|", ">", "- a", "?", "@x", "a: b", "a\\nb", "'a': b"]
)
def test_marks_of_yaml_are_ordinary_characters_of_a_word(word: str) -> None:
    assert parse_scalar(word) == word


def test_lists_and_mappings_of_a_word_are_read_as_in_a_file() -> None:
    assert parse_scalar("[a, '1', 1e-3, null]") == ["a", "1", "1e-3", None]
    assert parse_scalar(" {name: asha, when: {a: [b]}} ") == {"name": "asha", "when": {"a": ["b"]}}


@pytest.mark.parametrize("word", ["{a: 1, a: 2}", "[!!int 1]", "[1] x", "[1", "['a]", "[a]: b"])
def test_a_list_or_mapping_that_cannot_be_read_stays_text(word: str) -> None:
    assert parse_scalar(word) == word


@pytest.mark.parametrize(
    "tagged",
    ["!!int 010", "!!int x", "!!float 1", "!!timestamp 2024-01-01", "!!bool maybe", "!!null x", "!!binary aGk="],
)
def test_a_tag_that_gives_a_text_another_meaning_is_refused(tagged: str) -> None:
    tag = tagged.split()[0]
    assert refusal(f"a: 1\nb:\n  c: {tagged}\n") == f"a.yaml:3: b.c: the tag {tag} has no meaning here. Leave it out."


@pytest.mark.parametrize("tagged", ["!!set {a, b}", "!!omap [a: 1]", "!!python/object:os.x {}", "!!python/tuple [1]"])
def test_a_tag_that_builds_something_else_is_refused(tagged: str) -> None:
    assert refusal(f"a: {tagged}").startswith(f"a.yaml:1: a: the tag {tagged.split()[0]} has no meaning here")


def test_a_tag_that_says_what_is_so_anyway_changes_nothing() -> None:
    assert parse_yaml("a: !!str 010\nb: ! 5\nc: !!map {d: !!seq [!!bool true]}\n", "a.yaml").data == {
        "a": "010",
        "b": "5",
        "c": {"d": [True]},
    }


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("a: 1\nb: 5\u00a0\n", "a.yaml:2: b: holds NO-BREAK SPACE (U+00A0)"),
        ("a: 1\nb: x\u200by\n", "a.yaml:2: b: holds ZERO WIDTH SPACE (U+200B)"),
        ("a: 1\ntri\u200bals: 5\n", "a.yaml:2: tri\\u200bals: holds ZERO WIDTH SPACE (U+200B)"),
        ("a: 1\n\ufeffb: 5\n", "a.yaml:2: \\ufeffb: holds ZERO WIDTH NO-BREAK SPACE (U+FEFF)"),
        ("trials:\u00a05\n", "a.yaml:1: holds NO-BREAK SPACE (U+00A0)"),
        ("a:\n  - 1\n  - 2\u3000\n", "a.yaml:3: a.1: holds IDEOGRAPHIC SPACE (U+3000)"),
        ("a: 1 # c\nb: 2 # d\u2028e: 3\n", "a.yaml:2: holds LINE SEPARATOR (U+2028)"),
        ("a: 'b\x85c'\n", "a.yaml:1: holds NEXT LINE (U+0085)"),
    ],
)
def test_characters_that_cannot_be_seen_are_refused_by_name(text: str, begins: str) -> None:
    assert refusal(text).startswith(begins)


def test_characters_that_cannot_be_seen_may_stand_in_quotes_and_comments() -> None:
    text = "# \u00a0\na: 'x\u00a0' # \u200b\nb: \"\u200b\"\nc: x\n\n  y\n"
    assert parse_yaml(text, "a.yaml").data == {"a": "x\u00a0", "b": "\u200b", "c": "x\ny"}


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
    assert document.data["use"] == {"lr": "3", "heads": "2"}
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


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a: 1\nb: 5\t\n", "a: 1\nb:\t5\n"])
def test_tabs_are_refused_with_their_line(text: str) -> None:
    assert refusal(text) == "a.yaml:2: not valid YAML: a tab stands where only spaces may. Replace it by spaces."


def test_control_characters_are_refused_with_their_line() -> None:
    assert refusal("a: 1\nb: \x1b[0m\n") == "a.yaml:2: not valid YAML: holds CONTROL (U+001B). Remove it."


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2\n", "a: 'open\n", "a: 1\n b: 2\n", "a: b: c\n", "a: *nowhere", "@a: 1"],
)
def test_broken_yaml_is_refused_with_its_line(text: str) -> None:
    assert refusal(text).startswith("a.yaml:")
    assert "not valid YAML" in refusal(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("- 1\n- 2\n", "a list"), ("hello", "a single value"), ("42", "a single value"), ("null", "nothing")],
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
    assert parse_scalar(text) == text.strip()


@pytest.mark.parametrize("escape", [r"\U00110000", r"\UFFFFFFFF"])
def test_an_escape_that_stands_for_no_character_is_refused(escape: str) -> None:
    assert refusal(f'a: "{escape}"').startswith("a.yaml: a \\U escape stands for no character")


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
    with pytest.raises(ConfigError, match=r"a\.yaml:"):
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
        assert float(data["a"]).hex() == float(data["b"][0]).hex() == number.hex()


@given(st.integers())
def test_a_whole_number_reads_back_in_any_safe_loader(number: int) -> None:
    text = write_yaml({"a": number})
    assert yaml.safe_load(text) == {"a": number}
    assert parse_yaml(text, "a.yaml").data == {"a": str(number)}


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(
        [*PLAIN, *WORDS, "#", "a: b", "- x", "<<", "", " x", "1_0e1", "08", "007", "0o7", "\u00a0", "a\u200b"]
    ),
    st.from_regex(r"[-+]?[0-9._:]{0,3}[xobeE]?[-+]?[0-9]{0,2}", fullmatch=True),
    st.text("a \n\r\x85\u2028\u2029\ufeff\u00a0", max_size=6),
)


@settings(deadline=None)
@given(texts)
def test_text_reads_back_as_the_same_text_in_any_safe_loader(text: str) -> None:
    written = write_yaml({"a": text, "b": [text]})
    for data in (yaml.safe_load(written), parse_yaml(written, "a.yaml").data):
        assert data == {"a": text, "b": [text]}


@pytest.mark.parametrize("text", ["08", "0o10", "1e3", "1_0", "5.", "y", "N", "no", "2024-01-01", "1:30", ".5e3"])
def test_text_that_a_reader_of_any_version_might_take_for_something_else_is_quoted(text: str) -> None:
    assert write_yaml({"a": text}) == f"a: '{text}'\n"


@given(st.none() | st.booleans())
def test_truth_values_and_null_read_back(value: bool | None) -> None:
    assert (
        parse_yaml(write_yaml({"a": value}), "a.yaml").data == yaml.safe_load(write_yaml({"a": value})) == {"a": value}
    )


def test_keys_keep_their_order() -> None:
    assert write_yaml({"z": 1, "a": {"d": None, "b": True}}) == "z: 1\na:\n  d: null\n  b: true\n"
