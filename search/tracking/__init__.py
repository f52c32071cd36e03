"""Tracking: what a search reports, kept in MLflow. Only this room imports mlflow, and only once a store is opened."""

from __future__ import annotations

from search.tracking.git import git_commit
from search.tracking.names import mlflow_name
from search.tracking.store import preflight
from search.tracking.tracker import State, Tracker
from search.tracking.uris import tracking_uri, ui_command

__all__ = ["State", "Tracker", "git_commit", "mlflow_name", "preflight", "tracking_uri", "ui_command"]
