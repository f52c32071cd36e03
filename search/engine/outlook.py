"""What would keep a search from starting, and what it would be called: seen without training or loading anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from licap.config import TrialConfig
from licap.errors import LicapError
from licap.fields import Scalar, specs_of
from search.engine.resources import checked_machine
from search.space import SearchSpace, check_same
from search.study import Study
from search.tracking import preflight, tracking_uri

# Where data are read from.
_PATHS = ("data.path", "data.struct_file", "data.semantic_file")


def outlook(
    space: SearchSpace,
    *,
    root: Path,
    study_name: str | None,
    tracking: str | None,
    ray_address: str | None,
    resume: bool = False,
) -> Iterator[str]:
    """Sentences for people, one each: a name that is taken, then every reason not to start. Options as `run_search`."""
    if resume:
        yield from _refusals(lambda: _check_study(space, root, study_name or space.name))
    elif study_name is None:
        yield from other_name(root, space.name)
    else:
        yield from _refusals(lambda: Study.check_new(root, study_name))
    yield from missing_files(space)
    if ray_address is None:
        yield from _refusals(lambda: checked_machine(space))
    yield from _refusals(lambda: preflight(tracking_uri(root, tracking)))


def _check_study(space: SearchSpace, root: Path, name: str) -> None:
    study = Study.open(root, name)
    check_same(SearchSpace.load(study.space_path), space, data_known=bool(study.origin.dataset))


def other_name(root: Path, stem: str) -> Iterator[str]:
    """Says what a search without a name of its own is called, where the space's name is taken."""
    name = Study.free_name(root, stem)
    if name != stem:
        yield (
            f"study {stem} exists; this one is {name} (--resume would go on with {stem}; "
            "search/export.py without a name takes the latest)"
        )


def missing_files(space: SearchSpace) -> Iterator[str]:
    """A warning for each file or folder that some trial would read and that is not there."""
    for key in _PATHS:
        needs = specs_of(TrialConfig)[key].acts
        at_once = all(need.fits(space.base[need.key]) for need in needs)
        if not at_once and not all(any(map(need.fits, _tried(space, need.key))) for need in needs):
            continue
        for path in _tried(space, key):
            if isinstance(path, str) and not Path(path).exists():
                refused = at_once and path == space.base[key]
                what = "the search will refuse to start" if refused else "trials that read it will fail"
                yield f"warning: {key}: {path} does not exist; {what}"


def _tried(space: SearchSpace, key: str) -> tuple[Scalar, ...]:
    """The values that trials may have."""
    choices = [parameter.choices for parameter in space.parameters if parameter.name == key]
    return choices[0] if choices else (space.base[key],)


def _refusals(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except LicapError as error:
        yield from (f"warning: the search will refuse to start: {line}" for line in str(error).splitlines())
