"""A tracking server's runs of a study, through MLflow's own client."""

from __future__ import annotations

from typing import Any

from search.tracking.names import mlflow_name
from search.tracking.reader import RunReader, StoredRun, StoredValue
from search.tracking.store import in_words, open_client
from search.tracking.tracker import EXPERIMENT

_PAGE = 1000


class ServerReader(RunReader):
    """Reads runs page by page, and histories metric by metric."""

    def __init__(self, uri: str) -> None:
        """Raises: StoreError where the server cannot be reached."""
        self._uri, self._client = uri, open_client(uri)

    def runs(self, study: str) -> list[StoredRun]:
        """As `RunReader.runs`."""
        from mlflow.entities import ViewType

        found: list[StoredRun] = []
        with in_words(self._uri):
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            token = None
            while experiment is not None:
                page = self._client.search_runs(
                    [experiment.experiment_id],
                    run_view_type=ViewType.ALL,
                    max_results=_PAGE,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
                # Compared here, since a filter cannot hold every name (quotes).
                found += [_stored(run) for run in page if run.data.tags.get(mlflow_name("study")) == study]
                token = page.token
                if not token:
                    break
        return found

    def values(self, run: StoredRun) -> list[StoredValue]:
        """As `RunReader.values`."""
        with in_words(self._uri):
            histories = [self._client.get_metric_history(run.run_id, name) for name in run.last]
        return [StoredValue(each.key, each.step, each.value) for history in histories for each in history]


def _stored(run: Any) -> StoredRun:
    # The newest value alone is in `data.metrics`; its step is in the list that it is made from.
    last = {metric.key: (metric.step, metric.value) for metric in run.data._metric_objs}
    return StoredRun(
        run_id=run.info.run_id,
        status=run.info.status,
        deleted=run.info.lifecycle_stage != "active",
        started=run.info.start_time or 0,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        last=last,
    )
