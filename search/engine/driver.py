"""Runs a search from its first check to its last artifact: the one place where all rooms meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from licap.config import DataConfig, config_from
from licap.console import stop_signals
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DataError, StoreError
from licap.trial import check_machine, contrastive_sample
from search.engine.cluster import check_reachable, ray_session
from search.engine.conductor import Conductor
from search.engine.failing import FAILING
from search.engine.messages import CachePlace, Interruption
from search.engine.outlook import other_name
from search.engine.past import Past, recall
from search.engine.reconcile import reconcile
from search.engine.resources import (
    Machine,
    check_memory,
    check_resources,
    memory_words,
    num_slots,
    span_of,
    this_machine,
)
from search.engine.side import SideTracker
from search.engine.watch import watch_for
from search.insight import best_config, leaderboard, render_text, summary_files, write_summary
from search.space import SearchSpace, check_same
from search.space.memory import GraphSize
from search.strategy import Proposer, Pruner, build_pruner
from search.study import FINAL, Study, TrialRecord
from search.tracking import State, Tracker, git_commit, preflight, tracking_uri

_STORE_MARGIN = 96 * 1024**2
CACHE_FOLDER = "cache"
# How the study's run ends in the tracking store, where that is not as complete.
_ENDS: Mapping[str | None, State] = {"interrupted": "interrupted", FAILING: "failed"}


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended.

    stop_reason: None where it ran to its end, else `interrupted`, `time budget` or `failures` (the first trials all
    failed). store_errors: what is missing in the tracking store, and why.
    """

    study: str
    trials: tuple[TrialRecord, ...]
    tracking_uri: str
    stop_reason: str | None
    store_errors: tuple[str, ...]


def run_search(
    space: SearchSpace,
    *,
    root: Path,
    study_name: str | None,
    tracking: str | None,
    ray_address: str | None,
    progress: Callable[[str], None],
    resume: bool = False,
) -> SearchOutcome:
    """Runs a study, or what is left of it. Nothing is written before space, slots, store, data and Ray are checked.

    study_name: None: the space's, with a number where that is taken. resume: goes on with the study of that name.
    Raises: LicapError with a sentence for people.
    """
    machine = _checked_machine(space, ray_address)
    uri = tracking_uri(root, tracking)
    if resume:
        done = _nothing_left(space, root, study_name or space.name, uri)
        if done is not None:
            progress(f"study {done.study}: all {len(done.trials)} trials are there already; nothing is left to do")
            return done
    else:
        _announce(space, root, study_name, progress)
    preflight(uri)
    data_config = config_from(space.base).data
    dataset = load_dataset(data_config, progress=progress)
    check_against_data(space, dataset, data_config)
    trial_bytes = _memory_of_trial(space, dataset, machine, progress)
    bytes_needed = 2 * size_of(dataset) + _STORE_MARGIN
    interruption = Interruption()
    watch = watch_for(space)
    with stop_signals(interruption.ask), ExitStack() as stack:
        session_of_ray = ray_session(machine, address=ray_address, object_store_bytes=bytes_needed)
        # Ray takes termination signals for itself when it starts: they are taken back.
        with session_of_ray as session, stop_signals(interruption.ask):
            check_resources(space, session.machines, where="this machine" if ray_address is None else "the cluster")
            if interruption.asked:
                raise KeyboardInterrupt
            study = stack.enter_context(_study(space, root, study_name, dataset.fingerprint, resume=resume))
            if study.left_by is not None:
                progress(f"the lock of {study.left_by}, which is gone, is taken over")
            proposer, pruner = _proposer(space), _pruner(space)
            past = recall(study, space, proposer, pruner) if resume else Past()
            origin = origin_tags(dataset)
            tracker = Tracker(uri, study.name, tags=origin | study_tags(space), resume=resume)
            side = stack.enter_context(SideTracker(tracker, watch.said))
            if resume:
                reconcile(study, space, side, origin, stored=tracker.final_trials())
            stack.enter_context(watch)
            watch.resumed(study.trials())
            conductor = Conductor(
                space,
                study,
                proposer=proposer,
                pruner=pruner,
                tracker=side,
                watch=watch,
                slots=num_slots(space.resources, session.machines, space.max_concurrent, trial_bytes),
                tags=origin,
                interruption=interruption,
                past=past,
            )
            try:
                _tune(conductor, space, {data_config: dataset}, cache_place(space, root), session.scratch)
            finally:
                conductor.close()
        outcome = SearchOutcome(study.name, study.trials(), uri, conductor.stop_reason, ())
        _summarise(outcome, space, side, study.folder)
    return replace(outcome, store_errors=side.errors)


def _checked_machine(space: SearchSpace, ray_address: str | None) -> Machine:
    """What a private instance may hand out. Of a cluster, only that it is there can be checked before it is joined."""
    if ray_address is not None:
        check_reachable(ray_address)
        return Machine(0, 0)
    machine = this_machine(look_for_gpus=space.resources.gpus > 0)
    check_resources(space, [machine], where="this machine")
    check_machine(config_from(space.base).runtime)
    return machine


