"""Several folds of one config, one after the other, as one iterator of reports with an exact state.

A search that stops trials early so spends its later folds on the few that have earned them by the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from licap.config import TrialConfig
from licap.datasets.dataset import Dataset
from licap.errors import StoreError
from licap.stored import EmbeddingStore
from licap.trial import Report, Trial, contrastive_sample


def fold_metric(place: int, metric: str) -> str:
    """The name under which a report has the current fold's own value, from the second fold on (place 1)."""
    return f"fold{place}.{metric}"


class FoldedTrial:
    """Iterate to train fold after fold; used as `Trial` is.

    Budgets go on: those of the fold at place k, from 0, are k · config.total_budget higher than its trial's. A report's
    `val.…` are means over the folds that have ended, the one that ends with this report included; while the first fold
    runs, its own. From the second fold on the current fold's own values stand beside them as `fold1.val.…` and so on.
    Raises: as Trial, for whichever fold is due.
    """

    def __init__(
        self,
        config: TrialConfig,
        folds: Sequence[int],
        *,
        dataset: Dataset,
        store: EmbeddingStore | None = None,
    ) -> None:
        self.config, self._folds, self._dataset, self._store = config, tuple(folds), dataset, store
        if config.downstream.needs_pretraining:
            # What is wrong with a later fold is found before the first is trained.
            for fold in self._folds[1:]:
                contrastive_sample(replace(config, fold=fold), dataset)
        self._ended: list[Mapping[str, float]] = []
        self._trial = self._fold(0)

    def __iter__(self) -> Iterator[Report]:
        return self

    def __next__(self) -> Report:
        if self._trial.finished and not self.finished:
            self._trial = self._fold(len(self._ended))
        place = self._place
        report = next(self._trial)
        own = {name: value for name, value in report.metrics.items() if name.startswith("val.")}
        if self._trial.finished:
            self._ended.append(own)
        metrics = dict(report.metrics)
        if place:
            metrics |= {fold_metric(place, name): value for name, value in own.items()} | self._means()
        return replace(report, budget=report.budget + place * self.config.total_budget, metrics=metrics)

    @property
    def finished(self) -> bool:
        """Whether all folds have ended."""
        return len(self._ended) == len(self._folds)

    @property
    def replays(self) -> bool:
        """As `Trial.replays`, of the current fold."""
        return self._trial.replays

    @property
    def notes(self) -> tuple[str, ...]:
        """As `Trial.notes`, of the current fold."""
        return self._trial.notes

    def state_dict(self) -> dict[str, Any]:
        """All that the next report depends on."""
        return {
            "folds": list(self._folds),
            "ended": [dict(metrics) for metrics in self._ended],
            "trial": self._trial.state_dict(),
            "place": self._place,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken. Raises: StoreError for a state of other folds, or as Trial."""
        if state.get("folds") != list(self._folds):
            raise StoreError("the checkpoint belongs to other folds. Start anew without --resume.")
        trial = self._fold(state["place"])
        trial.load_state_dict(state["trial"])
        self._trial, self._ended = trial, list(state["ended"])

    @property
    def _place(self) -> int:
        """Of the fold that the current trial trains, in the order given."""
        return self._folds.index(self._trial.config.fold)

    def _fold(self, place: int) -> Trial:
        return Trial(replace(self.config, fold=self._folds[place]), dataset=self._dataset, store=self._store)

    def _means(self) -> dict[str, float]:
        names = self._ended[0]
        return {name: sum(ended[name] for ended in self._ended) / len(self._ended) for name in names}
