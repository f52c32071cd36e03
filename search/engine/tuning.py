"""Lets Ray Tune keep the slots filled until the conductor has nothing left to ask for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ray import tune

from licap.config import DataConfig
from licap.datasets.dataset import Dataset
from search.engine.actor import TrialActor
from search.engine.adapters import CutOff, Relay, StudyScheduler, StudySearcher, StudyStopper
from search.engine.conductor import Conductor
from search.engine.messages import CachePlace
from search.space import SearchSpace


def tune_study(
    conductor: Conductor,
    space: SearchSpace,
    *,
    datasets: Mapping[DataConfig, Dataset],
    cache: CachePlace | None,
    scratch: Path,
) -> None:
    """Runs all trials of a study. datasets: put into the object store once, for every slot to read.

    Raises: what the conductor raised, as it raised it.
    """
    relay = Relay(conductor)
    trainable = tune.with_resources(
        tune.with_parameters(TrialActor, datasets=datasets, cache=cache),
        {"cpu": space.resources.cpus, "gpu": space.resources.gpus},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(relay),
            scheduler=StudyScheduler(relay),
            # The searcher says when there is nothing left: a trial whose worker died is started again.
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=str,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="study",
            storage_path=str(scratch / "tune"),
            verbose=0,
            stop=StudyStopper(relay),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    with suppress(CutOff):
        tuner.fit()
    relay.raise_error()
