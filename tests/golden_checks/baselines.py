"""Linear regression on the test nodes; PageRank and personalised PageRank of all nodes."""

from __future__ import annotations

import numpy as np
import torch
from golden_checks.case import Case
from golden_checks.models import stored_graph

from licap.config import DownstreamConfig
from licap.models import MODELS, Setting

# float32 least squares there.
LINEAR_RTOL = 1e-5


def check(case: Case) -> None:
    """Fits and predicts; the published ranks sum to 1, the models scale them."""
    features, labels = torch.from_numpy(case["in.features"]).double(), torch.from_numpy(case["in.labels"])
    train, test = torch.from_numpy(case["in.train"]), case["in.test"]
    setting = Setting(
        graph=stored_graph(case), widths=(features.shape[1],), labelled=case["in.invalid"] == 0, backend="auto"
    )

    def predictions(name: str) -> np.ndarray:
        model = MODELS[name].build(DownstreamConfig(), setting)
        return model.fit_predict(features, labels, train).numpy()

    case.close(predictions("linear_regression")[test], "out.linear.test", LINEAR_RTOL)
    for name in ("pagerank", "personalised_pagerank"):
        case.close(predictions(name) / 1e4, f"out.{name}", 1e-8)
