"""What is searched and yet changes nothing: options that only count beside values which this space never proposes.

Where only some trials would not notice a parameter, nothing is said: a search that tries inputs with and without
embeddings has no way around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from licap.config import TrialConfig
from licap.fields import Scalar, specs_of
from licap.spelling import shown
from search.space.conditions import requirements
from search.space.findings import Findings
from search.space.parameter import Parameter
from search.space.rungs import longest

_STAGES = ("pretrain", "downstream")


def find_dead(parameters: Sequence[Parameter], base: Mapping[str, Scalar], findings: Findings) -> None:
    """Remarks on each parameter that no trial would notice, at its line."""
    by_name = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters:
        reason = next(_reasons(parameter, by_name, base), None)
        if reason is not None:
            findings.remark(("search", parameter.name), f"has no effect: {reason}")


def _reasons(parameter: Parameter, by_name: Mapping[str, Parameter], base: Mapping[str, Scalar]) -> Iterator[str]:
    """Why a parameter has no effect, with a remedy."""
    needs = requirements(parameter.name, by_name)
    for need in specs_of(TrialConfig)[parameter.name].acts:
        values = needs.get(need.key) or _taken(need.key, by_name, base)
        if values and not any(need.fits(value) for value in values):
            yield (
                f"{need.key} is {' or '.join(map(shown, values))} wherever it counts. "
                f"Take it out, or let {need.key} be {need.words}"
            )
    if parameter.when and parameter.values() == (base[parameter.name],):
        yield (
            f"its only value, {shown(base[parameter.name])}, is what it has where the condition does not hold. "
            "Take it out, or give another value"
        )
    stage, _, rest = parameter.name.partition(".")
    if rest == "patience" and stage in _STAGES and parameter.kind == "int":
        length = longest(list(by_name.values()), base, [f"{stage}.max_epochs"])
        if cast(int, parameter.low) >= length:
            yield (
                f"no trial waits {shown(parameter.low)} epochs in a stage of {length}. "
                f"Lower it, or lengthen {stage}.max_epochs"
            )


def _taken(name: str, by_name: Mapping[str, Parameter], base: Mapping[str, Scalar]) -> tuple[Scalar, ...]:
    """The values that trials may have, the ends of a range for all of it; also what stands in for a conditional one."""
    if name not in by_name:
        return (base[name],)
    values = by_name[name].extremes()
    return (*values, base[name]) if by_name[name].when else values
