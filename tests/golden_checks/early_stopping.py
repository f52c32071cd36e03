"""Early stopping on recorded sequences of scores."""

from __future__ import annotations

from golden_checks.case import Case

from licap.early_stopping import EarlyStopping


def check(case: Case) -> None:
    """Feeds scores until the rule stops, or to their end."""
    assert case["in.kind"].size == 1
    stopping = EarlyStopping(patience=case.number("in.patience"), min_epoch=case.number("in.min_epoch"), save_path="")
    counters, saved = [], []
    for epoch, score in enumerate(case["in.scores"].tolist()):
        if stopping.update(score, epoch):
            saved.append(epoch)
        counters.append(stopping.counter)
        if stopping.early_stop:
            break
    case.equal(len(counters) - 1 if stopping.early_stop else -1, "out.stop_epoch")
    case.equal(stopping.best_epoch, "out.best_epoch")
    case.equal(stopping.best_score, "out.best_score")
    case.equal(counters, "out.counter")
    case.equal(saved, "out.saved_epochs")
