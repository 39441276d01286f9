import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats.yaml_document import MAX_BYTES, MAX_VALUES, Document, decode, parse_scalar, read

# YAML escapes characters beyond these otherwise than JSON does.
texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


def error_in(text: str) -> FileError:
    with pytest.raises(FileError) as caught:
        list(read(text, "x.yaml"))
    return caught.value


@given(st.dictionaries(texts, values, max_size=3))
def test_json_is_read_as_what_it_stands_for(value: dict[str, Any]) -> None:
    assert one(json.dumps(value)).value == value


@given(texts)
def test_quoted_text_is_never_anything_else(text: str) -> None:
    assert one(f"- {json.dumps(text)}").value == [text]


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


def test_explicit_text_is_text() -> None:
    assert one("a: !!str 5").value == {"a": "5"}


def test_documents_come_one_by_one_and_empty_ones_are_left_out() -> None:
    assert [document.value for document in read("---\na: 1\n---\n---\n# nothing\n---\n- 2\n...\n", "x")] == [
        {"a": 1},
        [2],
    ]


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "---\n", "---\n...\n"])
def test_a_file_of_nothing_has_no_documents(text: str) -> None:
    assert list(read(text, "x.yaml")) == []


def test_an_alias_stands_for_what_its_anchor_marks() -> None:
    assert one("a: &it [1, 2]\nb: *it").value == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_are_counted_whatever_they_are(line_end: str) -> None:
    assert str(error_in(line_end.join(["a: 1", "b:", "  c: 1", "  c: 2"]))).startswith("x.yaml:4:3:")


@pytest.mark.parametrize(
    ("text", "where"),
    [("ä: 1\näö: [é, 1\n", "x.yaml:3:1:"), ("ä: x: y", "x.yaml:1:5:"), ("é: 1\né: 2", "x.yaml:2:1:")],
)
def test_columns_count_characters(text: str, where: str) -> None:
    assert str(error_in(text)).startswith(where)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: 'a' is given twice", "keep one of them"),
        ("a: {b: 1, b: 2}", "x.yaml:1:11: 'b' is given twice", "keep one of them"),
        ("a: 1\n'a': 2", "x.yaml:2:1: 'a' is given twice", "keep one of them"),
        ("? [a]\n: b", "x.yaml:1:3: a key must be a word", ""),
        ("a: 1\n---\n{a: 1}: b", "x.yaml:3:1: a key must be a word", ""),
        (
            "a:\n\t- b",
            "x.yaml:2:1: not valid YAML: found character that cannot start any token",
            "indent with blanks, not tabs, and quote text that begins with %, @ or `",
        ),
        (
            "a: %b",
            "x.yaml:1:4: not valid YAML: found character that cannot start any token",
            "indent with blanks, not tabs, and quote text that begins with %, @ or `",
        ),
        (
            "a: b: c",
            "x.yaml:1:5: not valid YAML: mapping values are not allowed in this context",
            "begin all keys in the same column, and quote text that contains ': '",
        ),
    ],
)
def test_an_error_says_where_it_is_what_it_is_and_what_to_do(text: str, message: str, hint: str) -> None:
    error = error_in(text)
    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize("text", ["a: 'b", "a: [b", "a: {b", 'a: "\\z"', "a: *b", "a: 1\n b: 2", "a: |x\n b", "]"])
def test_what_is_no_yaml_is_refused_with_a_place_in_it(text: str) -> None:
    error = error_in(text)
    assert error.message.startswith(("x.yaml:1:", "x.yaml:2:"))
    assert ": not valid YAML: " in error.message


@pytest.mark.parametrize(
    ("text", "where"), [("a: b\x07", "1:5"), ("a: 1\nb: \x1b[0m", "2:4"), ("# ééé\né: 1\nb: \x07", "3:4")]
)
def test_a_control_character_is_refused_where_it_is(text: str, where: str) -> None:
    assert error_in(text).message == f"x.yaml:{where}: not valid YAML: control characters are not allowed"


@pytest.mark.parametrize(
    "tagged",
    ["!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!!binary aGk=", "!!set {a}", "!mine b"],
)
def test_a_tag_that_would_make_something_is_refused_where_it_is(tagged: str) -> None:
    error = error_in(f"a: 1\nb: {tagged}")
    assert error.message == "x.yaml:2:4: a tag (!…) is not allowed"
    assert error.hint


