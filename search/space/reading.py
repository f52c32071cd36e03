"""A space file to a SearchSpace: section by section, every problem collected before anything is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from licap.commands import program
from licap.config import TrialConfig
from licap.errors import ConfigError
from licap.fields import Scalar, is_group, parse_all, specs_of, updated
from licap.metrics import METRICS, Metric, metric
from licap.presets import preset_values
from licap.spelling import shown
from licap.suggestions import nearest_key
from licap.yaml_file import Path_, YamlDocument
from search.space.conditions import Surroundings, settle
from search.space.corners import check_combinations
from search.space.declare import INVALID, declare, parsed
from search.space.findings import OVERRIDE, Findings
from search.space.folds import read_folds
from search.space.grid import grid_size, num_points
from search.space.lint import lint
from search.space.model_parameters import check_model_parameters
from search.space.notes import Counts, notes_on
from search.space.overrides import SECTIONS, SHORTHANDS, Overridden, apply_overrides, file_keys
from search.space.parameter import Parameter
from search.space.rungs import STAGE_LENGTHS, budgets, stage_length
from search.space.settings import (
    MAX_STUDY_NAME,
    MOST_TRIALS,
    USUAL_TRIALS,
    SpaceSettings,
    is_study_name,
    seconds,
    study_name_of,
)
from search.space.space import SearchSpace
from search.space.starting import leaves, read_starting_points

# Settings that may be written as 90s, 30m, 2h.
_DURATIONS = ("time_budget", "trial_timeout", "checkpoint_every")


def read_space(document: YamlDocument, stem: str, overrides: Sequence[str]) -> SearchSpace:
    """Reads and checks everything. stem: the study's name where the file gives none. Raises: ConfigError."""
    _refuse_trial_config(document)
    given = apply_overrides(document, overrides)
    findings = given.findings
    settings = _read_settings(given.data, findings)
    fixed = _read_fixed(given)
    parameters = _read_parameters(given, fixed)
    searched = [parameter.name for parameter in parameters.settled]
    folds = read_folds(given.data.get("folds"), fixed.places, searched, findings)
    base = {**fixed.values, **parameters.defaults, **({"fold": folds[0]} if folds else {})}
    starting_points = read_starting_points(
        given.data.get("start"), parameters.settled, base, parameters.without_a_say, findings
    )
    _check_pruner(settings, parameters.settled, base, findings)
    _check_grid(settings, parameters.settled, findings)
    places = {**fixed.places, **{parameter.name: ("search", parameter.name) for parameter in parameters.settled}}
    check_combinations(parameters.settled, base, starting_points, places, findings)
    chosen = _metric(settings.metric, findings)
    findings.refuse()
    size = grid_size(parameters.settled, [*starting_points.values()]) if settings.sampler.name == "grid" else None
    trials = min(settings.trials or size or USUAL_TRIALS, MOST_TRIALS)
    lint(settings, parameters.settled, base, trials, findings)
    return SearchSpace(
        name=settings.name or study_name_of(stem),
        metric=chosen,
        base=base,
        parameters=parameters.settled,
        starting_points=tuple(starting_points.values()),
        folds=folds,
        sampler=settings.sampler,
        pruner=settings.pruner,
        resources=settings.resources,
        cache=settings.cache,
        trials=trials,
        time_budget_s=settings.time_budget,
        trial_timeout_s=settings.trial_timeout,
        stop_after_failures=settings.stop_after_failures,
        max_concurrent=settings.max_concurrent,
        seed=settings.seed,
        max_failures=settings.max_failures,
        checkpoint_every_s=settings.checkpoint_every,
        report_every=settings.report_every,
        source=document.source,
        notes=(
            *findings.remarks,
            *parameters.dropped,
            *notes_on(
                settings,
                parameters.settled,
                base,
                Counts(trials, size or num_points(parameters.settled), len(starting_points)),
            ),
        ),
    )


def _refuse_trial_config(document: YamlDocument) -> None:
    """One line for a config of a single trial, instead of one for each of its keys. Raises: ConfigError."""
    there = {str(key).split(".")[0] for key in document.data}
    of_trials = {name.split(".")[0] for name in specs_of(TrialConfig)}
    if there & (of_trials - {"seed"}) and not there & (set(file_keys()) - {"seed", "preset"}):
        raise ConfigError(
            f"{document.source}: this is the config of one trial, not a space file. "
            f"Run it with `{program('licap', 'run', Path(document.source))}`."
        )


