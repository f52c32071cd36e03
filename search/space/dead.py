"""What is searched and yet changes nothing: options that only count beside values which this space never proposes.

Where only some trials would not notice a parameter, nothing is said: a search that tries inputs with and without
embeddings has no way around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from licap.fields import Scalar
from licap.model_configs import ModelConfigs
from search.space.conditions import requirements
from search.space.findings import Findings
from search.space.parameter import Parameter, shown
from search.space.rungs import longest

_STAGES = ("pretrain", "downstream")
_TRAINED = tuple(each.name for each in fields(ModelConfigs) if getattr(ModelConfigs(), each.name).trained)
_PRETRAINED = ("embeddings", "features+embeddings")
# What an encoder is built from, trained or not.
_BUILT_FROM = ("encoder", "heads", "hidden", "out_dim", "relation_dim", "negative_slope")
_OPTIMISED_BY = ("lr", "weight_decay", "clip_norm", "max_epochs", "patience", "min_epoch")
# Of stage 1 as a stage: joint training has none.
_OF_STAGE_1 = (*_OPTIMISED_BY, "embeddings", "probe_every", "probe_ridge")


@dataclass(frozen=True)
class _Need:
    """Names that count only where another value fits. fits: of that value, said in `words`."""

    names: Callable[[str], bool]
    of: str
    fits: Callable[[Scalar], bool]
    words: str


def _one_of(names: Callable[[str], bool], of: str, *values: Scalar) -> _Need:
    return _Need(names, of, lambda value: value in values, " or ".join(map(shown, values)))


def _each(group: str, *names: str) -> Callable[[str], bool]:
    return lambda name: name in [f"{group}.{each}" for each in names]


def _under(*groups: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(groups)


_of_encoder = _each("pretrain", *_BUILT_FROM)
_NEEDS = (
    _one_of(lambda name: _under("pretrain.")(name) and not _of_encoder(name), "downstream.input", *_PRETRAINED),
    _Need(_of_encoder, "downstream.input", lambda value: value != "features", "another than features"),
    _one_of(_each("pretrain", *_OF_STAGE_1), "pretrain.training", "before"),
    _one_of(_each("pretrain", "relation_dim"), "pretrain.encoder", "pregat"),
    _one_of(_each("pretrain", "bins.length"), "pretrain.bins.kind", "length"),
    _one_of(_each("pretrain", "bins.count"), "pretrain.bins.kind", "equal-width", "quantile"),
    _one_of(_each("pretrain", "beta.p", "beta.scale"), "pretrain.beta.kind", "binomial"),
    _Need(_under("pretrain.bins.", "pretrain.beta."), "pretrain.eta2", lambda value: value != 0, "above 0"),
    _Need(_each("pretrain", "nontop_ratio", "sampling_seed"), "pretrain.eta1", lambda value: value != 0, "above 0"),
    _one_of(_each("downstream", *_OPTIMISED_BY, "labels", "monitor"), "downstream.model", *_TRAINED),
    _one_of(_under("data.node2vec."), "data.features", "struct", "concat", "both"),
    _one_of(_under("data.text."), "data.features", "semantic", "concat", "both"),
    _Need(_under("data.synthetic."), "data.path", lambda value: value is None, "null"),
)


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
    for need in _NEEDS:
        if not need.names(parameter.name) or need.of == parameter.name:
            continue
        values = needs.get(need.of) or _taken(need.of, by_name, base)
        if values and not any(need.fits(value) for value in values):
            yield (
                f"{need.of} is {' or '.join(map(shown, values))} wherever it counts. "
                f"Take it out, or let {need.of} be {need.words}"
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
