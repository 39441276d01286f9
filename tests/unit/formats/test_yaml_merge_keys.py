"""Shared blocks in a document: merge keys, keys that begin with x-, and aliases, each where it is allowed."""

import pytest

from aqueue.errors import FileError
from aqueue.formats import config_file
from aqueue.formats.task_file import parse
from aqueue.formats.yaml_document import MAX_VALUES, Document, read
from aqueue.model.config import Defaults
from aqueue.model.task import Task

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")

GPU = """\
x-gpu: &gpu
  queue: gpu
  timeout: 2h
  params: &params {lr: 0.1, seed: range(1, 5)}
"""


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        list(read(text, "x.yaml"))
    return caught.value.message, caught.value.hint


def tasks_in(text: str) -> list[Task]:
    return parse(text, "train.yaml", DEFAULTS).tasks


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &a {p: 1, q: 2}\nb: {<<: *a}", {"p": 1, "q": 2}),
        ("a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}", {"p": 1, "q": 3}),
        ("a: &a {p: 1, q: 2}\nb: {q: 3, <<: *a}", {"q": 3, "p": 1}),
        ("a: [&a {p: 1}, &b {p: 2, q: 2}]\nb: {<<: [*a, *b]}", {"p": 1, "q": 2}),
        ("a: [&a {p: 1}, &b {p: 2, q: 2}]\nb: {<<: [*b, *a], r: 3}", {"p": 2, "q": 2, "r": 3}),
        ("a: [&a {p: 1}, &b {<<: *a, q: 2}]\nb: {<<: *b, r: 3}", {"p": 1, "q": 2, "r": 3}),
        ("a: &a {s: range(1, 5)}\nb: {<<: *a, t: range(2, 5)}", {"s": "range(1, 5)", "t": "range(2, 5)"}),
        ("b: {<<: {p: 1}, q: 2}", {"p": 1, "q": 2}),
        ("b: {<<: [], q: 2}", {"q": 2}),
        ("b: {'<<': 1}", {"<<": 1}),
    ],
)
def test_a_merge_key_adds_the_keys_that_a_mapping_does_not_have(text: str, value: dict[str, object]) -> None:
    found = one(text).value["b"]
    assert found == value
    assert list(found) == list(value)


def test_a_task_takes_what_it_does_not_say_itself_from_a_shared_block() -> None:
    text = f"{GPU}command: x\n<<: *gpu\ntimeout: 1h\nparams: {{<<: *params, lr: 0.5, seed: 3}}\n"
    (task,) = tasks_in(text)
    assert (task.queue, task.timeout, task.params) == ("gpu", 3600.0, {"lr": 0.5, "seed": 3})


def test_keys_that_begin_with_x_are_ignored_at_the_top_of_every_document() -> None:
    text = "x-a: {b: !mine 1, b: 2}\ncommand: x\nx-: 5\n---\nname: other\ncommand: y\nx-a: [1]\n"
    assert [task.name for task in tasks_in(text)] == ["train", "other"]


def test_a_document_that_has_nothing_else_is_no_task() -> None:
    assert [task.command for task in tasks_in("x-a: &a {queue: gpu}\n---\ncommand: x\n")] == ["x"]
    with pytest.raises(FileError, match="there is no task in it"):
        tasks_in("x-a: &a {queue: gpu}\n")


def test_a_configuration_has_shared_blocks_too() -> None:
    text = b"""\
x-queue: &queue {max_concurrency: 2, gpus: [0]}
queues:
  config:
    - {name: day, <<: *queue}
    - {<<: *queue, name: night, max_concurrency: 1}
"""
    queues = config_file.parse(text, "aqueue.yaml").queues
    assert {name: (queue.max_concurrency, queue.gpus) for name, queue in queues.items()} == {
        "day": (2, (0,)),
        "night": (1, (0,)),
    }
    shared = b"x-a: &a {jobs: 3}\n---\njobs: 2\n"
    assert config_file.parse(shared, "aqueue.yaml").jobs == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("x-a: &a\n  timeout: soon\ncommand: x\n<<: *a\n", "2:12: timeout: expected a length of time"),
        ("x-a: &a\n  timout: 1h\ncommand: x\n<<: *a\n", "2:3: unknown key 'timout'"),
        ("x-a: &a {lr: [1]}\ncommand: x\nparams:\n  <<: *a\n", "1:14: params.lr: expected"),
    ],
)
def test_an_error_in_what_was_merged_is_where_that_is_written(lines: str, message: str) -> None:
    with pytest.raises(FileError) as caught:
        tasks_in(lines)
    assert caught.value.message.startswith(f"train.yaml:{message}")


