import pytest

from aqueue.formats.sweep_syntax import is_sweep, parse_axis
from aqueue.model.sweep import Axis, Span
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Spelled, Value


def problem_of(written: object) -> str:
    with pytest.raises(ValueError) as caught:
        parse_axis(written)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([0.1, 0.01], (0.1, 0.01)),
        (["a", None, True, 1], ("a", None, True, 1)),
        (0.1, (0.1,)),
        (None, (None,)),
        ("adam", ("adam",)),
        (" adam ", (" adam ",)),
        ("[0.1, 0.01]", (0.1, 0.01)),
        (" [a] ", ("a",)),
        ("[1, '2', true, ~, 007]", (1, "2", True, Spelled("~", None), "007")),
        ("['a, b', \"c, 'd'\", e f]", ("a, b", "c, 'd'", "e f")),
        ("['[64, 64]', '[128]']", ("[64, 64]", "[128]")),
        ("[1:30, 2:30]", ("1:30", "2:30")),
        ("choice(sgd, adam)", ("sgd", "adam")),
        ('choice("a, b", 0.5)', ("a, b", 0.5)),
        ("choice(f(x), g(y))", ("f(x)", "g(y)")),
        ("range(3)", (0, 1, 2)),
        ("range(1, 5)", (1, 2, 3, 4)),
        ("range(1,5)", (1, 2, 3, 4)),
        ("range(0, 10, 3)", (0, 3, 6, 9)),
        ("range(5, 0, -2)", (5, 3, 1)),
        ("range(0, 0.5, 0.1)", (0.0, 0.1, 0.2, 0.3, 0.4)),
        ("range(0, 10, 3.3)", (0.0, 3.3, 6.6, 9.9)),
        ("range(1, 0, -0.25)", (1.0, 0.75, 0.5, 0.25)),
        ("range(1e-3, 4e-3, 1e-3)", (0.001, 0.002, 0.003)),
        ("range(1.0, 3)", (1.0, 2.0)),
        ("range(99999999999999999, 100000000000000001)", (99999999999999999, 100000000000000000)),
    ],
)
def test_values_are_read(written: object, values: tuple[Value, ...]) -> None:
    axis = parse_axis(written)
    assert axis == values
    assert isinstance(axis, tuple)
    assert list(map(type, axis)) == list(map(type, values))


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("uniform(0, 1)", Span(0.0, 1.0)),
        ("uniform(-0.5,1e3)", Span(-0.5, 1000.0)),
        ("loguniform(1e-5, 0.1)", Span(1e-5, 0.1, is_log=True)),
    ],
)
def test_spans_are_read(written: str, span: Span) -> None:
    assert parse_axis(written) == span


