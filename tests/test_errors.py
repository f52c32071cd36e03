"""Errors for people survive the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

import licap.errors
from licap.console import exit_status
from licap.errors import (
    ConfigError,
    DataError,
    DeviceError,
    DivergedError,
    LicapError,
    OutOfMemoryError,
    Problem,
    StoreError,
)

ERRORS = [
    ConfigError("one sentence"),
    ConfigError([Problem("pretrain.lr", "must be above 0"), Problem("", "no key"), "plain text"]),
    ConfigError([]),
    DataError("file.tsv:3: wrong"),
    DeviceError("no such device"),
    StoreError("locked"),
    OutOfMemoryError("wider than the device"),
    DivergedError("pretrain", 12, "loss"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_is_the_same_after_pickling(error: LicapError, protocol: int) -> None:
    found = pickle.loads(pickle.dumps(error, protocol))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)
    assert str(copy.copy(error)) == str(error)


def test_a_config_error_holds_every_problem_under_its_key() -> None:
    error = ConfigError([Problem("seed", "must be a whole number"), "the file is empty"])
    assert str(error) == "seed: must be a whole number\nthe file is empty"
    assert error.problems == (Problem("seed", "must be a whole number"), Problem("", "the file is empty"))


def test_a_diverged_trial_says_where_and_what_to_do() -> None:
    error = DivergedError("downstream", 3, "validation loss")
    assert (error.stage, error.epoch, error.quantity) == ("downstream", 3, "validation loss")
    assert "downstream epoch 3: validation loss is not finite" in str(error)
    assert "downstream.lr" in str(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_command_says_the_error_without_a_traceback_and_ends_with_2(
    error: LicapError, capsys: pytest.CaptureFixture[str]
) -> None:
    with exit_status() as status:
        raise error
    assert status.code == 2
    printed = capsys.readouterr()
    assert str(error) in printed.err and "Traceback" not in printed.err and printed.out == ""


def test_what_is_no_error_for_people_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_status():
        raise ZeroDivisionError


def test_these_are_all_errors_there_are() -> None:
    defined = {each for each in vars(licap.errors).values() if isinstance(each, type) and issubclass(each, Exception)}
    assert {type(error) for error in ERRORS} == defined - {LicapError}
