"""What can happen in a study: one frozen dataclass per kind of event, one line of JSON per event.

A line is `{"event": KIND, "time": seconds since the epoch, …fields}` in ASCII. JSON has no NaN and no infinity: as
metrics of a report they are written as the texts "NaN", "Infinity" and "-Infinity", and read back as numbers. `time` is
there for people and for adding up the time in which a study ran; no decision and no event object depends on it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from licap.fields import Scalar

FORMAT_VERSION = 4
# Why a trial failed, or was cut off.
FAILURES = ("oom", "diverged", "invalid-config", "data", "crashed", "timeout", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A process begins to write; the first event of a study, and the first after each resume.

    dataset: fingerprint of graph and scores; empty in records of format 1. given: the features (`struct`, `semantic`)
    that the data set brings, and features: their fingerprint; both empty without any, and up to format 3.
    """

    durable: ClassVar[bool] = True
    pid: int
    host: str
    dataset: str = ""
    features: str = ""
    given: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A trial and its searched values by dotted name; only the parameters whose conditions hold."""

    durable: ClassVar[bool] = True
    trial: int
    values: Mapping[str, Scalar]
    starting_point: bool


@dataclass(frozen=True, kw_only=True)
class Reported:
    """Metrics of a trial at a budget (epochs over both stages); metrics may be NaN or infinite."""

    durable: ClassVar[bool] = False
    trial: int
    stage: str
    epoch: int
    budget: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision of the pruner at a budget. Only "stop" is recorded; silence means that the trial goes on."""

    durable: ClassVar[bool] = True
    trial: int
    budget: int
    decision: str


@dataclass(frozen=True, kw_only=True)
class Restarted:
    """A trial that had begun goes on from its last checkpoint, or anew; reason: what had cut it off."""

    durable: ClassVar[bool] = True
    trial: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial ended as complete, pruned, failed (with the class of failure) or interrupted.

    pretraining: `trained`, or `cached` where an earlier trial had done it; empty without one, and up to format 2.
    """

    durable: ClassVar[bool] = True
    trial: int
    state: str
    failure: str | None
    message: str
    budget: int
    seconds: float
    notes: tuple[str, ...] = ()
    pretraining: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyEnded:
    """The search stopped in an orderly way, and why; a kill leaves no such event."""

    durable: ClassVar[bool] = True
    reason: str
    seconds: float


Event = Opened | Proposed | Reported | Decided | Restarted | Ended | StudyEnded

_KINDS: Mapping[str, type[Event]] = {
    "opened": Opened,
    "proposed": Proposed,
    "reported": Reported,
    "decided": Decided,
    "restarted": Restarted,
    "ended": Ended,
    "study_ended": StudyEnded,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}
_SCALARS = (float, int, bool, str, type(None))


def encode(event: Event, time: float) -> bytes:
    """One line of the record, with its line end.

    Raises: ValueError for a parameter value or a duration that is not finite (only metrics may be).
    """
    fields = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
    if isinstance(event, Reported):
        fields["metrics"] = {name: _writable(float(value)) for name, value in event.metrics.items()}
    elif isinstance(event, Proposed):
        fields["values"] = dict(event.values)
    line = {"event": _NAMES[type(event)], "time": round(time, 3), **fields}
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> tuple[Event, float]:
    """The event of a line, and when it was written. Raises: ValueError saying what is wrong with the line."""
    data = json_object(line)
    kind, time = data.pop("event", None), data.pop("time", 0.0)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"unknown event {kind!r}")
    cls = _KINDS[kind]
    hints = _hints(cls)
    required = {item.name for item in dataclasses.fields(cls) if item.default is dataclasses.MISSING}
    if not required <= data.keys() <= hints.keys():
        raise ValueError(f"the fields of {kind} must be {', '.join(hints)} (got {', '.join(data) or 'none'})")
    try:
        event = cls(**{name: _READERS[hints[name]](data[name]) for name in data})
        return event, float(_is((int, float))(time))
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a field of {kind} has the wrong type ({error})") from None


def json_object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line, strictly read. Raises: ValueError."""
    try:
        data = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON ({error})") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _writable(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _hints(cls: type[Event]) -> dict[str, str]:
    return {item.name: typing.cast(str, item.type) for item in dataclasses.fields(cls)}


def _is(kind: type | tuple[type, ...]) -> typing.Callable[[Any], Any]:
    def read(value: Any) -> Any:
        # To Python true is the number 1; in a record it is not.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, float))):
            raise TypeError(f"{value!r}")
        return value

    return read


def _number(value: Any) -> float:
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return float(_is((int, float))(value))


# By the type's text in the class body (annotations are not evaluated in this module).
_READERS: Mapping[str, typing.Callable[[Any], Any]] = {
    "int": _is(int),
    "float": _number,
    "str": _is(str),
    "bool": _is(bool),
    "str | None": _is((str, type(None))),
    "tuple[str, ...]": lambda value: tuple(_is(str)(each) for each in _is(list)(value)),
    "Mapping[str, float]": lambda value: {name: _number(each) for name, each in _is(dict)(value).items()},
    "Mapping[str, Scalar]": lambda value: {name: _is(_SCALARS)(each) for name, each in _is(dict)(value).items()},
}
