"""Events and lines of the record are two forms of one thing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.study.events import (
    Decided,
    Ended,
    Event,
    Opened,
    Proposed,
    Reported,
    Restarted,
    StudyEnded,
    decode,
    encode,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=12)
NUMBER = st.integers(0, 10**6)
SCALARS = st.one_of(FINITE, st.integers(), st.booleans(), TEXT, st.none())

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Opened, pid=NUMBER, host=TEXT, dataset=TEXT),
    st.builds(Restarted, trial=NUMBER, reason=TEXT),
    st.builds(Proposed, trial=NUMBER, values=st.dictionaries(TEXT, SCALARS, max_size=4), starting_point=st.booleans()),
    st.builds(
        Reported,
        trial=NUMBER,
        stage=TEXT,
        epoch=NUMBER,
        budget=NUMBER,
        metrics=st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=4),
    ),
    st.builds(Decided, trial=NUMBER, budget=NUMBER, decision=st.just("stop")),
    st.builds(
        Ended,
        trial=NUMBER,
        state=TEXT,
        failure=st.none() | TEXT,
        message=st.text(),
        budget=NUMBER,
        seconds=FINITE,
        notes=st.lists(TEXT, max_size=3).map(tuple),
        pretraining=TEXT,
    ),
    st.builds(StudyEnded, reason=TEXT, seconds=FINITE),
)


@given(event=EVENTS, time=st.floats(0, 1e10))
def test_an_event_reads_back_as_it_was_written(event: Event, time: float) -> None:
    line = encode(event, time)
    assert decode(line) == (event, round(time, 3))
    assert repr(decode(line)[0]) == repr(event)  # 1, 1.0 and True are equal, and different


@given(event=EVENTS)
def test_a_line_is_one_line_of_strict_json(event: Event) -> None:
    line = encode(event, 0.0)
    assert line.endswith(b"\n") and line.count(b"\n") == 1

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(line, parse_constant=refuse)


def test_nan_and_infinity_survive_as_metrics() -> None:
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf}
    event, _ = decode(encode(Reported(trial=0, stage="pretrain", epoch=0, budget=1, metrics=metrics), 0.0))
    assert isinstance(event, Reported)
    assert math.isnan(event.metrics["a"]) and event.metrics["b"] == math.inf and event.metrics["c"] == -math.inf


def test_a_value_that_is_not_finite_is_no_parameter() -> None:
    with pytest.raises(ValueError):
        encode(Proposed(trial=0, values={"pretrain.lr": math.nan}, starting_point=False), 0.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"event":"promoted","trial":1}', "unknown event 'promoted'"),
        (b'{"event":"decided","trial":1,"budget":2}', "decision"),
        (b'{"event":"decided","trial":"1","budget":2,"decision":"stop"}', "wrong type"),
        (b'{"event":"decided","trial":true,"budget":2,"decision":"stop"}', "wrong type"),
        (b'{"event":"study_ended","reason":"done","seconds":NaN}', "NaN"),
        (b'{"event":["x"]}', "unknown event"),
        (b'{"time":1}', "unknown event None"),
        (b'{"event":"decided","time":true,"trial":1,"budget":2,"decision":"stop"}', "wrong type"),
        (b'{"event":"decided","time":"NaN","trial":1,"budget":2,"decision":"stop"}', "wrong type"),
        (b'{"event":"study_ended","time":1,"reason":"","seconds":1' + b"0" * 400 + b"}", "wrong type"),
        (b'{"event":"decided","time":1,"trial":1,"budget":2,"decision":"stop","more":1}', "the fields of decided"),
        (b'{"event":"decided","trial":1,"budget":2.0,"decision":"stop"}', "wrong type"),
        (b'{"event":"decided","trial":1,"budget":2,"decision":3}', "wrong type"),
        (b'{"event":"proposed","trial":1,"values":{"a":[1]},"starting_point":false}', "wrong type"),
        (b'{"event":"proposed","trial":1,"values":[],"starting_point":false}', "wrong type"),
        (b'{"event":"proposed","trial":1,"values":{},"starting_point":0}', "wrong type"),
        (b'{"event":"reported","trial":1,"stage":"","epoch":0,"budget":1,"metrics":{"a":"nan"}}', "wrong type"),
        (b'{"event":"reported","trial":1,"stage":"","epoch":0,"budget":1,"metrics":{"a":true}}', "wrong type"),
        (b'{"event":"opened","pid":1,"host":"h","dataset":null}', "wrong type"),
        (
            b'{"event":"ended","trial":1,"state":"failed","failure":3,"message":"","budget":1,"seconds":1}',
            "wrong type",
        ),
        (b"\xff\xfe", "not valid JSON"),
    ],
)
def test_a_line_that_is_no_event_is_refused(line: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(line)
