from typing import Annotated

import msgspec
import pytest

from aqueue.errors import FileError
from aqueue.formats.task_keys import Keys
from aqueue.formats.yaml_document import Document, read
from aqueue.formats.yaml_records import convert, unexpected, words_of
from aqueue.model.values import Spelled, Value


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, "a size"] = 1


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    one: Annotated[int | Inner | None, "a number, or {size: 1}"] = None
    many: Annotated[list[Inner], "a list of {size: 1}"] = []
    text: Annotated[Value, "a text"] = None


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


def test_each_key_of_a_task_file_says_what_it_expects() -> None:
    assert set(Keys.__struct_fields__) <= set(words_of(Keys))
    assert all(words_of(Keys).values())


def test_keys_within_another_are_said_before_it() -> None:
    assert list(words_of(Outer)) == ["one.size", "one", "many.size", "many", "text"]


def test_a_value_keeps_its_spelling_where_it_may() -> None:
    found = convert(one("one: +3\nmany: [{size: 0}]\ntext: 0.50"), Outer)
    assert found == Outer(one=3, many=[Inner(0)], text=Spelled("0.50", 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one: x", "x.yaml:1:6: one: expected a number, or {size: 1}, got 'x'"),
        ("one: {size: x}", "x.yaml:1:13: one.size: expected a size, got 'x'"),
        ("many: [{size: 1}, {size: x}]", "x.yaml:1:26: many.1.size: expected a size, got 'x'"),
        ("many: 5", "x.yaml:1:7: many: expected a list of {size: 1}, got 5"),
        ("many:\n- size:\n", "x.yaml:2:8: many.size: expected a size, got nothing"),
        ("many: [{sise: 1}]", "x.yaml:1:9: unknown key 'sise'"),
        ("- 1", "x.yaml:1:1: expected keys and values, got a list"),
    ],
)
def test_what_does_not_fit_into_a_record_is_refused_where_it_is(text: str, message: str) -> None:
    with pytest.raises(FileError) as caught:
        convert(one(text), Outer)
    assert caught.value.message == message


def test_a_wrong_value_is_refused_with_what_its_key_expects() -> None:
    error = unexpected(one("one: {size: -1}"), Outer, ("one", "size"), -1, "take more")
    assert (error.message, error.hint) == ("x.yaml:1:13: one.size: expected a size, got -1", "take more")
