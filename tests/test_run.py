"""What `search/run.py` makes of an ended search: its exit code, and the options that are spellings of `--set`."""

from __future__ import annotations

import re

import pytest

from licap.errors import ConfigError
from search.run import build_parser, exit_code, overrides
from search.study import TrialRecord


def ended(*states: tuple[str, str | None]) -> list[TrialRecord]:
    """Trials in these states, with these classes of failure."""
    return [
        TrialRecord(number=n, values={}, starting_point=False, state=state, failure=kind, message=f"because of {kind}")
        for n, (state, kind) in enumerate(states)
    ]


FAILED = [("failed", "diverged"), ("failed", "data")]


def test_a_search_of_which_something_came_ends_well() -> None:
    assert exit_code(ended(("complete", None), *FAILED)) == 0
    assert exit_code(ended(("pruned", None))) == 0
    assert exit_code([]) == 0


def test_a_search_of_which_every_trial_failed_tells_each_reason_once() -> None:
    with pytest.raises(ConfigError) as caught:
        exit_code(ended(*FAILED, *FAILED, ("interrupted", "interrupted")))
    assert str(caught.value).splitlines() == [
        "every trial failed. because of diverged",
        "every trial failed. because of data",
    ]


def test_workers_that_all_died_are_no_fault_of_the_user() -> None:
    assert exit_code(ended(("failed", "crashed"), ("failed", "crashed"))) == 1


def words(*given: str) -> list[str]:
    """The overrides of a command line."""
    return overrides(build_parser().parse_args(["--space", "a.yaml", *given]))


def test_options_are_spellings_of_set() -> None:
    given = words("--set", "pretrain.lr=1e-3", "--trials", "5", "--time-budget", "2h", "--study", "mine")
    assert given == ["pretrain.lr=1e-3", "trials=5", "time_budget=2h"]
    assert words("--set", "trials=5", "--trials", "5") == ["trials=5", "trials=5"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--trials", "2", "--set", "trials=3"], "--set trials=3 and --trials 2: two values for trials"),
        (["--set", "trials=3", "--set", "trials = 4"], "--set trials=3 and --set trials = 4: two values for trials"),
        (["--time-budget", "2h", "--set", "time_budget=1h"], "--set time_budget=1h and --time-budget 2h: two values"),
        (["--study", "a", "--set", "name=b"], "--set name=b and --study a: two values for name"),
    ],
)
def test_two_values_for_one_setting_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        words(*given)
