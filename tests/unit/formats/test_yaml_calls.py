import pytest

from aqueue.errors import FileError
from aqueue.formats.yaml_document import MAX_VALUES, Document, read


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


def error_in(text: str) -> FileError:
    with pytest.raises(FileError) as caught:
        list(read(text, "x.yaml"))
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{lr: [0.1, 0.01], seed: range(1, 5)}", {"lr": [0.1, 0.01], "seed": "range(1, 5)"}),
        ("{a: range(1,5)}", {"a": "range(1,5)"}),
        ("{a: range(5)}", {"a": "range(5)"}),
        ("{a: range(1, 5), b: range(2, 5), c: x}", {"a": "range(1, 5)", "b": "range(2, 5)", "c": "x"}),
        ("{a: range(0, 0.50, 0.1), b: uniform(-1, 1)}", {"a": "range(0, 0.50, 0.1)", "b": "uniform(-1, 1)"}),
        ("{a: loguniform(1e-5, 1e-1 )}", {"a": "loguniform(1e-5, 1e-1 )"}),
        ("{a: choice(x,y, z), b: 1}", {"a": "choice(x,y, z)", "b": 1}),
        ('{a: choice("b, c","d,e", f)}', {"a": 'choice("b, c","d,e", f)'}),
        ("{a: choice(b, 'c, (d', \"e\\n\", f)}", {"a": "choice(b, 'c, (d', \"e\\n\", f)"}),
        ("[choice(b, 'c', f), d]", ["choice(b, 'c', f)", "d"]),
        ("{a: choice(f(x, y), true, ~), b: 1}", {"a": "choice(f(x, y), true, ~)", "b": 1}),
        ("{a: choice(1, # one\n  2,\n  3)}", {"a": "choice(1, 2, 3)"}),
        ("é: {a: range(1,  5)}", {"é": {"a": "range(1,  5)"}}),
        ("[range(1, 5), 2, choice(a, b, 3)]", ["range(1, 5)", 2, "choice(a, b, 3)"]),
        ("a: {b: [{c: range(1, 5)}, range(2, 3)]}", {"a": {"b": [{"c": "range(1, 5)"}, "range(2, 3)"]}}),
        ("a: {b: range(1, 5)}\nc: [range(1, 5)]", {"a": {"b": "range(1, 5)"}, "c": ["range(1, 5)"]}),
        ("a: range(1, 5)\nb:\n  - choice(a, 'b c')", {"a": "range(1, 5)", "b": ["choice(a, 'b c')"]}),
        ("{a: range(1, 5) x, b: 2}", {"a": "range(1, 5) x", "b": 2}),
        (
            "{a: &it range(1, 5), b: *it, c: &all {d: range(1, 2)}, e: *all}",
            {"a": "range(1, 5)", "b": "range(1, 5)", "c": {"d": "range(1, 2)"}, "e": {"d": "range(1, 2)"}},
        ),
    ],
)
def test_a_call_between_commas_is_whole(text: str, value: object) -> None:
    assert one(text).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{x: f(1, 2)}", {"x": "f(1", "2)": None}),
        ("[f(1, 2), range, (1, 2)]", ["f(1", "2)", "range", "(1", "2)"]),
        ("{x: range (1, 2)}", {"x": "range (1", "2)": None}),
        ("{range(1, 2): 3}", {"range(1": None, "2)": 3}),
        ("{x: 'range(1', '2)': ~}", {"x": "range(1", "2)": None}),
        ("[\"range(1\", '2)']", ["range(1", "2)"]),
        ("- range(1\n- 2)", ["range(1", "2)"]),
        ("a: range(1\n2): ", {"a": "range(1", "2)": None}),
    ],
)
def test_what_is_no_call_between_commas_is_left_as_yaml_has_it(text: str, value: object) -> None:
    assert one(text).value == value


def test_an_error_after_a_call_is_placed_where_it_is() -> None:
    document = one("m: {a: range(1, 5), b: range(2, 5), c: [1, choice(x, y), z]}")
    assert document.error("no", at=("m", "a")).message == "x.yaml:1:8: no"
    assert document.error("no", at=("m", "b"), key=True).message == "x.yaml:1:21: no"
    assert document.error("no", at=("m", "b")).message == "x.yaml:1:24: no"
    assert document.error("no", at=("m", "c", 1)).message == "x.yaml:1:44: no"
    assert document.error("no", at=("m", "c", 2)).message == "x.yaml:1:58: no"
    assert error_in("{a: range(1, 5), b: range(2, 5), b: 1}").message == "x.yaml:1:34: 'b' is given twice"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1, b: range(1, 5, c: 2}", "x.yaml:1:11: range(… has no closing bracket"),
        ("a: 1\nb: {c: range(1, 5}", "x.yaml:2:8: range(… has no closing bracket"),
        ("[echo, range(1]", "x.yaml:1:8: range(… has no closing bracket"),
        ("{a: choice(b, [c], d)}", "x.yaml:1:5: choice(… has no closing bracket"),
        ("{a: choice(b, c: d, e)}", "x.yaml:1:5: choice(… has no closing bracket"),
        ("[choice(b, {c: d}, e)]", "x.yaml:1:2: choice(… has no closing bracket"),
        ("{a: choice(b, !!python/name:os.system c)}", "x.yaml:1:5: choice(… has no closing bracket"),
        ("[b: choice(c, d)]", "x.yaml:1:5: choice(… has no closing bracket"),
    ],
)
def test_a_call_without_an_end_or_with_more_than_plain_values_is_refused_where_it_begins(
    text: str, message: str
) -> None:
    error = error_in(text)
    assert error.message == message
    assert error.hint == "write it as in range(1, 5), with plain values only, or put it in quotes"


@pytest.mark.parametrize("text", ["{a: choice(b, 'c d')}", 'x: [choice(b, "c")]', "{a: range[1:5]}"])
def test_what_yaml_does_not_take_for_a_call_is_refused_with_a_way_to_write_it(text: str) -> None:
    assert error_in(text).hint == "put the whole call in quotes: 'choice(a, \"b c\")'"
    assert one("{a: 'choice(b, \"c d\")', b: 'range(1, 5)'}").value == {
        "a": 'choice(b, "c d")',
        "b": "range(1, 5)",
    }


def test_a_call_is_one_value_however_long_it_is() -> None:
    text = ", ".join(["x"] * (MAX_VALUES + 1))
    assert one(f"{{a: choice({text}), b: 1}}").value == {"a": f"choice({text})", "b": 1}
