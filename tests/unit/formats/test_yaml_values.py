import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.formats.yaml_document import Document, read
from aqueue.formats.yaml_values import parse_scalar

numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


@given(numbers)
def test_a_number_is_read_as_itself(number: float) -> None:
    assert parse_scalar(repr(number)) == number


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5), ("-5", -5), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("-.5", -0.5), ("1.", 1.0), ("1e-3", 0.001),
        ("1e5", 1e5), ("1.5e3", 1500.0), (".5e1", 5.0), ("2.5E+3", 2500.0), ("true", True), ("True", True),
        ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False), ("null", None), ("~", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_looks_like_a_value_is_one(written: str, value: object) -> None:
    for read_as in (parse_scalar(written), one(f"a: {written}").value["a"]):
        assert read_as == value
        assert type(read_as) is type(value)


@pytest.mark.parametrize(
    "written",
    [
        "1:30", "1:30:00", "007", "0x1F", "0o17", "1_000", "2026-11-22", "2026-11-22 10:00:00", ".inf", ".nan",
        "inf", "nan", "1.2.3", "y", "n", "tRuE", "none", "\N{ARABIC-INDIC DIGIT TWO}", "e5", ".", "-", "+",
        "1" * 30,
    ],
)  # fmt: skip
def test_what_does_not_look_like_a_value_is_text(written: str) -> None:
    assert parse_scalar(written) == written
    assert written == "-" or one(f"a: {written}").value == {"a": written}


def test_a_number_that_is_too_large_to_be_one_is_text() -> None:
    assert parse_scalar("1e999") == "1e999"
