"""The `licap` command from outside: what it writes, how it resumes, and how it refuses."""

from __future__ import annotations

import csv
import gzip
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from licap.cli import EpochLines, parse_folds
from licap.commands import script
from licap.config import TrialConfig
from licap.trial import Report

SMALL = """\
data.synthetic: {num_nodes: 150, num_edges: 700, num_relations: 8}
data.node2vec: {dim: 8, num_walks: 2, walk_length: 8}
data.cache: cache
pretrain: {max_epochs: 6, heads: 2, hidden: 4, out_dim: 8}
downstream: {max_epochs: 12}
runtime.threads: 1
"""
RESULTS = ("metrics.json", "predictions.csv", "embeddings.npy")


def licap(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `licap WORDS…` in a folder."""
    return subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "licap.cli", *words]


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 2, one message with some parts in it, no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    for part in parts:
        assert part in done.stderr, done.stderr


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where computed features are kept."""
    return tmp_path_factory.mktemp("features")


def make_folder(folder: Path, features: Path) -> Path:
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    (folder / "cache").symlink_to(features)
    return folder


@pytest.fixture
def folder(tmp_path: Path, features: Path) -> Path:
    return make_folder(tmp_path, features)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, features: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A run of the small config, and its results."""
    folder = make_folder(tmp_path_factory.mktemp("ended"), features)
    done = licap(folder, "run", "small.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


@pytest.fixture
def after(folder: Path, ended: tuple[object, Path]) -> Path:
    """A folder in which the small config has run."""
    shutil.copytree(ended[1], folder / "out")
    return folder


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """The results of a run that nothing interrupted."""
    folder = make_folder(tmp_path_factory.mktemp("uncut"), features)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_a_run_prints_a_table_and_writes_its_files(
    after: Path, ended: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    folder, (done, _) = after, ended
    assert "Spearman" in done.stdout and "written to out" in done.stdout
    assert {path.name for path in (folder / "out").iterdir()} == {*RESULTS, "config.yaml", "checkpoint.pt"}
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["folds"]["0"]) == {"val", "test", "notes"}
    assert np.load(folder / "out" / "embeddings.npy", allow_pickle=False).shape == (150, 8)
    assert licap(folder, "run", "out/config.yaml", "--out", "again").returncode == 0
    assert (folder / "again" / "metrics.json").read_bytes() == (folder / "out" / "metrics.json").read_bytes()


def test_a_note_says_which_nodes_it_speaks_of(ended: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, _ = ended
    assert "note: validation nodes: can only be 1 with" in done.stdout
    assert "note: test nodes: can only be 1 with" in done.stdout


def test_each_fold_has_its_folder(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--folds", "0,2", "--out", "out", "--set", "pretrain.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout
    assert sorted(path.name for path in (folder / "out").glob("fold-*")) == ["fold-0", "fold-2"]
    first, second = (nodes_tested(folder / "out" / f"fold-{fold}" / "predictions.csv") for fold in (0, 2))
    assert first and second and not set(first) & set(second)


def test_all_folds_are_the_five() -> None:
    assert parse_folds("all", TrialConfig()) == [0, 1, 2, 3, 4]
    assert parse_folds(None, TrialConfig(fold=3)) == [3]


def nodes_tested(predictions: Path) -> list[str]:
    """The nodes of the test split in a file of predictions."""
    with predictions.open(encoding="utf-8", newline="") as file:
        return [row["node"] for row in csv.DictReader(file) if row["split"] == "test"]


@pytest.mark.parametrize("words", ["5", "x", "0,,1", "-1"])
def test_a_fold_that_does_not_exist_is_refused(folder: Path, words: str) -> None:
    refused(licap(folder, "run", "small.yaml", f"--folds={words}", "--out", "out"), "--folds", "0 to 4")
    assert not (folder / "out").exists()


def interrupt(folder: Path, number: int, when: Callable[[str], bool]) -> None:
    """Runs the small config and sends a signal once the progress says so."""
    process = subprocess.Popen(
        command("run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if when(line):
            process.send_signal(number)
            break
    errors = said + process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert (folder / "out" / "checkpoint.pt").exists()
    assert not (folder / "out" / "metrics.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_was_cut_off_resumes_to_the_same_bits(folder: Path, uncut: Path, number: int) -> None:
    interrupt(folder, number, lambda line: "epoch" in line)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    for name in RESULTS:
        assert (folder / "out" / name).read_bytes() == (uncut / name).read_bytes(), name


def test_resuming_without_a_checkpoint_starts_afresh_and_says_so(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--out", "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert "starting afresh" in done.stderr


def test_a_checkpoint_of_another_config_is_refused(after: Path) -> None:
    config = after / "out" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("seed: 0\n", "seed: 1\n", 1), encoding="utf-8")
    refused(licap(after, "run", "out/config.yaml", "--out", "out", "--resume"), "checkpoint.pt")


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_of_another_config_are_not_replaced(after: Path) -> None:
    before = contents(after / "out")
    for words in (("--set", "pretrain.lr=0.01"), ("--folds", "1"), ("--set", "pretrain.lr=0.01", "--resume")):
        other = licap(after, "run", "small.yaml", "--out", "out", *words)
        refused(other, "out: holds results of another", "--out")
        assert ("pretrain.lr is 0.005 there, 0.01 here" in other.stderr) == ("--folds" not in words)
    assert contents(after / "out") == before


def test_results_of_the_same_config_are_replaced_and_said_to_be(
    after: Path, ended: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    before = contents(after / "out")
    again = licap(after, "run", "small.yaml", "--out", "out", "--folds", "0")
    assert "replacing" not in ended[0].stderr
    assert again.returncode == 0 and "out: replacing the results of the same config" in again.stderr
    assert {name: contents(after / "out")[name] for name in RESULTS} == {name: before[name] for name in RESULTS}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", SMALL),
        ("config.yaml", "[not, mine"),
        ("metrics.json", "{}"),
        ("checkpoint.pt", ""),
    ],
    ids=["a config by hand", "no config", "metrics of nobody knows what", "a checkpoint of nobody knows what"],
)
def test_files_of_other_origin_are_not_replaced(folder: Path, name: str, text: str) -> None:
    (folder / "out").mkdir()
    (folder / "out" / name).write_text(text, encoding="utf-8")
    refused(licap(folder, "run", "small.yaml", "--out", "out"), "out", "replaced", name, "--out")
    assert contents(folder / "out") == {name: text.encode()}


def test_without_out_each_config_and_set_of_folds_has_a_folder(folder: Path) -> None:
    short = ("--set", "pretrain.max_epochs=1", "--set", "downstream.max_epochs=1")
    for words in ((), ("--folds", "1"), ("--folds", "0,1"), ("--set", "pretrain.temperature=0.07234234")):
        done = licap(folder, "run", "small.yaml", *short, *words)
        assert done.returncode == 0 and "replacing" not in done.stderr, done.stderr
    names = [path.name for path in (folder / "runs").iterdir()]
    assert len(names) == 4 and max(map(len, names)) < 70
    assert all(name.startswith("synthetic_geni_features+embeddings_fold") for name in names)


def test_a_run_that_did_not_end_is_replaced_only_with_a_word(folder: Path) -> None:
    interrupt(folder, signal.SIGINT, lambda line: "epoch" in line)
    done = licap(folder, "run", "small.yaml", "--set", "downstream.max_epochs=400", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "did not come to its end" in done.stderr and "--resume" in done.stderr


def test_a_damaged_checkpoint_is_refused(after: Path) -> None:
    path = after / "out" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500])
    refused(licap(after, "run", "small.yaml", "--out", "out", "--resume"), "checkpoint.pt")


def test_a_run_that_diverges_says_where_and_keeps_its_checkpoint(folder: Path) -> None:
    done = licap(folder, "run", "small.yaml", "--out", "out", "--set", "downstream.lr=1e30")
    refused(done, "downstream epoch", "downstream.lr")
    assert (folder / "out" / "checkpoint.pt").exists()
    refused(licap(folder, "run", "out/config.yaml", "--out", "out", "--resume"), "downstream epoch")


def test_the_published_preset_runs_from_a_file(folder: Path) -> None:
    text = "preset: published\n" + SMALL.replace("max_epochs: 12", "max_epochs: 3")
    (folder / "published.yaml").write_text(text, encoding="utf-8")
    done = licap(folder, "run", "published.yaml", "--out", "out")
    assert done.returncode == 0, done.stderr
    config = (folder / "out" / "config.yaml").read_text(encoding="utf-8")
    assert "centrality_scaling: false" in config and "input: embeddings" in config


NAMES = ('6" gun, "loud"', "a,b;c", "Ünïcode – 名前", "'single'", '"')


def write_tsv(folder: Path, *, importance: str = "7") -> Path:
    """A small data set in which one node has the importance given, and the first have odd names."""
    folder.mkdir()
    nodes = [f"n{i}\t{(i * 37) % 101 + 1}\t1\t{(NAMES + ('',) * 79)[i]}\tword{i % 7} text" for i in range(79)]
    nodes.append(f"odd\t{importance}\t1\tplain\tword text")
    triples = [f"n{i}\tr{i % 3}\tn{(i * 5 + 1) % 79}" for i in range(79)] + ["odd\tr0\tn1"]
    head = ["node\timportance\tvalid\tname\tdescription"]
    (folder / "nodes.tsv").write_text("\n".join([*head, *nodes]) + "\n", encoding="utf-8")
    (folder / "triples.tsv").write_text("\n".join(["head\trelation\ttail", *triples]) + "\n", encoding="utf-8")
    return folder


def test_names_come_out_of_the_predictions_verbatim(folder: Path) -> None:
    write_tsv(folder / "kg")
    words = ("--set", "data.path=kg", "--set", "downstream.max_epochs=1", "--set", "pretrain.imp_ratio=0.2")
    done = licap(folder, "run", "small.yaml", "--out", "out", *words)
    assert done.returncode == 0, done.stderr
    with (folder / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["node"]: row for row in csv.DictReader(file)}
    assert tuple(rows[f"n{i}"]["name"] for i in range(5)) == NAMES
    assert float(rows["odd"]["true"]) == 7.0
    assert len(rows) == 80


class Runs:
    """Pickles to a call that would leave a file behind."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


def pickled(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "fb15k_rel.pk").write_bytes(content)


def published(**changes: object) -> bytes:
    import torch

    generator = np.random.default_rng(0)
    data = {
        "edges": (torch.tensor(generator.integers(0, 80, 200)), torch.tensor(generator.integers(0, 80, 200))),
        "edge_types": torch.tensor(generator.integers(0, 4, 200)),
        "labels": torch.tensor(generator.uniform(1, 100, 80)),
        "features": torch.randn(80, 8),
        "invalid_masks": torch.zeros(80, dtype=torch.int64),
    }
    return pickle.dumps(data | changes)


def tensor(values: object) -> object:
    import torch

    return torch.tensor(values)


DATA = {
    "a folder that is not there": (lambda kg: None, ["kg"]),
    "an empty folder": (lambda kg: kg.mkdir(), ["kg"]),
    "a truncated pickle": (lambda kg: pickled(kg, published()[:900]), ["fb15k_rel.pk"]),
    "a foreign file": (lambda kg: pickled(kg, b"GIF89a"), ["fb15k_rel.pk"]),
    "a pickle that runs code": (lambda kg: pickled(kg, pickle.dumps(Runs())), ["fb15k_rel.pk", "system"]),
    "ids out of range": (
        lambda kg: pickled(kg, published(edges=(tensor([0, 99]), tensor([1, 2])), edge_types=tensor([0, 1]))),
        ["99"],
    ),
    "features that are not finite": (
        lambda kg: pickled(kg, published(features=tensor([[float("nan")] * 8] * 80))),
        ["features", "nan"],
    ),
    "labels that are not finite": (lambda kg: pickled(kg, published(labels=tensor([float("inf")] * 80))), ["inf"]),
    "negative importance": (lambda kg: write_tsv(kg, importance="-3"), ["nodes.tsv:81", "-3"]),
    "importance that is no number": (lambda kg: write_tsv(kg, importance="much"), ["nodes.tsv:81", "much"]),
    "an empty graph": (
        lambda kg: (write_tsv(kg) / "triples.tsv").write_text("head\trelation\ttail\n", encoding="utf-8"),
        ["triples.tsv"],
    ),
    "too few labels": (
        lambda kg: (write_tsv(kg) / "nodes.tsv").write_text(
            "node\timportance\tvalid\n" + "".join(f"n{i}\t5\t{int(i < 30)}\n" for i in range(79)) + "odd\t5\t0\n",
            encoding="utf-8",
        ),
        ["30", "50"],
    ),
    "a truncated gzip": (
        lambda kg: (
            (write_tsv(kg) / "nodes.tsv").rename(kg / "x")
            and (kg / "nodes.tsv.gz").write_bytes(gzip.compress((kg / "x").read_bytes())[:200])
        ),
        ["nodes.tsv.gz"],
    ),
}


@pytest.mark.parametrize("case", DATA.values(), ids=DATA)
def test_bad_data_is_refused_with_file_and_place(
    folder: Path, case: tuple[Callable[[Path], object], list[str]]
) -> None:
    make, parts = case
    make(folder / "kg")
    before = set(folder.rglob("*"))
    done = licap(folder, "run", "small.yaml", "--out", "out", "--set", "data.path=kg")
    refused(done, *parts)
    assert set(folder.rglob("*")) == before


CONFIGS = {
    "a misspelt key": ("pretrain.imp_ration: 0.2", ["bad.yaml:1", "pretrain.imp_ratio"]),
    "a key twice": ("seed: 1\nfold: 0\nseed: 2", ["bad.yaml:3", "line 1"]),
    "text for a number": ("seed: 1\npretrain:\n  lr: fast", ["bad.yaml:3", "pretrain.lr", "fast"]),
    "more bins than top nodes": (SMALL + "pretrain.bins: {kind: quantile, count: 90}", ["pretrain.bins.count", "90"]),
    "an unknown device": (SMALL + "runtime.device: warp", ["runtime.device", "warp"]),
    "a list": ("- 1", ["bad.yaml"]),
    "no YAML": ("a: [1", ["bad.yaml"]),
}


def test_a_space_file_is_told_where_it_belongs_in_one_line(folder: Path, repository: Path) -> None:
    done = licap(folder, "run", str(repository / "spaces" / "default.yaml"))
    refused(done, "this is a space file", script("run.py", "--space", repository / "spaces" / "default.yaml"))
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "small.yaml"]


