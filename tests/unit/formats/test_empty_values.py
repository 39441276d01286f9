"""A value that is missing in a task file is an error that says what to write, wherever it is."""

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults
from aqueue.model.values import plain_text

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")
ITEM = 'write "" if it is an empty text, or leave the item out'


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(FileError) as caught:
        parse(text, "t.yaml", DEFAULTS)
    return [(message.removeprefix("t.yaml:"), hint) for message, hint in caught.value.problems()]


def key(name: str) -> str:
    return f'write {name}: "" if it is an empty text, or leave {name} out'


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("matrix: {lr: }", "2:14: matrix.lr", key("lr")),
        ("matrix:\n  lr:\n  - 1\n  -", "5:4: matrix.lr", ITEM),
        ("matrix: {lr: [1], include: [{lr: 1, z: }]}", "2:40: matrix.include.z", key("z")),
        ("env: {A: }", "2:10: env", 'write "" if it is an empty text'),
        ("params: {a: }", "2:13: params.a", key("a")),
        ("params:\n  a:\n  b: 1", "3:5: params.a", key("a")),
        ("tags:\n- a\n-", "4:2: tags", ITEM),
        ("outputs:\n- a\n-", "4:2: outputs", ITEM),
    ],
)
def test_a_missing_value_is_refused_with_what_to_write(text: str, place: str, hint: str) -> None:
    assert problems(f"command: x\n{text}\n") == [(f"{place}: a value is missing", hint)]


def test_a_missing_word_of_a_command_is_refused() -> None:
    assert problems("command:\n- echo\n-\n") == [("3:2: command: a value is missing", ITEM)]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("matrix: {lr: 0.1, 0.2}", "write lr: [0.1, 0.2]"),
        ("matrix: {lr: 0.1, 0.2, 0.3, seed: 1}", "write lr: [0.1, 0.2, 0.3]"),
        ("params: {lr: 0.1, 0.2}", "for a run of each value, write matrix: {lr: [0.1, 0.2]}"),
    ],
)
def test_a_list_without_brackets_is_refused_with_how_it_is_written(text: str, hint: str) -> None:
    key = text.partition(":")[0]
    assert problems(f"command: x\n{text}\n") == [(f"2:9: {key}: several values need brackets", hint)]


@pytest.mark.parametrize("key", ["working_dir", "name", "queue", "group", "shell", "after"])
def test_an_empty_text_is_refused_where_it_means_nothing(key: str) -> None:
    ((message, _),) = problems(f"command: x\n{key}: ''\n")
    assert message.endswith(", got ''")


def test_an_empty_text_and_a_word_for_nothing_are_values() -> None:
    text = "command: [echo, '', ~]\nparams: {a: '', b: ~, c: null}\nenv: {A: ''}\nmatrix: {lr: ['', ~]}\n"
    (request,) = parse(text, "t.yaml", DEFAULTS).requests
    task = request.tasks()[1]
    assert task.command == ("echo", "", "~")
    assert {name: plain_text(value) for name, value in task.params.items()} == {
        "a": "", "b": "~", "c": "null", "lr": "~",
    }  # fmt: skip


def test_what_is_no_name_is_not_shown_of_an_environment() -> None:
    ((message, hint),) = problems("command: x\nenv: {PASSWORD:hunter2}\n")
    assert "hunter2" not in message + hint