def _memory_of_trial(
    space: SearchSpace, dataset: Dataset, machine: Machine, progress: Callable[[str], None]
) -> int | None:
    """Bytes that slots are packed by; says where that leaves fewer slots. Raises: ConfigError where no trial fits."""
    span = span_of(space, GraphSize.of(dataset.graph, dataset.valid, dataset.features))
    if span is None:
        return None
    check_memory(span, machine, where="this machine")
    words = memory_words(space, span, machine)
    if words is not None:
        progress(words)
    return span.most


def check_against_data(space: SearchSpace, dataset: Dataset, data_config: DataConfig) -> None:
    """Refuses a space at whose edges this data set leaves nothing to contrast. Raises: ConfigError with every edge."""
    problems: dict[str, str] = {}
    for words, config in space.edge_configs():
        if not config.downstream.needs_pretraining or config.data != data_config:
            continue
        for fold in space.folds or (config.fold,):
            try:
                contrastive_sample(replace(config, fold=fold), dataset)
            except DataError as error:
                problems.setdefault(str(error), f"{space.source}: at {words}: {error}")
    if problems:
        raise ConfigError(problems.values())


def _announce(space: SearchSpace, root: Path, study_name: str | None, progress: Callable[[str], None]) -> None:
    """Says the name of a new study where it is not the space's. Raises: StoreError for a name that cannot be had."""
    if study_name is None:
        for line in other_name(root, space.name):
            progress(line)
    Study.check_new(root, Study.free_name(root, space.name) if study_name is None else study_name)


def _nothing_left(space: SearchSpace, root: Path, name: str, uri: str) -> SearchOutcome | None:
    """The outcome of a study that has all of its trials; None where some are to be run.

    Raises: StoreError where the study is not there, or is being run; ConfigError where it began with another space.
    """
    study = Study.open(root, name)
    owner = study.owner()
    if owner is not None:
        raise StoreError(f"{study.folder}: is being written by {owner}. Wait for it, or stop it.")
    check_same(SearchSpace.load(study.space_path), space)
    trials = study.trials()
    final = [trial for trial in trials if trial.state in FINAL]
    return SearchOutcome(name, trials, uri, None, ()) if len(final) >= space.trials else None


def _study(space: SearchSpace, root: Path, name: str | None, dataset: str, *, resume: bool) -> Study:
    text = space.to_yaml()
    if resume:
        study = Study.resume(root, name or space.name, dataset)
        study.replace_space(text)
        return study
    if name is None:
        return Study.create_free(root, space.name, text, dataset)
    return Study.create(root, name, text, dataset)


def _pruner(space: SearchSpace) -> Pruner:
    return build_pruner(space.pruner, space.rungs(), space.metric.direction, fold_rungs=space.fold_rungs())


def _proposer(space: SearchSpace) -> Proposer:
    return Proposer(
        space.parameters,
        sampler=space.sampler,
        seed=space.seed,
        direction=space.metric.direction,
        starting_points=space.starting_points,
    )


def cache_place(space: SearchSpace, root: Path) -> CachePlace | None:
    """The cache that all studies of a root share; None where it is turned off."""
    max_bytes = int(space.cache.max_gb * 1e9)
    return CachePlace(root / CACHE_FOLDER, max_bytes) if max_bytes else None


def _tune(
    conductor: Conductor,
    space: SearchSpace,
    datasets: Mapping[DataConfig, Dataset],
    cache: CachePlace | None,
    scratch: Path,
) -> None:
    # Ray reads its environment when it is imported, and `ray_session` sets it.
    from search.engine.tuning import tune_study

    tune_study(conductor, space, datasets=datasets, cache=cache, scratch=scratch)


def origin_tags(dataset: Dataset) -> dict[str, object]:
    """Where every run of a study comes from."""
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "git_commit": git_commit(Path(__file__)),
    }


def study_tags(space: SearchSpace) -> dict[str, object]:
    """What the study's own run says about how it was searched."""
    return {
        "metric": space.metric.label,
        "sampler": space.sampler.name,
        "pruner": space.pruner.name,
        "seed": space.seed,
    }


def size_of(dataset: Dataset) -> int:
    """Bytes of a data set's arrays."""
    graph = dataset.graph
    arrays = [graph.src, graph.dst, graph.rel, dataset.importance, dataset.valid, *dataset.features.values()]
    return sum(array.nbytes for array in arrays)


def _summarise(outcome: SearchOutcome, space: SearchSpace, tracker: SideTracker, folder: Path) -> None:
    board = leaderboard(outcome.trials, space)
    files = summary_files(outcome.trials, space, study=outcome.study)
    artifacts = files | {"leaderboard.txt": render_text(board)}
    metrics: Mapping[str, float] = {}
    if board.ranked:
        artifacts["best.yaml"] = best_config(outcome.trials, space, rank=1).to_yaml()
        metrics = board.ranked[0].metrics
    tracker.finish(metrics, artifacts, state=_ENDS.get(outcome.stop_reason, "complete"))
    write_summary(folder, files)
