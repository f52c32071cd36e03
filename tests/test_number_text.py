"""Numbers as people write them, and what is ambiguous."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.config import config_from, load_config
from licap.errors import ConfigError
from licap.number_text import number_hint, read_number

NUMBERS = {
    "7": 7,
    "+1": 1,
    "-0": 0,
    "0": 0,
    "0.0": 0,
    "0e5": 0,
    "1e-5": Decimal("1e-5"),
    "1E-2": Decimal("0.01"),
    "5e3": 5000,
    "+1e-5": Decimal("1e-5"),
    "-2E+4": -20000,
    ".5e3": 500,
    ".5": Decimal("0.5"),
    "5.": 5,
    "1.e5": 100000,
    "1.5e-3": Decimal("0.0015"),
    "00.5": Decimal("0.5"),
    "1_000": 1000,
    "1_000e2": 100000,
    "1_0.0_5": Decimal("10.05"),
    "0x1F": 31,
    "-0x10": -16,
    "0o17": 15,
    "0b101": 5,
    "12345678901234567891": 12345678901234567891,
    " 5 ": 5,
    "5e-324": Decimal("5e-324"),
    "1.7e308": Decimal("1.7e308"),
}
NO_NUMBERS = {
    "010": "Write 10 without leading zeros, or 0o10 for an octal number",
    "-0777": "Write -777 without leading zeros, or -0o777 for an octal number",
    "+00120": "Write +120 without leading zeros, or +0o120 for an octal number",
    "08": "Write 8 without leading zeros",
    "0190": "Write 190 without leading zeros",
    "007": "Write 7 without leading zeros",
    "00": "Write 0 without leading zeros",
    "1:30": "Write one number, without a colon",
    "190:20:30.15": "Write one number, without a colon",
    "1,5": "Write a decimal point, and digits without separators",
    "1,000,000": "Write a decimal point, and digits without separators",
    "1 000": "Write a decimal point, and digits without separators",
    "1.000.000": "Write a decimal point, and digits without separators",
    "1e999": "A number of double precision lies between 5e-324 and 1.8e308, or is 0",
    "-1e-999": "A number of double precision lies between 5e-324 and 1.8e308, or is 0",
    "9" * 5000: "A number of double precision lies between 5e-324 and 1.8e308, or is 0",
    "0x" + "f" * 300: "A number of double precision lies between 5e-324 and 1.8e308, or is 0",
    **dict.fromkeys(
        ["", "e5", "1e", "12e", "1e5x", "e-5", "1e-5-2", "--1", "1__0", "_1", "1_", "1_e5", ".", "+", "-."], ""
    ),
    **dict.fromkeys(
        [".inf", "inf", "-Infinity", ".nan", "nan", "0x", "0o9", "0b2", "1.5.2e3", "2024-01-01", "1/2"], ""
    ),
    **dict.fromkeys(["10%", "1e3.5", "5\u00a0", "\u0661", "\u00bd", "\uff15", "1\u2212", "true", "0x1p3", "1 e3"], ""),
}


@pytest.mark.parametrize("text", NUMBERS)
def test_every_usual_way_of_writing_a_number_is_one(text: str) -> None:
    assert read_number(text) == NUMBERS[text]


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: text[:20])
def test_what_is_ambiguous_or_only_looks_like_a_number_is_none(text: str) -> None:
    assert read_number(text) is None
    assert number_hint(text) == NO_NUMBERS[text]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_as_python_writes_it_keeps_its_bits(number: float) -> None:
    for text in (repr(number), f"{number:.17e}"):
        found = read_number(text)
        assert found is not None
        assert float(found) == number


def written(folder: Path, text: str) -> Path:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return folder / "a.yaml"


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000), ("5.0", 5), ("0x10", 16), ("4294967295", 2**32 - 1)])
def test_a_whole_number_may_be_written_in_any_way(tmp_path: Path, text: str, value: int) -> None:
    for config in (
        load_config(written(tmp_path, f"seed: {text}\n")),
        load_config(written(tmp_path, f"seed: '{text}'\n")),
        load_config(written(tmp_path, ""), [f"seed={text}"]),
    ):
        assert config.seed == value
        assert type(config.seed) is int


@pytest.mark.parametrize("text", ["010", "0010", "1:30", "1,5", "1.5", "5.0000000000000000001", "1e-999", "yes"])
def test_an_ambiguous_whole_number_is_refused_in_files_and_on_the_command_line(tmp_path: Path, text: str) -> None:
    shown = text if number_hint(text) or read_number(text) else repr(text)
    hint = f". {number_hint(text)}" if number_hint(text) else ""
    rule = f"seed: must be a whole number at least 0 and at most 4294967295 (got {shown}){hint}."
    path = written(tmp_path, f"fold: 1\nseed: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}:2: {rule}"
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, ""), [f"seed={text}"])
    assert str(caught.value) == f"--set: {rule}"


@pytest.mark.parametrize(
    "text", ["2024", "1e3", "007", "010", "0x1F", "1:30", "2024-01-01", "no", "NO", "on", "y", "1_0", ".5"]
)
def test_text_keeps_the_characters_that_were_written(tmp_path: Path, text: str) -> None:
    for config in (
        load_config(written(tmp_path, f"data.path: {text}\n")),
        load_config(written(tmp_path, ""), [f"data.path={text}"]),
    ):
        assert config.data.path == text
        assert load_config(written(tmp_path, config.to_yaml())) == config


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("On", True), ("TRUE", True), ("no", False), ("'off'", False)]
)
def test_a_flag_may_be_written_as_in_older_yaml(tmp_path: Path, text: str, value: bool) -> None:
    key = "downstream.geni.residual"
    assert load_config(written(tmp_path, f"{key}: {text}\n")).downstream.geni.residual is value
    assert load_config(written(tmp_path, ""), [f"{key}={text}"]).downstream.geni.residual is value


@settings(deadline=None, max_examples=50)
@given(path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_path_reads_back_from_a_config(path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = config_from({"data.path": f"/{path}"})
    assert load_config(written(tmp_path_factory.getbasetemp(), config.to_yaml())) == config


@pytest.mark.parametrize("text", ["true", "False"])
def test_a_truth_value_is_no_text_and_the_message_says_what_to_write(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"data\.path: must be a path or null \(got {text.lower()}\)\. Put it in quotes"
    ):
        load_config(written(tmp_path, f"data.path: {text}\n"))
