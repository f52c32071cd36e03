"""What is wrong in a space file is said with its line, its key and a remedy; everything at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from licap.commands import program
from licap.config import TrialConfig
from licap.errors import ConfigError
from search.space import SearchSpace

LR = "  pretrain.lr: {type: float, low: 1e-3, high: 1e-1, log: true}"


def entry(name: str, declaration: str) -> str:
    return f"search:\n  {name}: {{{declaration}}}\n"


@pytest.mark.parametrize(
    ("text", "begins", "holds"),
    [
        # keys
        (f"trails: 4\nsearch:\n{LR}\n", "study.yaml:1: trails:", "did you mean trials?"),
        (f"search:\n{LR}\npretrain.lr: 3\n", "study.yaml:3: pretrain.lr:", "Put it under config"),
        (f"search:\n{LR}\nsampler: tpee\n", "study.yaml:3: sampler.name:", "did you mean tpe?"),
        (f"search:\n{LR}\nsampler:\n  nam: tpe\n", "study.yaml:4: sampler.nam:", "did you mean sampler.name?"),
        (
            f"search:\n{LR}\npruner: {{reduction: 1}}\n",
            "study.yaml:3: pruner.reduction:",
            "at least 2 and at most 1000000000 (got 1)",
        ),
        (f"search:\n{LR}\nresources: 2\n", "study.yaml:3: resources:", "cpus, gpus"),
        (
            f"search:\n{LR}\nresources: {{cpus: 0}}\n",
            "study.yaml:3: resources.cpus:",
            "above 0 and at most 1024 (got 0)",
        ),
        (f"search:\n{LR}\ntrials: many\n", "study.yaml:3: trials:", "(got 'many')"),
        (f"search:\n{LR}\ntime_budget: a while\n", "study.yaml:3: time_budget:", "30m"),
        (f"search:\n{LR}\ntrials: 010\n", "study.yaml:3: trials:", "(got 010). Write 10 without leading zeros"),
        (f"search:\n{LR}\ntime_budget: 1:30\n", "study.yaml:3: time_budget:", "Write seconds, or 90s, 30m, 2h"),
        (f"search:\n{LR}\ntime_budget: 010m\n", "study.yaml:3: time_budget:", "(got '010m')"),
        (f"search:\n{LR}\nfolds: [00, 1]\n", "study.yaml:3: folds:", "Write 0 without leading zeros"),
        (f"search:\n{LR}\nname: true\n", "study.yaml:3: name:", "Put it in quotes"),
        (f"search:\n{LR}\npreset: 010\n", "study.yaml:3: preset:", "unknown preset 010"),
        (entry("pretrain.lr", "type: float, low: 01, high: 2"), "study.yaml:2: search.pretrain.lr.low:", "Write 1 "),
        (
            entry("pretrain.heads", "type: int, low: 1, high: 9, step: 02"),
            "study.yaml:2: search.pretrain.heads.step:",
            "Write 2 ",
        ),
        (
            entry("pretrain.heads", "type: categorical, choices: [4, 010]"),
            "study.yaml:2: search.pretrain.heads.choices[1]:",
            "0o10",
        ),
        (f"search:\n{LR}\nmetric: spaerman\n", "study.yaml:3: metric:", "did you mean spearman?"),
        (f"search:\n{LR}\nname: a/b\n", "study.yaml:3: name:", "letters, digits"),
        (f"search:\n{LR}\npreset: publishd\n", "study.yaml:3: preset:", "did you mean published?"),
        ("trials: 3\nsearch:\n", "study.yaml:2: search:", "names no parameter"),
        ("trials: 3\n", "study.yaml:1: search:", "names no parameter"),
        ("search: [pretrain.lr]\n", "study.yaml:1: search:", "must be a mapping"),
        # config
        (f"config:\n  pretrain: {{lrr: 1}}\nsearch:\n{LR}\n", "study.yaml:2: config.pretrain.lrr:", "pretrain.lr?"),
        (f"config:\n  downstream.lr: fast\nsearch:\n{LR}\n", "study.yaml:2: config.downstream.lr:", "(got 'fast')"),
        (f"config:\n  data: struct\nsearch:\n{LR}\n", "study.yaml:2: config.data:", "it is a group"),
        (f"config:\n  preset: published\nsearch:\n{LR}\n", "study.yaml:2: config.preset:", "top of the file"),
        (f"config: 3\nsearch:\n{LR}\n", "study.yaml:1: config:", "must be a mapping"),
        (
            f"config:\n  fold: 1\n  data.path: x\n  data: {{path: y}}\nsearch:\n{LR}\n",
            "study.yaml:4: config.data.path:",
            "first on line 3",
        ),
        (f"config:\n  pretrain.lr: 1\nsearch:\n{LR}\n", "study.yaml:4: search.pretrain.lr:", "under config, line 2"),
        (
            f"config: {{pretrain.beta.p: 0.7}}\nsearch:\n{LR}\n",
            "study.yaml:1: config.pretrain.beta.p:",
            "allow_unordered",
        ),
        # parameters
        (entry("pretrain.lrr", "type: float, low: 1, high: 2"), "study.yaml:2: search.pretrain.lrr:", "pretrain.lr?"),
        ("search:\n  pretrain:\n    lr: {type: float}\n", "study.yaml:2: search.pretrain:", "full dotted name"),
        ("search:\n  pretrain.lr: 0.1\n", "study.yaml:2: search.pretrain.lr:", "must be a mapping"),
        (entry("pretrain.lr", "low: 1, high: 2"), "study.yaml:2: search.pretrain.lr:", "type is missing"),
        (entry("pretrain.lr", "type: flaot"), "study.yaml:2: search.pretrain.lr.type:", "did you mean float?"),
        (entry("pretrain.lr", "type: int, low: 1, high: 2"), "study.yaml:2: search.pretrain.lr.type:", "float or cat"),
        (
            entry("pretrain.heads", "type: float, low: 1, high: 2"),
            "study.yaml:2: search.pretrain.heads.type:",
            "int or",
        ),
        (entry("downstream.input", "type: int"), "study.yaml:2: search.downstream.input.type:", "must be categorical"),
        (entry("pretrain.lr", "type: float, low: 1"), "study.yaml:2: search.pretrain.lr.high:", "is missing"),
        (entry("pretrain.lr", "type: float, low: 1, hgh: 2"), "study.yaml:2: search.pretrain.lr.hgh:", "high?"),
        (entry("pretrain.lr", "type: float, choices: [1]"), "study.yaml:2: search.pretrain.lr.choices:", "no meaning"),
        (entry("pretrain.lr", "type: float, low: a, high: 1"), "study.yaml:2: search.pretrain.lr.low:", "(got 'a')"),
        (entry("pretrain.lr", "type: float, low: 2, high: 1"), "study.yaml:2: search.pretrain.lr.high:", "Swap them"),
        (
            entry("pretrain.lr", "type: float, low: 1, high: 1"),
            "study.yaml:2: search.pretrain.lr.high:",
            "under config",
        ),
        (entry("pretrain.lr", "type: float, low: 0, high: 1"), "study.yaml:2: search.pretrain.lr.low:", "above 0"),
        (
            entry("pretrain.eta1", "type: float, low: 0, high: 1, log: true"),
            "study.yaml:2: search.pretrain.eta1.low:",
            "log: false",
        ),
        (
            entry("pretrain.lr", "type: float, low: 1, high: 2, log: 1"),
            "study.yaml:2: search.pretrain.lr.log:",
            "true or false",
        ),
        (
            entry("pretrain.lr", "type: float, low: 1, high: 2, log: true, step: 0.5"),
            "study.yaml:2: search.pretrain.lr.step:",
            "log scale",
        ),
        (
            entry("pretrain.lr", "type: float, low: 1, high: 2, step: 0.3"),
            "study.yaml:2: search.pretrain.lr.step:",
            "write high: 1.9",
        ),
        (
            entry("pretrain.lr", "type: float, low: 1, high: 2, step: 3"),
            "study.yaml:2: search.pretrain.lr.step:",
            "wider than the range",
        ),
        (
            entry("pretrain.heads", "type: int, low: 1, high: 8, step: 0"),
            "study.yaml:2: search.pretrain.heads.step:",
            "at least 1 (got 0)",
        ),
        (
            entry("pretrain.heads", "type: int, low: 1, high: 8.5"),
            "study.yaml:2: search.pretrain.heads.high:",
            "whole number",
        ),
        (entry("fold", "type: int, low: 0, high: 5"), "study.yaml:2: search.fold.high:", "at most 4 (got 5)"),
        (
            entry("downstream.input", "type: categorical, choices: features"),
            "study.yaml:2: search.downstream.input.choices:",
            "must be a list",
        ),
        (
            entry("downstream.input", "type: categorical, choices: []"),
            "study.yaml:2: search.downstream.input.choices:",
            "needs a value at least",
        ),
        (
            entry("downstream.input", "type: categorical, choices: [features, featrues]"),
            "study.yaml:2: search.downstream.input.choices[1]:",
            "did you mean features?",
        ),
        (
            entry("pretrain.heads", "type: categorical, choices: [4, 8, 4.0]"),
            "study.yaml:2: search.pretrain.heads.choices[2]:",
            "4 stands twice",
        ),
        (
            entry("pretrain.heads", "type: int, low: 1, high: 2, default: 0"),
            "study.yaml:2: search.pretrain.heads.default:",
            "at least 1",
        ),
        (
            f"sampler: grid\nsearch:\n{LR}\n",
            "study.yaml:3: search.pretrain.lr:",
            "needs a step for sampler grid",
        ),
        # rules that join fields
        (
            entry("pretrain.beta.p", "type: float, low: 0.3, high: 0.7"),
            "study.yaml:2: search.pretrain.beta.p:",
            "above 0.5",
        ),
        (
            entry("pretrain.eta1", "type: float, low: 0, high: 1")
            + "  pretrain.eta2: {type: float, low: 0, high: 1}\n",
            "study.yaml:2: search.pretrain.eta1:",
            "pretrain.eta2 = 0.0",
        ),
        (
            "search:\n  pretrain.eta2: {type: categorical, choices: [0, 1]}\nconfig: {pretrain.eta1: 0}\n",
            "study.yaml:3: config.pretrain.eta1:",
            "both 0",
        ),
        # pruner
        (
            entry("downstream.max_epochs", "type: int, low: 10, high: 20"),
            "study.yaml:2: search.downstream.max_epochs:",
            "pruner: none",
        ),
        (f"search:\n{LR}\npruner: {{grace: 400}}\n", "study.yaml:3: pruner.grace:", "stage of 400 epochs"),
    ],
)
def test_one_mistake_is_refused_at_its_line(refusal: Any, text: str, begins: str, holds: str) -> None:
    lines = refusal(text)
    assert len(lines) == 1, lines
    assert lines[0].startswith(begins) and holds in lines[0], lines


KIND = "  pretrain.bins.kind: {type: categorical, choices: [length, quantile]}\n"
COUNT = "  pretrain.bins.count: {type: int, low: 2, high: 8, when: {pretrain.bins.kind: quantile}}\n"


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{pretrain.bins.knd: length}", "did you mean pretrain.bins.kind?"),
        ("{pretrain.bins.kind: lenght}", "did you mean length?"),
        ("{pretrain.bins.kind: equal-width}", "equal-width is no value of pretrain.bins.kind"),
        ("{pretrain.bins.kind: []}", "can never hold"),
        ("{pretrain.bins.count: 9}", "can never hold: 9 is no value of pretrain.bins.count (2 to 8)"),
        ("{pretrain.eta2: 1}", "is a float range"),
        ("{pretrain.beta.p: 0.5}", "cannot be its own condition"),
        ("{data.features: semantic}", "fixed at struct"),
        ("{pretrain.bins.kind: length, pretrain.bins.count: 4}", "different values of pretrain.bins.kind"),
        ("length", "must name a parameter and its values"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(refusal: Any, when: str, holds: str) -> None:
    eta = "  pretrain.eta2: {type: float, low: 0.1, high: 1}\n"
    child = f"  pretrain.beta.p: {{type: float, low: 0.1, high: 0.5, when: {when}}}\n"
    (line,) = refusal(f"search:\n{KIND}{COUNT}{eta}{child}")
    assert line.startswith("study.yaml:5: search.pretrain.beta.p.when") and holds in line, line


def test_conditions_in_a_circle_are_refused(refusal: Any) -> None:
    (line,) = refusal(
        """
        search:
          pretrain.heads: {type: int, low: 1, high: 8, when: {pretrain.hidden: 4}}
          pretrain.hidden: {type: int, low: 1, high: 8, when: {pretrain.heads: 4}}
        """
    )
    assert line.startswith("study.yaml:4:") and "pretrain.heads -> pretrain.hidden -> pretrain.heads" in line


@pytest.mark.parametrize(
    ("point", "begins", "holds"),
    [
        ("{pretrain.lr: 0.5}", "start[1].pretrain.lr:", "0.5 lies outside the space: 0.001 to 0.1 (log)"),
        ("{pretrain.lr: fast}", "start[1].pretrain.lr:", "(got 'fast')"),
        ("{pretrain: {lr: 0.5}}", "start[1].pretrain.lr:", "0.5 lies outside the space"),
        ("{pretrain.lrr: 0.1}", "start[1].pretrain.lrr:", "did you mean pretrain.lr?"),
        ("{downstream.lr: 0.1}", "start[1].downstream.lr:", "is not searched (fixed at 0.005)"),
        ("{pretrain.bins.kind: equal-width}", "start[1].pretrain.bins.kind:", "one of length, quantile"),
        ("{pretrain.bins.count: 3}", "start[1].pretrain.bins.count:", "needs pretrain.bins.kind = quantile"),
        ("{pretrain.bins.kind: quantile, pretrain.bins.count: 9}", "start[1].pretrain.bins.count:", "2 to 8"),
        ("{pretrain.hidden: 5}", "start[1].pretrain.hidden:", "5 lies outside the space: 2 to 8 in steps of 2"),
        ("[0.1]", "start[1]:", "must be a mapping"),
        ("0.1", "start[1]:", "must be a mapping"),
    ],
)
def test_a_starting_point_outside_the_space_is_refused(refusal: Any, point: str, begins: str, holds: str) -> None:
    hidden = "  pretrain.hidden: {type: int, low: 2, high: 8, step: 2}\n"
    (line,) = refusal(f"search:\n{LR}\n{KIND}{COUNT}{hidden}start:\n  - {{}}\n  - {point}\n")
    assert line.startswith(f"study.yaml:8: {begins}") and holds in line, line


def test_a_starting_point_may_not_lean_on_a_default_outside_the_space(refusal: Any) -> None:
    (line,) = refusal("search:\n  pretrain.lr: {type: float, low: 0.01, high: 0.1}\nstart:\n  - {}\n")
    assert line.startswith("study.yaml:4: start[0]:") and "leaves out pretrain.lr, whose default 0.005" in line


def test_a_starting_point_that_breaks_a_rule_is_refused_at_its_line(refusal: Any) -> None:
    lines = refusal(
        """
        search:
          data.dataset: {type: categorical, choices: [auto, synthetic]}
          pretrain.eta1: {type: categorical, choices: [0, 1]}
          pretrain.eta2: {type: categorical, choices: [0, 1]}
        start:
          - {pretrain.eta1: 0, pretrain.eta2: 0}
        """
    )
    assert any(line.startswith("study.yaml:7: start[0]: pretrain.eta1") and "both 0" in line for line in lines), lines


def test_all_mistakes_come_at_once_in_the_order_of_lines(refusal: Any) -> None:
    lines = refusal(
        """\
        trials: -1
        config:
          downstream.lr: abc
        search:
          pretrain.lr: {type: float, low: 1, high: 1e-1}
          pretrain.beta.p: {type: float, low: 0.3, high: 0.7}
          pretrain.bins.count: {type: int, low: 2, high: 3.5, when: {pretrain.bins.knd: length}}
        start:
          - {pretrain.beta.p: 0.9}
          - {pretrain.lr: 0.1}
        metric: best
        """
    )
    assert [int(line.split(":")[1]) for line in lines] == [1, 3, 5, 6, 7, 7, 9, 11]


def test_a_broken_entry_is_not_blamed_on_its_starting_points(refusal: Any) -> None:
    text = f"search:\n{LR}\n  pretrain.heads: {{type: int, low: 0, high: 8}}\nstart: [{{pretrain.heads: 3}}]\n"
    (line,) = refusal(text)
    assert line.startswith("study.yaml:3: search.pretrain.heads.low:")


def test_a_key_given_twice_names_both_lines(refusal: Any) -> None:
    (line,) = refusal(f"search:\n{LR}\n{LR}\n")
    assert line.startswith("study.yaml:3:") and "first on line 2" in line


@pytest.mark.parametrize("text", ["- 1\n", "search: [\n", "a: b: c\n", "search: {a: *b}\n"])
def test_what_is_no_mapping_is_refused_with_its_line(refusal: Any, text: str) -> None:
    (line,) = refusal(text)
    assert line.startswith("study.yaml:")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: no such file"):
        SearchSpace.load(tmp_path / "nowhere.yaml")


def test_an_option_of_another_model_is_refused_with_the_remedy(read: Any) -> None:
    with pytest.raises(ConfigError, match=r"search\.downstream\.rgtn\.heads: has no effect: downstream\.model is geni"):
        read("search: {downstream.rgtn.heads: {type: int, low: 1, high: 4}}\n")


def test_options_of_several_models_need_their_conditions(read: Any) -> None:
    text = """
    search:
      downstream.model: {type: categorical, choices: [geni, gcn]}
      downstream.geni.heads: {type: int, low: 1, high: 4}
      downstream.gcn.hidden: {type: int, low: 8, high: 64, when: {downstream.model: [geni, gcn]}}
    """
    with pytest.raises(ConfigError) as caught:
        read(text)
    heads, hidden = sorted(str(caught.value).splitlines())
    assert "downstream.geni.heads: would also be searched for gcn" in heads
    assert "Give it when: {downstream.model: geni}" in heads
    assert "downstream.gcn.hidden: would also be searched for geni" in hidden
    space = read(text.replace("high: 4}", "high: 4, when: {downstream.model: geni}}").replace("[geni, gcn]}}", "gcn}}"))
    assert len(space.parameters) == 3


@pytest.mark.parametrize(
    "text",
    [TrialConfig().to_yaml(), "pretrain.lr: 0.1\npretrain.unknown: 3\n", "preset: published\nseed: 1\nfold: 0\n"],
    ids=["an exported one", "one with a mistake", "one with a preset"],
)
def test_the_config_of_a_trial_is_told_where_it_belongs_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.from_text(text, source="my best.yaml")
    assert str(caught.value) == (
        "my best.yaml: this is the config of one trial, not a space file. "
        f"Run it with `{program('licap', 'run', Path('my best.yaml'))}`."
    )


def test_all_mistakes_of_an_entry_come_at_once(refusal: Any) -> None:
    text = (
        "search:\n  split_seed: {type: int, low: 1.5, high: x, log: 3, foo: 2}\n"
        "  pretrain.encoder: {type: categorical, choices: [zz], default: foo}\nconfig: {unknown: {}, pretrain: {}}\n"
    )
    keys = [line.split(": ")[1] for line in refusal(text)]
    entry = [f"search.split_seed.{key}" for key in ("foo", "low", "high", "log")]
    assert sorted(keys) == sorted(
        [*entry, "search.pretrain.encoder.choices[0]", "search.pretrain.encoder.default", "config.unknown"]
    )
