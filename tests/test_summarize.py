"""`python search/summarize.py` as people call it, on studies written with the API."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from study_cases import modules_after, run_door, write_study

from search.insight import leaderboard, render_csv, summary_files
from search.space import SearchSpace
from search.study import Proposed, Study

PICTURES = {"curves.png", "history.png", "parameters.png"}


def test_table_and_pictures_come_from_the_record_alone(tmp_path: Path) -> None:
    study = write_study(tmp_path / "mlruns", "first", [0.25, 0.75, None, 0.5])
    write_study(tmp_path / "mlruns", "second", [0.125])
    (study.folder / "leaderboard.csv").write_text("of yesterday", encoding="utf-8")
    done = run_door(tmp_path, "summarize.py", "first")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split()[:4] == ["1", "1", "complete", "0.7500"]
    assert "study first: 4 trials: 3 complete, 1 failed" in done.stdout
    assert str(Path("mlruns/studies/first")) in done.stdout
    space = SearchSpace.load(study.space_path)
    table = (study.folder / "leaderboard.csv").read_text(encoding="utf-8")
    assert table == render_csv(leaderboard(study.trials(), space))
    assert {path.name for path in (study.folder / "plots").iterdir()} == PICTURES
    files = summary_files(study.trials(), space, study="first")
    assert all((study.folder / name).stat().st_size > 0 for name in files)
    assert (study.folder / "plots" / "history.png").read_bytes() == files["plots/history.png"]


def test_without_a_name_the_latest_study_is_summed_up(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_study(tmp_path / "elsewhere", name, [0.5])
    done = run_door(tmp_path, "summarize.py", "--root", "elsewhere")
    assert done.returncode == 0 and "study second: 1 trial: 1 complete" in done.stdout


def test_a_study_that_runs_or_was_killed_is_summed_up_and_said_to_be(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    space = write_study(root, "done", [0.5]).space_path.read_text(encoding="utf-8")
    with Study.create(root, "live", space) as study:
        for event in Study.open(root, "done").events[1:]:
            study.append(event)
        study.append(Proposed(trial=1, values={"pretrain.imp_ratio": 0.1, "pretrain.eta2": 1.0}, starting_point=False))
        running = run_door(tmp_path, "summarize.py", "live")
    killed = run_door(tmp_path, "summarize.py", "live")
    assert running.returncode == 0 and "2 trials: 1 complete, 1 running" in running.stdout
    assert "still being run by process" in running.stdout
    assert killed.returncode == 0 and "was killed" in killed.stdout and "still being run" not in killed.stdout
    assert {path.name for path in (study.folder / "plots").iterdir()} == PICTURES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frist"], "there is no study frist; did you mean first?"),
        (["../first"], "'../first' cannot be the name of a study"),
        (["--root", "elsewhere"], "elsewhere: there is no study yet"),
    ],
)
def test_what_cannot_be_summed_up_is_said_in_one_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    write_study(tmp_path / "mlruns", "first", [0.5])
    done = run_door(tmp_path, "summarize.py", *words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    study = write_study(tmp_path / "mlruns", "first", [0.5])
    (study.folder / "plots").write_text("in the way", encoding="utf-8")
    done = run_door(tmp_path, "summarize.py")
    assert done.returncode == 2 and "plots" in done.stderr and "Traceback" not in done.stderr


# Sizes of files in blocks of 1024 bytes: a table is smaller, a picture larger.
FULL_DISK = 'ulimit -f 8; exec "$@"'
READ_ONLY = 'mount --bind mlruns mlruns && mount -o remount,ro,bind mlruns mlruns && exec "$@"'


def test_pictures_do_not_depend_on_settings_of_the_user(tmp_path: Path) -> None:
    study = write_study(tmp_path / "mlruns", "first", [0.25, 0.75])
    settings = "text.usetex: True\nfont.family: Nowhere Sans\nfigure.dpi: large\nsavefig.facecolor: red\n"
    (tmp_path / "matplotlibrc").write_text(settings, encoding="utf-8")
    done = run_door(tmp_path, "summarize.py", env={"MPLBACKEND": "nowhere"})
    assert (done.returncode, done.stderr) == (0, "")
    files = summary_files(study.trials(), SearchSpace.load(study.space_path), study="first")
    for name in PICTURES:
        assert (study.folder / "plots" / name).read_bytes() == files[f"plots/{name}"]


def test_a_disk_that_is_full_takes_pictures_alone(tmp_path: Path) -> None:
    write_study(tmp_path / "mlruns", "first", [0.25, 0.75])
    done = run_door(tmp_path, "summarize.py", shell=FULL_DISK)
    assert done.returncode == 2
    assert "study first: 2 trials: 2 complete" in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ") and ".png: cannot be written (File too large)" in line


def test_a_library_that_cannot_draw_takes_pictures_alone(tmp_path: Path) -> None:
    write_study(tmp_path / "mlruns", "first", [0.25, 0.75])
    (tmp_path / "matplotlib.py").write_text("raise ValueError('broken\\nin two')", encoding="utf-8")
    done = run_door(tmp_path, "summarize.py", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and "study first: 2 trials: 2 complete" in done.stdout
    assert done.stderr == "error: the pictures of study first cannot be drawn (ValueError: broken)\n"


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="mounts cannot be made here",
)
@pytest.mark.parametrize(
    ("name", "words"), [("summarize.py", ()), ("export.py", ("--out", "best.yaml")), ("replay.py", ("--what", "tau"))]
)
def test_a_study_that_cannot_be_written_is_read(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    write_study(tmp_path / "mlruns", "first", [0.25, 0.75, 0.5], "pruner=none")
    done = run_door(tmp_path, name, *words, shell=f"exec unshare -m bash -c '{READ_ONLY}' bash \"$@\"")
    assert done.returncode == 0 and "first" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    if name == "summarize.py":
        assert done.stderr.splitlines() == [
            "mlruns/studies/first: cannot be written; table and pictures there stay as they are"
        ]
    assert not (tmp_path / "mlruns" / "studies" / "first" / "plots").exists()


def test_a_summary_needs_no_library_that_trains_or_searches() -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "sklearn", "dgl", "numba"}
    assert not heavy & modules_after("import search.summarize")
