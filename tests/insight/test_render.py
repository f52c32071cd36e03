"""The leaderboard for eyes and for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from licap.config import TrialConfig
from licap.fields import specs_of
from search.insight import leaderboard, outcome_json, outcome_text, render_csv, render_text
from search.insight.render import short_names, trials_text
from search.space import SearchSpace
from search.study import TrialRecord

Make = Callable[..., TrialRecord]


@pytest.fixture
def trials(trial: Make) -> list[TrialRecord]:
    return [
        trial(0, 0.5, "complete", None, "k is capped at 12"),
        trial(1, 0.6),
        trial(2, math.nan, "failed", "diverged"),
        trial(3, 0.55, "pruned"),
    ]


def test_the_text_shows_usual_names_values_and_remarks(space: SearchSpace, trials: list[TrialRecord]) -> None:
    lines = render_text(leaderboard(trials, space)).splitlines()
    heads = "rank trial state Spearman budget seconds RMSE NDCG@100 Overlap@100"
    assert " ".join(lines[0].split()) == f"{heads} imp_ratio pretrain.lr downstream.lr bins.kind bins.count"
    assert " ".join(lines[1].split()) == "1 1 complete 0.6000 160 1.2 0.4000 - - 0.101 0.0003333 0.01 length -"
    assert lines[2].split()[:4] == ["2", "0", "complete", "0.5000*"]
    assert lines[4].split()[:5] == ["-", "2", "failed", "(diverged)", "-"]
    assert lines[5:] == ["* trial 0: k is capped at 12", "trial 2 failed (diverged): [Errno 28] not finite."]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 400])
def test_a_width_is_kept_and_what_is_missing_is_named(
    space: SearchSpace, trials: list[TrialRecord], width: int
) -> None:
    board = leaderboard(trials, space)
    text = render_text(board, width)
    assert all(len(line) <= width for line in text.splitlines()[:5])
    assert ("not shown for lack of width" in text) == (width < 150)


def test_no_trials_are_said_in_words(space: SearchSpace) -> None:
    assert render_text(leaderboard([], space)) == "no trials"


def test_csv_holds_full_names_and_full_precision(space: SearchSpace, trials: list[TrialRecord]) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(leaderboard(trials, space)))))
    assert [row["trial"] for row in rows] == ["1", "0", "3", "2"]
    assert float(rows[0]["pretrain.lr"]) == 1 / 3000 and float(rows[0]["val.spearman"]) == 0.6
    assert rows[0]["pretrain.bins.count"] == "" and rows[3]["val.spearman"] == ""
    assert rows[3]["message"] == "[Errno 28] not finite.\nsecond line"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("pretrain.imp_ratio", "imp_ratio"),
        ("downstream.input", "input"),
        ("pretrain.lr", "pretrain.lr"),
        ("pretrain.beta.p", "beta.p"),
        ("pretrain.bins.kind", "bins.kind"),
        ("downstream.geni.heads", "geni.heads"),
        ("seed", "seed"),
    ],
)
def test_a_short_name_says_which_key_is_meant(name: str, short: str) -> None:
    assert short_names([name]) == [short]


def test_short_names_are_never_the_same() -> None:
    names = [*specs_of(TrialConfig), "a.bins.count", "b.bins.count"]
    assert len(set(short_names(names))) == len(names)
    assert short_names([]) == []


def test_a_note_is_said_once_and_marks_nothing_where_all_trials_have_it(space: SearchSpace, trial: Make) -> None:
    capped, own = "k is capped at 12", "labels tie"
    notes = {0: (capped,), 1: (capped, own), 2: (capped,), 3: (own, capped, own), 4: (capped,), 5: (capped, own)}
    board = leaderboard([trial(n, 0.5 - n / 100, "complete", None, *each) for n, each in notes.items()], space)
    lines = render_text(board).splitlines()
    assert lines[7:] == [f"all trials: {capped}", f"* trials 1, 3, 5: {own}"]
    assert [line.split()[1] for line in lines[1:7] if "*" in line] == ["1", "3", "5"]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([4], "trial 4"),
        ([4, 3], "trials 3, 4"),
        ([9, 1, 5, 3, 4, 6], "trials 1, 3-6, 9"),
        ([2, 0, 1], "trials 0-2"),
    ],
)
def test_trial_numbers_are_shortened_to_ranges(numbers: list[int], text: str) -> None:
    assert trials_text(numbers) == text


def words(
    show: Callable[..., str], trials: list[TrialRecord], space: SearchSpace, root: str, stop_reason: str | None = None
) -> str:
    uri = f"sqlite:///{Path(root).absolute() / 'mlflow.db'}"
    return show(trials, space, study="small-2", root=Path(root), tracking_uri=uri, stop_reason=stop_reason)


def test_the_end_of_a_search_names_the_two_next_commands(space: SearchSpace, trials: list[TrialRecord]) -> None:
    text = words(outcome_text, trials, space, "mlruns")
    assert "study small-2: 4 trials: 2 complete, 1 pruned, 1 failed" in text
    assert "best: trial 1, validation Spearman 0.6000" in text
    assert f"{Path('mlruns/studies/small-2')} (plots/*.png, leaderboard.csv)" in text
    assert f"mlflow ui --backend-store-uri sqlite:///{Path.cwd()}/mlruns/mlflow.db" in text
    assert text.endswith(f"/search/export.py small-2 --root {Path.cwd()}/mlruns")
    assert words(outcome_text, trials, space, "my runs").endswith(f"export.py small-2 --root '{Path.cwd()}/my runs'")


def test_a_search_that_was_stopped_says_how_to_go_on(space: SearchSpace, trials: list[TrialRecord]) -> None:
    text = words(outcome_text, trials, space, "mlruns", "interrupted")
    assert "\nstopped before its end: interrupted\n" in text
    assert f"/search/run.py --resume --study small-2 --root {Path.cwd()}/mlruns\n" in text
    shown = outcome_text(
        trials, space, study="small-2", root=Path("mlruns"), tracking_uri="http://me:secret@host:1", stop_reason="x"
    )
    assert "--tracking-uri 'http://me:***@host:1'" in shown and "secret" not in shown


def test_a_search_without_a_complete_trial_offers_no_export(space: SearchSpace, trials: list[TrialRecord]) -> None:
    text = words(outcome_text, trials[2:], space, "mlruns")
    assert "best: none" in text and "export.py" not in text
    assert json.loads(words(outcome_json, trials[2:], space, "mlruns"))["best"] is None


def test_json_holds_every_trial_in_full_precision(space: SearchSpace, trials: list[TrialRecord]) -> None:
    outcome = json.loads(words(outcome_json, trials, space, "mlruns"), parse_constant=pytest.fail)
    assert [row["trial"] for row in outcome["trials"]] == [1, 0, 3, 2]
    assert outcome["best"] == outcome["trials"][0] and outcome["best"]["values"]["pretrain.lr"] == 1 / 3000
    assert (outcome["metric"], outcome["direction"]) == ("spearman", "max")
    assert outcome["trials"][3]["value"] is None and outcome["trials"][3]["failure"] == "diverged"