def test_a_few_aliases_that_stand_for_very_much_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many values" in error_in("\n".join(rows)).message


def test_an_alias_within_itself_is_refused() -> None:
    assert "nested too deeply" in error_in("a: &a [*a]").message


@pytest.mark.parametrize(("count", "fits"), [(MAX_VALUES - 1, True), (MAX_VALUES, False)])
def test_a_document_has_a_largest_number_of_values(count: int, fits: bool) -> None:
    text = "\n".join(["- x"] * count)
    if fits:
        assert len(one(text).value) == count
    else:
        assert error_in(text).message == f"x.yaml:{count}:3: too many values, or nested too deeply"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_what_is_nested_too_deeply_is_refused(opening: str) -> None:
    closing = {"[": "]", "{a: ": "}"}.get(opening, "")
    assert "nested too deeply" in error_in(f"{opening * 100}x{closing * 100}").message
    assert one(f"{opening * 20}x{closing * 20}").value


NESTS = """\
import sys, threading
from aqueue.formats.yaml_document import read
from aqueue.errors import FileError

def look():
    for length in (4_000, 1_000_000):
        try:
            list(read(sys.argv[1] * (length // len(sys.argv[1])), "x.yaml"))
        except FileError as error:
            print(error)

threading.stack_size(512 * 1024)
thread = threading.Thread(target=look)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("opening", ["- ", "[", "{a: ", "? "])
def test_nesting_without_end_neither_crashes_nor_takes_long(opening: str) -> None:
    # In a process of its own, for a crash would end this one; in a thread with the little stack that some
    # systems give to threads, for there files are read.
    done = subprocess.run(
        [sys.executable, "-c", NESTS, opening], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stderr}"
    assert done.stdout.count("nested too deeply") == 2


def test_an_error_can_be_placed_at_a_value_or_at_its_key() -> None:
    document = one("a: 1\nb:\n  c: [x, y]\n")
    assert document.error("no").message == "x.yaml:1:1: no"
    assert document.error("no", at=("b", "c", 1)).message == "x.yaml:3:10: no"
    assert document.error("no", at=("b", "c"), key=True).message == "x.yaml:3:3: no"


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


@pytest.mark.parametrize("content", [b"command: x", b"\xef\xbb\xbfcommand: x"])
def test_a_byte_order_mark_is_no_part_of_the_text(content: bytes) -> None:
    assert decode(content, "x.yaml") == "command: x"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"\xff", "1:1"),
        (b"command: \xe9", "1:10"),
        (b"command: x\nname: \xff", "2:7"),
        ("é: 1\né: ".encode() + b"\xff", "2:4"),
        (b"\xef\xbb\xbfa: 1\n\xff", "2:1"),
        (b"\xef\xbb\xbfa: 1\nb: \xff", "2:4"),
        ("command: x".encode("utf-16"), "1:1"),
    ],
)
def test_what_is_not_utf_8_is_refused_at_the_first_character_that_is_not(content: bytes, where: str) -> None:
    with pytest.raises(FileError) as caught:
        decode(content, "x.yaml")
    assert (caught.value.message, caught.value.hint) == (f"x.yaml:{where}: is not UTF-8", "save it as UTF-8")


def test_a_file_of_one_mebibyte_is_read_and_a_larger_one_refused() -> None:
    assert MAX_BYTES == 1024 * 1024
    assert len(decode(b"x" * MAX_BYTES, "x.yaml")) == MAX_BYTES
    with pytest.raises(FileError) as caught:
        decode(b"x" * (MAX_BYTES + 1), "x.yaml")
    assert caught.value.message == "x.yaml: is larger than 1 MiB"
    assert caught.value.hint


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quote_without_an_end_is_told_where_it_begins(quote: str) -> None:
    error = error_in(f"name: a\ncommand: {quote}python train.py\nqueue: gpu\ntimeout: 2h\n")
    assert error.message == "x.yaml:2:10: not valid YAML: found unexpected end of stream"
    assert error.hint == "the quote that begins there has no end"
