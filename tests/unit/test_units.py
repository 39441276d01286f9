import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.units import counted, listed, named, parse, plural, spell

few = st.integers(min_value=0, max_value=999)
readable = st.floats(min_value=1.0, max_value=1e8)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0, 0.0),
        (1.5, 1.5),
        ("90", 90.0),
        ("1.5", 1.5),
        ("90s", 90.0),
        ("0.25s", 0.25),
        ("100ms", 0.1),
        ("1m5ms", 60.005),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("2d12h", 216000.0),
        ("1d1s", 86401.0),
        ("1h30m0.5s", 5400.5),
    ],
)
def test_a_length_is_read(written: str | float, seconds: float) -> None:
    assert parse(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "soon", "s", "h30m", "-1", "-5s", "+5", "1e3", "1.5h", "30m1h", "1h1h", "1h 30m", " 1h", "1h\n",
        "1H", "1w", "1ms1s", "٣s", "٣", "inf", "nan", -1, -0.5, float("inf"), float("nan"), True,
    ],
)  # fmt: skip
def test_what_is_no_length_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError):
        parse(written)


@pytest.mark.parametrize("written", ["9" * 400, "9" * 400 + "s", "9" * 400 + "d"])
def test_a_length_without_end_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        parse(written)


@given(days=few, hours=few, minutes=few, seconds=few)
def test_the_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    written = f"{days}d{hours}h{minutes}m{seconds}s"
    assert parse(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_a_bare_number_is_seconds_however_it_is_written(seconds: int) -> None:
    assert parse(seconds) == parse(str(seconds)) == parse(f"{seconds}s") == seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0ms"),
        (-3.0, "0ms"),
        (0.0314, "31ms"),
        (0.9994, "999ms"),
        (0.9996, "1s"),
        (7.25, "7.2s"),
        (42.0, "42s"),
        (59.94, "59.9s"),
        (59.96, "1m"),
        (61.4, "1m1s"),
        (3599.7, "1h"),
        (5400, "1h30m"),
        (86400 + 60, "1d"),
        (2.5 * 86400, "2d12h"),
        (100 * 86400, "100d"),
    ],
)
def test_a_length_is_said_in_two_units_at_most(seconds: float, words: str) -> None:
    assert spell(seconds) == words


@given(readable)
def test_what_is_spelt_can_be_read_and_is_nearly_the_same(seconds: float) -> None:
    assert parse(spell(seconds)) == pytest.approx(seconds, rel=0.05)


@given(readable)
def test_what_is_spelt_and_read_is_spelt_the_same_again(seconds: float) -> None:
    assert spell(parse(spell(seconds))) == spell(seconds)


@given(readable, readable)
def test_a_longer_time_never_reads_as_a_shorter_one(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert parse(spell(shorter)) <= parse(spell(longer))


def test_numbers_of_things_and_their_verbs_agree() -> None:
    assert [counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [plural(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


def test_a_long_list_names_the_first_and_counts_the_others() -> None:
    assert listed(["a", "b", "c"], 3) == "a, b, c"
    assert listed(["a", "b", "c", "d"], 3) == "a, b, c and 1 more"
    assert named("run", ["3"], 2) == "run 3"
    assert named("run", ["3", "4", "5"], 2) == "runs 3, 4 and 1 more"