def _read_settings(data: Mapping[str, Any], findings: Findings) -> SpaceSettings:
    flat: dict[str, object] = {}
    groups = dict.fromkeys(name.split(".")[0] for name in specs_of(SpaceSettings) if "." in name)
    single = [name for name in specs_of(SpaceSettings) if "." not in name]
    for key, value in ((str(key), value) for key, value in data.items()):
        if key in SECTIONS:
            continue
        if key in groups:
            flat |= _group(key, value, findings)
        elif key in single:
            flat[key] = seconds(value) if key in _DURATIONS else value
        else:
            findings.add((key,), _unknown_key(key, [*single, *groups, *SECTIONS]))
    good, problems = parse_all(SpaceSettings, flat)
    for problem in problems:
        hint = ". Write seconds, or 90s, 30m, 2h" if problem.key in _DURATIONS else ""
        findings.add(tuple(problem.key.split(".")), problem.message + hint)
    name = good.get("name")
    if isinstance(name, str) and not is_study_name(name):
        findings.add(
            ("name",),
            f"must be at most {MAX_STUDY_NAME} letters, digits, dots, dashes and underscores (got {name!r})",
        )
    return updated(SpaceSettings(), good)


def _unknown_key(key: str, valid: Sequence[str]) -> str:
    if key in specs_of(TrialConfig) or key.split(".")[0] in {name.split(".")[0] for name in specs_of(TrialConfig)}:
        return "belongs to the trial config. Put it under config to fix it, or under search to search it"
    return f"unknown key{nearest_key(key, valid) or '; valid here: ' + ', '.join(valid)}"


def _group(key: str, value: object, findings: Findings) -> dict[str, object]:
    """`sampler: tpe` and `sampler: {name: tpe}` alike, as dotted values."""
    if isinstance(value, Mapping):
        return {f"{key}.{name}": item for name, item in value.items()}
    if key in SHORTHANDS and value is not None:
        return {f"{key}.name": value}
    inner = [name.removeprefix(f"{key}.") for name in specs_of(SpaceSettings) if name.startswith(f"{key}.")]
    name = "a name, or " if key in SHORTHANDS else ""
    findings.add((key,), f"must be {name}a mapping with some of {', '.join(inner)} (got {shown(value)})")
    return {}


@dataclass(frozen=True)
class _Fixed:
    """The trial config without its search: every value, and where the file or command line gives one."""

    values: Mapping[str, Scalar]
    places: Mapping[str, Path_]


def _read_fixed(given: Overridden) -> _Fixed:
    """Defaults, then preset, then `config`, then `--set`."""
    findings, specs = given.findings, specs_of(TrialConfig)
    values = {name: spec.default for name, spec in specs.items()}
    preset = given.data.get("preset")
    try:
        values |= preset_values(preset, _named_model(given)) if preset is not None else {}
    except ValueError as error:
        findings.add(("preset",), str(error))
    places: dict[str, Path_] = {}
    section = given.data.get("config")
    if section is not None and not isinstance(section, Mapping):
        findings.add(("config",), f"must be a mapping of names to values (got {shown(section)})")
        section = None
    for name, raw, path in leaves(section or {}, ("config",)):
        if name in places:
            findings.add(path, f"stands twice, first on line {findings.line(places[name])}. Keep one of the two")
        elif name not in specs:
            findings.add(path, _unknown_field(name, raw))
        else:
            places[name] = path
            values[name] = _value(name, raw, path, values[name], findings)
    for name, raw in given.fixed.items():
        places[name] = (OVERRIDE, name)
        values[name] = _value(name, raw, places[name], values[name], findings)
    return _Fixed(values, places)


def _named_model(given: Overridden) -> object:
    """`downstream.model` as the command line or the file gives it: presets differ by model."""
    section = given.data.get("config")
    named = {name: raw for name, raw, _ in leaves(section if isinstance(section, Mapping) else {}, ("config",))}
    return given.fixed.get("downstream.model", named.get("downstream.model"))


def _unknown_field(name: str, raw: object) -> str:
    if name == "preset":
        return "stands at the top of the file, not under config"
    _, problems = parse_all(TrialConfig, {name: raw})
    return problems[0].message


def _value(name: str, raw: object, path: Path_, otherwise: Scalar, findings: Findings) -> Scalar:
    value = parsed(specs_of(TrialConfig)[name], raw, path, findings)
    return otherwise if value is INVALID else cast(Scalar, value)


@dataclass(frozen=True)
class _Searched:
    """The `search` section. without_a_say: names that starting points may hold and that are passed over there."""

    settled: tuple[Parameter, ...]
    defaults: Mapping[str, Scalar]
    without_a_say: frozenset[str]
    dropped: tuple[str, ...]


