"""Runs a search from its first check to its last artifact: the one place where all rooms meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from licap.config import DataConfig, config_from
from licap.console import stop_signals
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.files import write_file_atomically
from licap.trial import checked_device
from search.engine.cluster import ray_instance
from search.engine.conductor import Conductor
from search.engine.resources import Machine, check_resources, num_slots
from search.engine.watch import LineWatch, LiveTable, watch_for
from search.insight import best_config, leaderboard, render_csv, render_text, study_plots
from search.space import SearchSpace
from search.strategy import Proposer, build_pruner
from search.study import Study, TrialRecord
from search.tracking import Tracker, git_commit, preflight, tracking_uri

_STORE_MARGIN = 96 * 1024**2


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended. stop_reason: None where it ran to its end, else `interrupted` or `time budget`."""

    study: str
    trials: tuple[TrialRecord, ...]
    tracking_uri: str
    stop_reason: str | None


def run_search(
    space: SearchSpace,
    *,
    root: Path,
    study_name: str,
    tracking: str | None,
    ray_address: str | None,
    progress: Callable[[str], None],
) -> SearchOutcome:
    """Runs a whole study. Nothing is written before space, slots, tracking store and data have been checked.

    Raises: LicapError with a sentence for people.
    """
    machine = check_resources(space)
    checked_device(str(space.base["runtime.device"]))
    uri = tracking_uri(root, tracking)
    Study.check_new(root, study_name)
    preflight(uri)
    data_config = config_from(space.base).data
    dataset = load_dataset(data_config, progress=progress)
    with ExitStack() as stack:
        study = stack.enter_context(Study.create(root, study_name, space.to_yaml()))
        tracker = stack.enter_context(Tracker(uri, study_name, tags=study_tags(space, dataset)))
        slots = num_slots(space, machine)
        watch: LiveTable | LineWatch = stack.enter_context(watch_for(space))
        conductor = Conductor(
            space,
            study,
            proposer=Proposer(
                space.parameters,
                sampler=space.sampler,
                seed=space.seed,
                direction=space.metric.direction,
                starting_points=space.starting_points,
            ),
            pruner=build_pruner(space.pruner.name, space.rungs(), space.pruner.reduction, space.metric.direction),
            tracker=tracker,
            watch=watch,
            slots=slots,
            fingerprint=dataset.fingerprint,
        )
        try:
            with stop_signals(conductor.interrupt):
                _tune(conductor, machine, ray_address, slots, {data_config: dataset}, space)
        finally:
            conductor.close()
        outcome = SearchOutcome(study_name, study.trials(), uri, conductor.stop_reason)
        _summarise(outcome, space, tracker, study.folder)
    return outcome


def _tune(
    conductor: Conductor,
    machine: Machine,
    ray_address: str | None,
    slots: int,
    datasets: dict[DataConfig, Dataset],
    space: SearchSpace,
) -> None:
    bytes_needed = 2 * sum(size_of(dataset) for dataset in datasets.values()) + _STORE_MARGIN
    with ray_instance(machine, address=ray_address, object_store_bytes=bytes_needed) as scratch:
        from ray import tune

        from search.engine.actor import TrialActor
        from search.engine.adapters import StudyScheduler, StudySearcher, StudyStopper

        trainable = tune.with_resources(
            tune.with_parameters(TrialActor, datasets=datasets),
            {"cpu": space.resources.cpus, "gpu": space.resources.gpus},
        )
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(conductor),
                scheduler=StudyScheduler(conductor),
                num_samples=space.trials,
                reuse_actors=True,
                trial_name_creator=str,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=f"{scratch}/tune",
                verbose=0,
                stop=StudyStopper(conductor),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()


def study_tags(space: SearchSpace, dataset: Dataset) -> dict[str, object]:
    """What the study's run in the tracking store says about where it came from."""
    return {
        "metric": space.metric.label,
        "sampler": space.sampler.name,
        "pruner": space.pruner.name,
        "seed": space.seed,
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "git_commit": git_commit(Path.cwd()),
    }


def size_of(dataset: Dataset) -> int:
    """Bytes of a data set's arrays."""
    graph = dataset.graph
    arrays = [graph.src, graph.dst, graph.rel, dataset.importance, dataset.valid, *dataset.features.values()]
    return sum(array.nbytes for array in arrays)


def _summarise(outcome: SearchOutcome, space: SearchSpace, tracker: Tracker, folder: Path) -> None:
    board = leaderboard(outcome.trials, space)
    files: dict[str, str | bytes] = {"leaderboard.csv": render_csv(board)}
    plots = study_plots(outcome.trials, space, study=outcome.study)
    files |= {f"plots/{name}": picture for name, picture in plots.items()}
    artifacts = files | {"leaderboard.txt": render_text(board)}
    metrics: Mapping[str, float] = {}
    if board.ranked:
        artifacts["best.yaml"] = best_config(outcome.trials, space, rank=1).to_yaml()
        metrics = board.ranked[0].metrics
    tracker.finish(metrics, artifacts, state="interrupted" if outcome.stop_reason == "interrupted" else "complete")
    for name, content in files.items():
        write_file_atomically(folder / name, content)
