"""The valid name that was probably meant: by what others call it, by its spelling, by its last word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean X?` for a misspelt name, empty where nothing is near."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def nearest_key(name: str, valid: Iterable[str]) -> str:
    """`; did you mean X?` for a dotted key that is unknown: by what others call it, its spelling, its last word."""
    valid = list(valid)
    parent, _, leaf = name.rpartition(".")
    usual = leaf.lower().replace("-", "_")
    if usual in _ABSENT:
        return f": {_ABSENT[usual]}"
    named = [each for each in valid if each.rpartition(".")[2] in _USUAL_NAMES.get(usual, "").split()]
    named = [each for each in named if not parent or each.startswith(f"{parent}.")]
    if named:
        return _did_you_mean(named)
    same_leaf = [each for each in valid if each.rpartition(".")[2] == leaf]
    return nearest(name, valid) or (_did_you_mean(same_leaf) if same_leaf else "")


def _did_you_mean(names: Sequence[str]) -> str:
    *others, last = names[:_MOST_NAMED]
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"


# What other programs and papers call our keys: last words, each with ours. Spelling alone leads astray.
_USUAL_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("learning_rate", "learningrate", "lr_rate", "step_size"), "lr"),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "n_epochs"), "max_epochs"),
    **dict.fromkeys(("wd", "l2", "l2_reg", "decay"), "weight_decay"),
    **dict.fromkeys(("grad_clip", "gradient_clip", "clip_grad", "max_grad_norm", "clip"), "clip_norm"),
    **dict.fromkeys(("early_stopping", "early_stop"), "patience"),
    **dict.fromkeys(("gamma", "top_ratio", "imp"), "imp_ratio"),
    **dict.fromkeys(("rho", "non_top_ratio"), "nontop_ratio"),
    **dict.fromkeys(("tau", "temp"), "temperature"),
    **dict.fromkeys(("eta", "loss_weight"), "eta1 eta2"),
    **dict.fromkeys(("num_bins", "n_bins"), "count"),
    **dict.fromkeys(("bin_length", "bin_width", "width"), "length"),
    **dict.fromkeys(("num_layers", "n_layers", "depth"), "layers"),
    **dict.fromkeys(("num_heads", "n_heads", "nheads", "attention_heads"), "heads"),
    **dict.fromkeys(("hidden_dim", "hidden_size", "num_hidden", "n_hidden", "hidden_units"), "hidden"),
    **dict.fromkeys(("embedding_dim", "embed_dim", "emb_dim", "out_size", "output_dim"), "out_dim"),
    **dict.fromkeys(("rel_dim", "edge_dim"), "relation_dim"),
    **dict.fromkeys(("dropout_rate", "drop_rate", "drop"), "dropout"),
    **dict.fromkeys(("random_seed", "random_state"), "seed"),
    **dict.fromkeys(("num_threads", "n_threads", "n_jobs", "num_workers", "workers"), "threads max_concurrent"),
    **dict.fromkeys(("gpu", "cuda"), "device gpus"),
    **dict.fromkeys(("cpu", "cores"), "cpus"),
    **dict.fromkeys(("num_trials", "n_trials", "max_trials", "num_samples", "samples"), "trials"),
    **dict.fromkeys(("timeout", "time_limit", "max_time"), "time_budget"),
    **dict.fromkeys(("objective", "target", "monitor"), "metric"),
    **dict.fromkeys(("algorithm", "search_alg"), "sampler"),
    "scheduler": "pruner",
}
_ABSENT: Mapping[str, str] = {
    **dict.fromkeys(
        ("batch_size", "batch", "batches", "minibatch"), "there are no batches, for every epoch sees the whole graph"
    ),
    **dict.fromkeys(("optimizer", "optimiser"), "there is no choice, the optimiser is Adam"),
}
_MOST_NAMED = 4