def _read_parameters(given: Overridden, fixed: _Fixed) -> _Searched:
    findings, specs = given.findings, specs_of(TrialConfig)
    section = given.data.get("search")
    if not section:
        findings.add(("search",), "names no parameter. Give at least one, or run a single config with `licap run`")
    if section and not isinstance(section, Mapping):
        findings.add(("search",), "must be a mapping, as pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}")
    section = section if isinstance(section, Mapping) else {}
    declared = {str(name): entry for name, entry in section.items()}
    found: list[Parameter] = []
    for name, entry in declared.items():
        if name not in specs:
            findings.add(("search", name), _unknown_parameter(name, entry))
        elif name not in given.fixed:
            if name in fixed.places:
                line = findings.line(fixed.places[name])
                findings.add(("search", name), f"is fixed under config, line {line}, as well. Keep one of the two")
            parameter = declare(name, entry, findings)
            found += [] if parameter is None else [parameter]
    if declared and set(declared) <= set(given.fixed):
        findings.add((OVERRIDE, ", ".join(declared)), "fixes all there is to search. Leave one out, or use `licap run`")
    searched = frozenset(declared) - set(given.fixed)
    base = {**fixed.values, **_defaults({name: declared[name] for name in declared if name in searched}, findings)}
    raw_when = {
        name: declared[name]["when"]
        for name in declared
        if name in searched and isinstance(declared[name], Mapping) and "when" in declared[name]
    }
    settled = settle(found, raw_when, Surroundings(searched, base, frozenset(given.fixed)), findings)
    check_model_parameters(settled, base, findings)
    names = {parameter.name for parameter in settled}
    return _Searched(
        settled,
        {name: base[name] for name in base if name in searched},
        frozenset(declared) - names | set(given.fixed),
        tuple(f"{p.name} is not searched: its condition cannot hold with --set." for p in found if p.name not in names),
    )


def _unknown_parameter(name: str, entry: object) -> str:
    if isinstance(entry, Mapping) and is_group(name, specs_of(TrialConfig)):
        return "is a group. Write the parameter's full dotted name here, as pretrain.lr: {type: float, …}"
    _, problems = parse_all(TrialConfig, {name: entry})
    return problems[0].message.replace("unknown key", "unknown parameter")


def _defaults(declared: Mapping[str, Any], findings: Findings) -> dict[str, Scalar]:
    """`default:` of the entries: what stands in where a parameter does not count or a starting point leaves it out."""
    defaults: dict[str, Scalar] = {}
    for name, entry in declared.items():
        if name in specs_of(TrialConfig) and isinstance(entry, Mapping) and "default" in entry:
            value = parsed(specs_of(TrialConfig)[name], entry["default"], ("search", name, "default"), findings)
            if value is not INVALID:
                defaults[name] = cast(Scalar, value)
    return defaults


def _check_pruner(
    settings: SpaceSettings, parameters: Sequence[Parameter], base: Mapping[str, Scalar], findings: Findings
) -> None:
    if settings.pruner.name == "none":
        return
    searched = [parameter.name for parameter in parameters if parameter.name in STAGE_LENGTHS]
    for name in searched:
        findings.add(
            ("search", name),
            f"a stage's length can be searched without a pruner only, since {settings.pruner.name} compares trials at "
            "equal epochs. Fix it under config, or set pruner: none",
        )
    if settings.pruner.name == "median" and settings.pruner.stage == "pretrain":
        findings.add(
            ("pruner", "stage"),
            "median sets values of stopped trials against later ones, and those of pretraining come from a probe. "
            "Leave out stage, or take asha",
        )
    if not searched and not budgets(settings.pruner, base):
        length = stage_length(settings.pruner, base)
        findings.add(
            ("pruner", "grace"),
            f"leaves no rung below the end of the stage of {length} epochs, so nothing would be stopped. Lower it, "
            "lengthen the stage, or set pruner: none",
        )


def _check_grid(settings: SpaceSettings, parameters: Sequence[Parameter], findings: Findings) -> None:
    for parameter in parameters if settings.sampler.name == "grid" else ():
        if parameter.kind == "float" and parameter.step is None:
            findings.add(
                ("search", parameter.name),
                "needs a step for sampler grid. Give step, or make it categorical with choices",
            )


def _metric(name: str, findings: Findings) -> Metric:
    try:
        return metric(name)
    except ConfigError as error:
        findings.add(("metric",), str(error))
        return METRICS[SpaceSettings().metric]