@pytest.mark.parametrize("command", [("run", "small.yaml"), ("data", "inspect")], ids=["run", "inspect"])
def test_two_values_for_one_key_are_refused(folder: Path, command: tuple[str, ...]) -> None:
    done = licap(folder, *command, "--set", "seed=1", "--set", "seed=2")
    refused(done, "--set seed=1 and --set seed=2", "two values for seed")
    assert licap(folder, *command, "--set", "seed=1", "--set", "seed=x").returncode == 2


def progress(folds: int, reports: list[tuple[float, int, int]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of reports: (seconds, fold, budget) each, of at most 10 epochs a fold."""
    config = TrialConfig().with_values({"pretrain.max_epochs": 4, "downstream.max_epochs": 6})
    now = [0.0]
    lines = EpochLines(config, folds, clock=lambda: now[0])
    for seconds, fold, budget in reports:
        now[0] = seconds
        lines(fold, Report("pretrain" if budget <= 4 else "downstream", budget, budget, {}))
    return [line.partition("/10")[2] for line in capsys.readouterr().err.splitlines()]


def test_the_time_left_shows_once_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(1, [(100.0, 0, 1), (103.0, 0, 2), (106.0, 0, 3), (130.0, 0, 10)], capsys) == [
        "",
        ", at most about 24 s left",
        ", at most about 21 s left",
        "",
    ]


def test_epochs_that_are_jumped_over_make_no_pace(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(1, [(0.0, 0, 1), (3.0, 0, 5)], capsys)[-1] == ", at most about 15 s left"


def test_without_pretraining_its_epochs_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    config = TrialConfig().with_values({"downstream.input": "features", "downstream.max_epochs": 6})
    lines = EpochLines(config, 1)
    lines(0, Report("downstream", 0, config.pretrain.max_epochs + 1, {}))
    assert capsys.readouterr().err == "downstream epoch 0, 1/6\n"


def test_the_time_left_holds_the_folds_to_come_as_long_as_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress(3, [(0.0, 0, 5), (60.0, 0, 6)], capsys)[-1] == ", at most about 16 min 00 s left"
    assert progress(2, [(0.0, 0, 9), (60.0, 0, 10), (120.0, 1, 9)], capsys)[1:] == [
        ", at most about 2 min 00 s left",
        ", at most about 1 min 00 s left",
    ]


@pytest.mark.parametrize(("text", "parts"), CONFIGS.values(), ids=CONFIGS)
def test_a_bad_config_is_refused_with_its_line(folder: Path, text: str, parts: list[str]) -> None:
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    refused(licap(folder, "run", "bad.yaml", "--out", "out"), *parts)
    assert not (folder / "out").exists()


def test_an_out_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "out").write_text("mine", encoding="utf-8")
    refused(licap(folder, "run", "small.yaml", "--out", "out"), "out")
    assert (folder / "out").read_text(encoding="utf-8") == "mine"


def test_inspect_shows_counts_and_warnings_of_a_data_set(folder: Path) -> None:
    write_tsv(folder / "kg")
    done = licap(folder, "data", "inspect", "kg")
    assert done.returncode == 0, done.stderr
    for part in ("nodes", "80", "repeated triples", "self loops", "degrees"):
        assert part in done.stdout
    refused(licap(folder, "data", "inspect", "absent"), "absent")


def test_config_lists_every_key_with_its_rule() -> None:
    done = licap(Path.cwd(), "config")
    assert done.returncode == 0, done.stderr
    assert "pretrain.imp_ratio = 0.1" in done.stdout
    assert "above 0 and below 1" in done.stdout


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m licap.cli config | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_bad_file_is_refused_without_torch(folder: Path) -> None:
    (folder / "bad.yaml").write_text("seed: x", encoding="utf-8")
    code = (
        "import sys, licap.cli\n"
        "code = licap.cli.main(['run', 'bad.yaml'])\n"
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