def test_a_key_that_is_wrong_only_in_the_shared_block_and_given_by_the_task_is_right() -> None:
    assert tasks_in("x-a: &a {timeout: soon}\ncommand: x\n<<: *a\ntimeout: 5\n")[0].timeout == 5


HOW = "mark a block as in x-base: &base {retries: 2}, and write <<: *base"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: &a {p: 1}\nb: {<<: *a, q: 1, q: 2}", "2:19: 'q' is given twice", "keep one of them"),
        ("b: {<<: base}", "1:9: '<<' takes a mapping, or a list of them", HOW),
        ("b:\n  <<:\n  q: 1", "2:6: '<<' takes a mapping, or a list of them", HOW),
        ("a: &a {p: 1}\nb: {<<: [*a, p]}", "2:14: '<<' takes a mapping, or a list of them", HOW),
        (
            "a: &a {p: 1}\nb: {<<: *a, <<: *a}",
            "2:13: '<<' is given twice",
            "merge several as in <<: [*one, *other]",
        ),
    ],
)
def test_a_merge_key_that_makes_no_sense_is_refused(text: str, message: str, hint: str) -> None:
    assert error_in(text) == (f"x.yaml:{message}", hint)


@pytest.mark.parametrize("text", ["a: &a {<<: *a}", "a: &a {b: &b {<<: *a}, <<: *b}", "&a {x-b: 1, <<: {<<: *a}}"])
def test_a_mapping_that_is_merged_into_itself_is_refused(text: str) -> None:
    assert "nested too deeply" in error_in(text)[0]


def test_merging_makes_no_bomb_of_a_small_file() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(9_000))
    aliases = ", ".join(["*a"] * 50_000)
    for text in (
        f"x-a: &a {{{keys}}}\nb: {{<<: [{aliases}]}}",
        f"x-a: &a {{{keys}}}\nb: [{', '.join(['{<<: *a}'] * 12_000)}]",
        f"x-a: &a {{{keys}}}\n" + "\n".join(f"b{number}: {{<<: *a}}" for number in range(10_000)),
    ):
        assert "too many values" in error_in(text)[0]


def test_a_long_chain_of_merges_is_refused_and_does_no_harm() -> None:
    links = [f"  - &a{number} {{<<: *a{number - 1}}}" for number in range(1, 5_000)]
    text = "\n".join(["x-a:", "  - &a0 {p: 1}", *links, "b: {<<: *a4999}"])
    assert "nested too deeply" in error_in(text)[0]
    assert MAX_VALUES > 5_000


def test_an_alias_of_an_anchor_in_another_document_says_that_anchors_end_with_theirs() -> None:
    message, hint = error_in("x-gpu: &gpu {queue: gpu}\n---\ncommand: x\n<<: *gpu\n")
    assert message == "x.yaml:4:5: the anchor of this alias is in another document"
    assert hint == "anchors end at ---: write the block in this document, too, under a key such as x-shared"


def test_an_alias_above_its_anchor_says_so() -> None:
    message, hint = error_in("command: x\n<<: *gpu\nx-gpu: &gpu {queue: gpu}\n")
    assert message == "x.yaml:2:5: the anchor of this alias comes after it"
    assert hint == "move the block with the anchor above it"


def test_an_alias_without_any_anchor_may_have_been_meant_as_text() -> None:
    message, hint = error_in("a: &b 1\n---\ncommand: x\nenv: {PASSWORD: *hunter2}\n")
    assert message == "x.yaml:4:17: not valid YAML: found undefined alias"
    assert hint.startswith("quote text that begins with *")


@pytest.mark.parametrize(
    "env", ["{<<: hunter2}", "{<<: [hunter2]}", "{<<: {A: [hunter2]}}", "&hunter2 {<<: *hunter2}"]
)
def test_no_error_about_merging_shows_what_is_in_an_environment(env: str) -> None:
    with pytest.raises(FileError) as caught:
        tasks_in(f"command: x\nenv: {env}\n")
    assert "hunter2" not in caught.value.message + caught.value.hint
