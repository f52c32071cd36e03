"""Runs a search from its first check to its last artifact: the one place where all rooms meet."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from licap.config import DataConfig, config_from
from licap.console import Stopped, stop_signals
from licap.datasets import load_dataset
from licap.datasets.dataset import Dataset
from licap.errors import ConfigError, DataError
from licap.trial import contrastive_sample
from search.engine.cluster import ray_session
from search.engine.conductor import Conductor
from search.engine.connection import Connection, check_reachable
from search.engine.messages import CachePlace, Interruption
from search.engine.outcome import SearchOutcome, origin_tags, summarise
from search.engine.outlook import other_name
from search.engine.past import Past, recall
from search.engine.reconcile import tracked
from search.engine.resources import (
    Machine,
    check_memory,
    check_resources,
    checked_machine,
    memory_words,
    num_slots,
    span_of,
)
from search.engine.settled import settled
from search.engine.watch import watch_for
from search.space import SearchSpace, as_begun, located
from search.space.memory import GraphSize
from search.strategy import Proposer, Pruner, build_pruner
from search.study import Study
from search.tracking import preflight, tracking_uri

_STORE_MARGIN = 96 * 1024**2
CACHE_FOLDER = "cache"


def run_search(
    space: SearchSpace,
    *,
    root: Path,
    study_name: str | None,
    tracking: str | None,
    ray_address: str | None,
    progress: Callable[[str], None],
    show: Callable[[SearchOutcome], object],
    resume: bool = False,
) -> SearchOutcome:
    """Runs a study, or what is left of it. Nothing is written before space, slots, store, data and Ray are checked.

    show: is called once, when all trials are recorded and before pictures are drawn and stores are closed.
    The study's folder and all that it reads are named by absolute paths, so that it goes on from any folder.
    study_name: None: the space's, with a number where that is taken. resume: goes on with the study of that name.
    Raises: LicapError with a sentence for people.
    """
    root = root.absolute()
    space = _as_begun(space, root, study_name or space.name) if resume else located(space)
    if resume:
        done = settled(space, root, study_name or space.name, tracking, progress, show)
        if done is not None:
            return done
    machine = _checked_machine(space, ray_address)
    uri = tracking_uri(root, tracking)
    if not resume:
        _announce(space, root, study_name, progress)
    preflight(uri)
    data_config = config_from(space.base).data
    dataset = load_dataset(data_config, progress=progress)
    check_against_data(space, dataset, data_config)
    trial_bytes = _memory_of_trial(space, dataset, machine, progress)
    bytes_needed = 2 * size_of(dataset) + _STORE_MARGIN
    interruption = Interruption()
    watch = watch_for(space)
    # Left last, after Ray: that may hang too when its server is gone.
    with stop_signals(interruption.ask), Connection(interruption.ask) as connection, ExitStack() as stack:
        progress("starting Ray" if ray_address is None else f"joining {ray_address}")
        session_of_ray = ray_session(machine, address=ray_address, object_store_bytes=bytes_needed)
        with session_of_ray as session, connection.watch(session.server, own=ray_address is None):
            check_resources(space, session.machines, where="this machine" if ray_address is None else "the cluster")
            if interruption.asked:
                raise Stopped(interruption.signal or signal.SIGINT)
            study = stack.enter_context(_study(space, root, study_name, dataset, progress, resume=resume))
            proposer, pruner = _proposer(space), _pruner(space)
            past = recall(study, space, proposer, pruner) if resume else Past()
            origin = origin_tags(dataset)
            side = stack.enter_context(tracked(study, space, uri, origin, watch.said, resume=resume))
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
            with watch:
                watch.resumed(study.trials(), past.elapsed)
                try:
                    _tune(conductor, space, {data_config: dataset}, cache_place(space, root), session.scratch)
                finally:
                    conductor.close()
        outcome = SearchOutcome(study.name, study.trials(), uri, conductor.stop_reason, (), interruption.signal)
        problems = summarise(outcome, space, side, study, show)
    return replace(outcome, store_errors=side.errors, summary_errors=problems)


def _checked_machine(space: SearchSpace, ray_address: str | None) -> Machine:
    """What a private instance may hand out. Of a cluster, only that it is there can be checked before it is joined."""
    if ray_address is not None:
        check_reachable(ray_address)
        return Machine(0, 0)
    return checked_machine(space)


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


def _study(
    space: SearchSpace,
    root: Path,
    name: str | None,
    dataset: Dataset,
    progress: Callable[[str], None],
    *,
    resume: bool,
) -> Study:
    """The study to write to; says what was put in order."""
    text, given = space.to_yaml(), dataset.given
    known, features = dataset.fingerprint, dataset.features_fingerprint
    if resume:
        study = Study.resume(root, name or space.name, known, features=features, given=given)
        for sentence in study.mended:
            progress(sentence)
        study.replace_space(text)
        return study
    if name is None:
        return Study.create_free(root, space.name, text, known, features=features, given=given)
    return Study.create(root, name, text, known, features=features, given=given)


def _as_begun(space: SearchSpace, root: Path, name: str) -> SearchSpace:
    study = Study.open(root, name)
    return as_begun(SearchSpace.load(study.space_path), space, data_known=bool(study.origin.dataset))


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


def size_of(dataset: Dataset) -> int:
    """Bytes of a data set's arrays."""
    graph = dataset.graph
    arrays = [graph.src, graph.dst, graph.rel, dataset.importance, dataset.valid, *dataset.features.values()]
    return sum(array.nbytes for array in arrays)
