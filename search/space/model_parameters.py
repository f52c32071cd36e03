"""Refuses searched options of a model where that model is not the one that runs: trials would differ in name only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from licap.config import TrialConfig
from licap.fields import Scalar, specs_of
from licap.model_configs import MODEL_NAMES
from search.space.conditions import requirements
from search.space.findings import Findings
from search.space.parameter import Parameter

_MODEL = "downstream.model"


def check_model_parameters(parameters: Iterable[Parameter], base: Mapping[str, Scalar], findings: Findings) -> None:
    """Adds a finding for each parameter `downstream.MODEL.…` that counts beside another model, or without its own."""
    by_name = {parameter.name: parameter for parameter in parameters}
    for name in by_name:
        owner = _owner(name)
        if owner is None:
            continue
        if _MODEL not in by_name:
            if base[_MODEL] != owner:
                findings.add(
                    ("search", name),
                    f"has no effect: {_MODEL} is {base[_MODEL]}. Take it out, or set {_MODEL} to {owner}",
                )
            continue
        allowed = requirements(name, by_name).get(_MODEL, by_name[_MODEL].values() or ())
        others = [str(value) for value in allowed if value != owner]
        if len(others) == len(allowed):
            findings.add(
                ("search", name),
                f"has no effect: {_MODEL} is never {owner} where it counts ({', '.join(others)}). Take it out, or "
                f"search {_MODEL} with {owner} among its values",
            )
        elif others:
            findings.add(
                ("search", name),
                f"would also be searched for {', '.join(others)}, where it has no effect. "
                f"Give it when: {{{_MODEL}: {owner}}}",
            )


def _owner(name: str) -> str | None:
    """The model whose option this is; None for what several models share."""
    need = next((each for each in specs_of(TrialConfig)[name].acts if each.key == _MODEL), None)
    owners = [model for model in MODEL_NAMES if need is not None and need.fits(model)]
    return owners[0] if len(owners) == 1 else None
