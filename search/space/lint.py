"""What a space file allows and hardly anybody means, with its line: ranges without log, pruners that cannot stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import cast

from licap.fields import Scalar
from licap.model_configs import ModelConfigs
from licap.spelling import shown
from search.space.dead import find_dead
from search.space.findings import Findings
from search.space.parameter import Parameter
from search.space.rungs import STAGE_LENGTHS, brackets, budgets, grace, stage_length
from search.space.settings import SpaceSettings

# Drawn evenly, nine tries in ten would fall into the highest decade.
_WIDE = 100.0
# A rung that leaves less of its stage than this saves next to nothing.
_LEAST_SAVED = 0.1


def lint(
    settings: SpaceSettings,
    parameters: Sequence[Parameter],
    base: Mapping[str, Scalar],
    trials: int,
    findings: Findings,
) -> None:
    """Remarks on a space that was read without mistakes. trials: how many there are to be."""
    find_dead(parameters, base, findings)
    if settings.sampler.name != "grid":
        _on_ranges(parameters, findings)
    if settings.pruner.name != "none":
        _on_comparisons(settings, base, trials, findings)
        _on_rungs(settings, parameters, base, findings)


def _on_ranges(parameters: Sequence[Parameter], findings: Findings) -> None:
    for parameter in parameters:
        if parameter.kind == "categorical" or parameter.log or parameter.name.endswith("seed"):
            continue
        low, high = parameter.bounds
        if low > 0 and high / low >= _WIDE:
            plain = parameter.step is None or (parameter.kind == "int" and parameter.step == 1)
            findings.remark(
                ("search", parameter.name),
                f"spans a factor of {high / low:,.0f}, and is drawn evenly: nine tries in ten lie above "
                f"{shown(type(high)(low + (high - low) / 10))}. Add log: true{'' if plain else ' in place of step'}",
            )


def _on_comparisons(settings: SpaceSettings, base: Mapping[str, Scalar], trials: int, findings: Findings) -> None:
    """Too few trials: the first ones at a rung go on whatever they are."""
    pruner = settings.pruner
    if pruner.name == "median":
        needed, key = pruner.startup + 1, "startup"
        compared = trials
    else:
        needed, key = pruner.reduction, "reduction"
        rungs = len(budgets(pruner, base))
        compared = _largest_bracket(rungs, pruner.reduction, trials) if pruner.name == "hyperband" else trials
    if compared < needed:
        there = f"{compared} of {trials} trials are compared" if compared < trials else f"there are {trials} trials"
        findings.remark(
            ("trials",),
            f"{pruner.name} stops nobody: {there}, and the first {needed - 1} at a rung go on. Raise trials, lower "
            f"pruner.{key}, or set pruner: none",
        )


def _largest_bracket(rungs: int, reduction: int, trials: int) -> int:
    """How many trials are in the largest bracket with a rung; no more are counted than compare with each other."""
    sizes: Counter[int] = Counter()
    for first in islice(brackets(rungs, reduction), trials):
        if first < rungs:
            sizes[first] += 1
            if sizes[first] >= reduction:
                return sizes[first]
    return max(sizes.values(), default=0)


def _on_rungs(
    settings: SpaceSettings, parameters: Sequence[Parameter], base: Mapping[str, Scalar], findings: Findings
) -> None:
    """Rungs that trials do not come to, or come to when there is nothing left to save."""
    pruner, length = settings.pruner, stage_length(settings.pruner, base)
    total = sum(cast(int, base[name]) for name in STAGE_LENGTHS)
    models = next((each.choices for each in parameters if each.name == "downstream.model"), (base["downstream.model"],))
    fitted = [str(name) for name in models if not getattr(ModelConfigs(), str(name)).trained]
    if len(fitted) == len(models) and pruner.stage == "downstream" and grace(pruner, base) > 1:
        findings.remark(
            ("pruner",),
            f"{pruner.name} stops nobody: {', '.join(fitted)} {'are' if len(fitted) > 1 else 'is'} fitted in a single "
            f"step, and the first rung lies at epoch {grace(pruner, base)} of the stage. Set pruner: none",
        )
    elif pruner.stage == "pretrain" and grace(pruner, base) >= length:
        findings.remark(
            ("pruner", "grace"),
            f"is {grace(pruner, base)}, and pretraining has {length} epochs: no trial is stopped before its end. "
            "Lower it, lengthen pretrain.max_epochs, or set stage: downstream",
        )
    elif total - budgets(pruner, base)[0] < _LEAST_SAVED * length:
        findings.remark(
            ("pruner", "grace"),
            f"leaves {total - budgets(pruner, base)[0]} of {total} epochs to save at the first rung. Lower it, or set "
            "pruner: none",
        )
