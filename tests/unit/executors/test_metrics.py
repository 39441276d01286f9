"""Values that count as metrics, in a metrics.json and in an output."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.executors.metrics import MOST, parse_json, parse_lines
from aqueue.model.run import Metric

NAMES = st.text("abcdefghij_./-äß", min_size=1, max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()


def told(*lines: str) -> dict[str, Metric]:
    return parse_lines("\n".join(lines).encode())


# metrics.json


def test_plain_values_are_metrics() -> None:
    found = parse_json(b'{"loss": 0.5, "epochs": 3, "best": true, "optimizer": "adam", "val loss": -1e-9}')
    assert found == {"loss": 0.5, "epochs": 3, "best": True, "optimizer": "adam", "val loss": -1e-9}
    assert [type(value) for value in found.values()] == [float, int, bool, str, float]


def test_objects_within_are_named_with_dots() -> None:
    written = {"train": {"loss": 1, "top": {"1": 0.9, "5": 0.99}}, "test": {"loss": 2}, "empty": {}}
    found = parse_json(json.dumps(written).encode())
    assert found == {"train.loss": 1, "train.top.1": 0.9, "train.top.5": 0.99, "test.loss": 2}
    assert list(found) == ["train.loss", "train.top.1", "train.top.5", "test.loss"]


def test_what_python_writes_for_a_training_that_went_wrong_is_read() -> None:
    found = parse_json(json.dumps({"a": math.nan, "b": math.inf, "c": -math.inf}).encode())
    assert math.isnan(float(found.pop("a")))
    assert found == {"b": math.inf, "c": -math.inf}


@pytest.mark.parametrize(
    "value",
    ["null", "[1, 2]", '"' + "x" * 201 + '"', '"two\\nlines"', '"\\ud800"', '"\\u001b[31m"'],
)
def test_what_is_no_metric_is_left_out(value: str) -> None:
    assert parse_json(f'{{"a": 1, "b": {value}, "c": {{"d": {value}}}}}'.encode()) == {"a": 1}


def test_text_and_names_may_have_a_certain_length_and_no_more() -> None:
    written = {"text": "x" * 200, "n" * 100: 1, "m" * 101: 2, "p" * 60: {"q" * 40: 3, "r" * 39: 4}, "": 5}
    assert parse_json(json.dumps(written).encode()) == {
        "text": "x" * 200, "n" * 100: 1, "p" * 60 + "." + "r" * 39: 4,
    }  # fmt: skip


def test_whole_numbers_that_no_database_holds_become_fractions() -> None:
    assert parse_json(f'{{"a": {2**63 - 1}, "b": {-(2**63)}}}'.encode()) == {"a": 2**63 - 1, "b": -(2**63)}
    found = parse_json(f'{{"c": {2**63}, "d": {-(10**30)}, "e": {"9" * 5000}}}'.encode())
    assert found == {"c": 2.0**63, "d": -1e30, "e": math.inf}
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[1, 2]", "is not a JSON object"),
        (b"0.5", "is not a JSON object"),
        (b'{"loss": 0.5,\n "acc": }', "is not JSON: Expecting value in line 2, column 9"),
        (b'{"loss": 0.5', "is not JSON: "),
        (b'{"loss": "\xff"}', "is not UTF-8"),
        (b'{"a":' * 200_000, "is nested too deeply"),
        (b" " * (1 << 20) + b"{}", "is larger than 1 MiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_json(content)


def test_names_without_an_end_do_not_go_on_for_ever() -> None:
    assert parse_json(b'{"":' * 500 + b"1" + b"}" * 500) == {}
    assert parse_json(b'{"a":' * 500 + b"1" + b"}" * 500) == {}


def test_of_too_many_metrics_the_first_are_kept() -> None:
    written = {f"m{number}": number for number in range(MOST + 5)}
    assert parse_json(json.dumps(written).encode()) == {f"m{number}": number for number in range(MOST)}
    assert told(*(f"AQUEUE_METRIC {name}={value}" for name, value in written.items())) == {
        f"m{number}": number for number in range(MOST)
    }


@given(st.recursive(NUMBERS | st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_json_there_is_gives_metrics_or_an_error(written: object) -> None:
    try:
        found = parse_json(json.dumps(written).encode())
    except ValueError:
        assert not isinstance(written, dict)
        return
    for name, value in found.items():
        assert 0 < len(name) <= 100
        assert isinstance(value, str | int | float)


# Lines of an output


def test_a_line_may_have_several_metrics_and_the_last_value_counts() -> None:
    found = told("AQUEUE_METRIC loss=0.5 acc=0.1", "epoch 2", "AQUEUE_METRIC loss=0.25")
    assert found == {"loss": 0.25, "acc": 0.1}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3), ("-7", -7), ("+7", 7), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("1e-3", 0.001),
        ("-2E+3", -2000.0), ("inf", math.inf), ("-Infinity", -math.inf), ("true", True), ("False", False),
        ("adam", "adam"), ("93%", "93%"), ("1_000", "1_000"), ("0x10", "0x10"), ("٣", "٣"), ("a=b", "a=b"),
        ("0.5,", 0.5), ("adam,", "adam"), (",", ""),
        ("'two words'", "two words"), ('"0.5"', "0.5"), ("\"it's\"", "it's"), ("'", "'"), ("''", ""),
        (str(2**63), 2.0**63), ("9" * 150, float("9" * 150)),
    ],
)  # fmt: skip
def test_a_value_is_read_as_a_person_means_it(written: str, value: Metric) -> None:
    found = told(f"AQUEUE_METRIC a={written} b=1")
    assert found == {"a": value, "b": 1}
    assert type(found["a"]) is type(value)


def test_nan_is_a_number() -> None:
    assert all(
        isinstance(value, float) and math.isnan(value)
        for value in told("AQUEUE_METRIC a=nan b=NaN c=-nan").values()
    )


@pytest.mark.parametrize(
    "line",
    [
        "AQUEUE_METRIC a=1",
        "  \tAQUEUE_METRIC   a=1  ",
        "AQUEUE_METRIC a=1\r",
        "50%|#####     | 5/10\rAQUEUE_METRIC a=1",
        "50%|#####     | 5/10\r          \rAQUEUE_METRIC a=1\r60%|######    |",
        "\x1b[32mAQUEUE_METRIC a=1\x1b[0m",
        "\x1b[2K \x1b[1;31mAQUEUE_METRIC \x1b[1ma=1\x1b[0m",
    ],
)
def test_a_line_may_begin_with_blanks_and_colours_and_over_a_progress_bar(line: str) -> None:
    assert told("before", line, "after") == {"a": 1}


@pytest.mark.parametrize(
    "line",
    [
        "set AQUEUE_METRIC a=1",
        "'AQUEUE_METRIC a=1'",
        "AQUEUE_METRICS a=1",
        "AQUEUE_METRIC:a=1",
        "aqueue_metric a=1",
        "AQUEUE_METRIC a = 1",
        "AQUEUE_METRIC a=",
        "AQUEUE_METRIC =1",
        "AQUEUE_METRIC a",
        "AQUEUE_METRIC",
        "AQUEUE_METRIC ",
        f"AQUEUE_METRIC {'n' * 101}=1",
        f"AQUEUE_METRIC a={'x' * 201}",
        "AQUEUE_METRIC a\x07=1",
        "AQUEUE_METRIC a=b\x07",
        "AQUEUE_METRIC " + " " * (1 << 16) + "a=1",
        "x" * (1 << 16) + "AQUEUE_METRIC a=1",
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert told(line, "AQUEUE_METRIC b=2", line) == {"b": 2}


def test_what_is_not_utf_8_is_no_harm() -> None:
    assert parse_lines(b"\xff\xfe\nAQUEUE_METRIC a=\xff b=1\n\xff") == {"a": "\N{REPLACEMENT CHARACTER}", "b": 1}


@given(st.dictionaries(NAMES, NUMBERS, min_size=1))
def test_what_python_prints_is_read_back(written: dict[str, Metric]) -> None:
    assert told("AQUEUE_METRIC " + " ".join(f"{name}={value}" for name, value in written.items())) == written


@given(st.binary())
def test_whatever_output_there_is_gives_metrics(content: bytes) -> None:
    for name, value in parse_lines(b"AQUEUE_METRIC " + content + b"\nAQUEUE_METRIC a=1").items():
        assert name.isprintable()
        assert "=" not in name
        assert isinstance(value, int | float) or value.isprintable()