def test_a_range_may_have_the_most_values_and_no_more() -> None:
    assert parse_axis(f"range({MAX_COMBINATIONS})") == tuple(range(MAX_COMBINATIONS))
    problem = problem_of(f"range({MAX_COMBINATIONS + 1})")
    assert problem == "'range(10001)': it has 10,001 values; the maximum is 10,000"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], "it has no values; write at least one"),
        ("[]", "'[]': it has no values; write at least one"),
        ("choice()", "'choice()': it has no values; write at least one"),
        ({"a": 1}, "expected a list, or a call such as range(1, 5), got keys and values"),
        ([1, [2]], "expected plain values, got a list; quote it if it is text"),
        ("[[1]]", "'[[1]]': expected plain values, got a list; quote it if it is text"),
        ("[a: b]", "'[a: b]': expected plain values, got keys and values; quote it if it is text"),
        (list(range(MAX_COMBINATIONS + 1)), "it has 10,001 values; the maximum is 10,000"),
        ([1, 2, 1], "1 is given twice; keep one of them"),
        (["a", "a"], "'a' is given twice; keep one of them"),
        (
            ["range(1, 5)", 10],
            "'range(1, 5)' stands within a list; write it alone, or write its values out",
        ),
        (
            "choice(range(2), 10)",
            "'choice(range(2), 10)': 'range(2)' stands within a list; write it alone, or write its values out",
        ),
        ("range(1, 5", "'range(1, 5': the bracket is not closed at the end; write it as in range(1, 5)"),
        ("range(1,", "'range(1,': the bracket is not closed at the end; write it as in range(1, 5)"),
        ("range()", "'range()': expected range(end), range(start, end) or range(start, end, step)"),
        (
            "range(1, 2, 3, 4)",
            "'range(1, 2, 3, 4)': expected range(end), range(start, end) or range(start, end, step)",
        ),
        ("range(1, x)", "'range(1, x)': expected numbers, got 'x'"),
        ("range(1, '5')", "\"range(1, '5')\": expected numbers, got '5'"),
        ("range(true)", "'range(true)': expected numbers, got true"),
        ("range(1, 2, 0)", "'range(1, 2, 0)': it has no end; take a step other than 0"),
        (
            "range(-1)",
            "'range(-1)': it is empty; the end is not included, and counting down needs a negative step",
        ),
        (
            "range(5, 1)",
            "'range(5, 1)': it is empty; the end is not included, and counting down needs a negative step",
        ),
        ("range(1e300)", "'range(1e300)': it has very many values; the maximum is 10,000"),
        ("range(0, 1e300, 1e-300)", "'range(0, 1e300, 1e-300)': it has very many values; the maximum is 10,000"),
        (
            "range(1e16, 10000000000000004, 0.1)",
            "'range(1e16, 10000000000000004, 0.1)': its step is too small to tell numbers of this size apart",
        ),
        ("uniform(1)", "'uniform(1)': expected uniform(low, high)"),
        ("uniform(1, 0)", "'uniform(1, 0)': expected a lower number first, then a higher one"),
        ("uniform(1, 1)", "'uniform(1, 1)': expected a lower number first, then a higher one"),
        ("loguniform(1, 2, 3)", "'loguniform(1, 2, 3)': expected loguniform(low, high)"),
        ("loguniform(0, 1)", "'loguniform(0, 1)': expected numbers above 0; only uniform takes others"),
        ("[a]\n---\n[b]", "'[a]\\n---\\n[b]': expected one list"),
        ("[\udcff]", "'[\\udcff]': it is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(written: object, problem: str) -> None:
    assert problem_of(written) == problem


@pytest.mark.parametrize(
    "written", ["[1, , 2]", "[a], [b]", "choice(a, 'b)", "choice(a], [b)", "[\x07]", "[!x a]"]
)
def test_what_is_no_list_in_yaml_is_refused(written: str) -> None:
    assert problem_of(written).endswith("; quote text that has brackets, a comma or a colon in it")


# What Guild 0.9 makes of these: flag_util._expand_range moves the end on by min(step, 1) and leaves it out then.
@pytest.mark.parametrize(
    ("written", "here", "in_guild"),
    [
        ("range[1:5]", "range(1, 6)", (1, 2, 3, 4, 5)),
        ("range[1:5:2]", "range(1, 6, 2)", (1, 3, 5)),
        ("range[0:0.3:0.1]", "range(0, 0.4, 0.1)", (0.0, 0.1, 0.2, 0.3)),
        ("range[5:1:-2]", "range(5, -1, -2)", (5, 3, 1)),
        ("uniform[0:1]", "uniform(0, 1)", Span(0, 1)),
        ("loguniform[1e-5 : 0.1]", "loguniform(0.00001, 0.1)", Span(1e-5, 0.1, is_log=True)),
        ("[-3:3]", "uniform(-3, 3)", Span(-3, 3)),
    ],
)
def test_what_is_written_as_in_guild_is_refused_with_how_it_is_written_here(
    written: str, here: str, in_guild: Axis
) -> None:
    assert is_sweep(written)
    assert f": this is written as in Guild; write {here}" in problem_of(written)
    assert parse_axis(here) == in_guild


@pytest.mark.parametrize("written", ["linspace[0:1:5]", "logspace[0:1]", "range[5]", "range[a:b]", "uniform[1]"])
def test_what_only_guild_has_is_refused(written: str) -> None:
    assert is_sweep(written)
    assert "this is written as in Guild" in problem_of(written)


def test_of_a_range_of_guild_it_is_said_that_the_end_differs() -> None:
    assert problem_of("range[1:5]").endswith("write range(1, 6), which excludes its end")
    assert problem_of(["1:30"]).endswith("write uniform(1, 30); or, if it is text, put it under params")


@pytest.mark.parametrize(
    ("text", "means_several"),
    [
        ("[1, 2]", True), (" [a]", True), ("[]", True), ("range(1, 5)", True), ("range(1,", True),
        ("choice(a)", True), ("uniform(0, 1)", True), ("loguniform(1, 2)", True), ("uniform[0:1]", True),
        ("", False), ("0.1", False), ("[a", False), ("a]", False), ("[a] b", False), ("range", False),
        ("range 1", False), ("orange(1)", False), ("f(1, 2)", False), ("x[1]", False),
    ],
)  # fmt: skip
def test_text_that_means_several_values_is_told_from_other_text(text: str, means_several: bool) -> None:
    assert is_sweep(text) is means_several
    assert means_several or parse_axis(text) == (text,)
