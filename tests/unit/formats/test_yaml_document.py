import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats.yaml_document import MAX_VALUES, Document, read

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
            "indent with spaces, not tabs, and quote text that begins with %, @ or `",
        ),
        (
            "a: %b",
            "x.yaml:1:4: not valid YAML: found character that cannot start any token",
            "indent with spaces, not tabs, and quote text that begins with %, @ or `",
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


def test_an_error_can_be_placed_at_a_value_or_at_its_key() -> None:
    document = one("a: 1\nb:\n  c: [x, y]\n")
    assert document.error("no").message == "x.yaml:1:1: no"
    assert document.error("no", at=("b", "c", 1)).message == "x.yaml:3:10: no"
    assert document.error("no", at=("b", "c"), key=True).message == "x.yaml:3:3: no"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quote_without_an_end_is_told_where_it_begins(quote: str) -> None:
    error = error_in(f"name: a\ncommand: {quote}python train.py\nqueue: gpu\ntimeout: 2h\n")
    assert error.message == "x.yaml:2:10: not valid YAML: found unexpected end of stream"
    assert error.hint == "the quote that starts there is not closed"
