"""A trial's config as a file that repeats it from any folder of this machine: what acts, where data lie, what they are.

No torch here.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from licap.conditions import acting
from licap.config import TrialConfig
from licap.fields import Scalar, nest, specs_of
from licap.yaml_file import write_yaml

# A name on the network, unless there is a folder of that name.
_NAME_OR_FOLDER = "data.text.model"


def active_values(config: TrialConfig, given: Collection[str] = ()) -> dict[str, Scalar]:
    """The values that act in this trial, by dotted name; changing any other one changes no result.

    given: channels (`struct`, `semantic`) whose features the data set brings, so that they are not computed.
    """
    values = config.flat()
    # Features that a data set brings replace computed ones, as a file of one's own does.
    brought = {f"data.{channel}_file": "" for channel in given if values[f"data.{channel}_file"] is None}
    return {name: values[name] for name in acting(specs_of(TrialConfig), values | brought)}


def absolute(name: str, value: Scalar) -> Scalar:
    """A value of the config's field `name`; of a relative path, the absolute one that it means in this folder."""
    if not isinstance(value, str) or not specs_of(TrialConfig)[name].is_path:
        return value
    path = Path(value)
    return value if name == _NAME_OR_FOLDER and not path.exists() else str(path.absolute())


def located(config: TrialConfig) -> TrialConfig:
    """The config with absolute paths."""
    return config.with_values({name: absolute(name, value) for name, value in config.flat().items()})


def portable_yaml(config: TrialConfig, *, fingerprint: str | None, given: Collection[str] = ()) -> str:
    """What acts, with absolute paths and the data's fingerprint, as YAML; each float reads back to the same bits.

    fingerprint: None where it is not known. given: as `active_values`.
    """
    values = active_values(located(config), given) | {"data.fingerprint": fingerprint}
    return write_yaml(nest({name: value for name, value in values.items() if name != "data.fingerprint" or value}))
