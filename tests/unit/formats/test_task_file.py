import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults
from aqueue.model.task import Priority, Retries, Task
from aqueue.model.values import Spelled

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")

printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=20
)
names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(
    lambda name: not name.startswith("AQUEUE_")
)


def one(text: str, defaults: Defaults = DEFAULTS) -> Task:
    (task,) = parse(text, "train.yaml", defaults).tasks
    return task


def error_in(text: str, defaults: Defaults = DEFAULTS) -> FileError:
    with pytest.raises(FileError) as caught:
        parse(text, "train.yaml", defaults)
    return caught.value


def test_a_command_is_all_that_a_task_needs() -> None:
    assert one("command: python train.py") == Task(
        name="train",
        command="python train.py",
        working_dir="/home/me",
        queue=None,
        priority=Priority.LOW,
        params={},
        arguments=(),
        env={},
        shell=None,
        timeout=None,
        retries=Retries(limit=0),
        requeue=True,
        tags=(),
        hold=False,
    )


def test_every_key_of_the_format_arrives() -> None:
    task = one("""\
name: big-train
command: python train.py --lr ${lr}
queue: gpu
priority: high
params: {lr: 0.1, steps: 5, name: it, fast: true, none: null, ver: 1.20, empty: ""}
env: {OMP_NUM_THREADS: "4", SEED: 7}
working_dir: /data
shell: /bin/bash
timeout: 2h
retries: {limit: 2, delay: 10s, backoff: 2, max_delay: 5m, exit_codes: [1, 75]}
requeue: false
tags: [team=vision, nightly]
hold: true
""")
    assert task == Task(
        name="big-train",
        command="python train.py --lr ${lr}",
        working_dir="/data",
        queue="gpu",
        priority=Priority.HIGH,
        params={
            "lr": 0.1,
            "steps": 5,
            "name": "it",
            "fast": True,
            "none": Spelled("null", None),
            "ver": Spelled("1.20", 1.2),
            "empty": "",
        },
        env={"OMP_NUM_THREADS": "4", "SEED": "7"},
        shell="/bin/bash",
        timeout=7200.0,
        retries=Retries(limit=2, delay=10.0, backoff=2.0, max_delay=300.0, exit_codes=(1, 75)),
        requeue=False,
        tags=("team=vision", "nightly"),
        hold=True,
    )


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        (
            "command: [python, train.py, 5, 0.50, True, null, 1e3, ~]",
            "command",
            ("python", "train.py", "5", "0.50", "True", "null", "1e3", "~"),
        ),
        ("command: |\n  a\n  b\n", "command", "a\nb\n"),
        ("command: true", "command", "true"),
        ("command: False", "command", "False"),
        ("name: 5", "name", "5"),
        ("name: 3.20", "name", "3.20"),
        ("name: true", "name", "true"),
        ("queue: 7", "queue", "7"),
        ("queue: 2.50", "queue", "2.50"),
        ("group: 5319e70", "group", "5319e70"),
        ("priority: low", "priority", Priority.LOW),
        ("working_dir: sub", "working_dir", "/srv/base/sub"),
        ("working_dir: .", "working_dir", "/srv/base"),
        ("working_dir: ~", "working_dir", str(Path.home())),
        ("working_dir: ~/x", "working_dir", str(Path.home() / "x")),
        ("working_dir: 2.50", "working_dir", "/srv/base/2.50"),
        ("working_dir: '~/x'", "working_dir", str(Path.home() / "x")),
        ("timeout: 0", "timeout", None),
        ("timeout: 90", "timeout", 90.0),
        ("timeout: 1.5", "timeout", 1.5),
        ("timeout: 90s", "timeout", 90.0),
        ("timeout: 2d12h", "timeout", 216000.0),
        ("log: {limit: 1GiB}", "log_limit", 1 << 30),
        ("log: {limit: 64K}", "log_limit", 65536),
        ("log: {limit: 65536}", "log_limit", 65536),
        ("log: {limit: 0}", "log_limit", None),
        ("retries: 2", "retries", Retries(limit=2)),
        ("retries: {limit: 1}", "retries", Retries(limit=1)),
        ("retries: {limit: 1, delay: 5, backoff: 1.5}", "retries", Retries(limit=1, delay=5.0, backoff=1.5)),
        ("tags: nightly, team=vision", "tags", ("nightly", "team=vision")),
        ("tags: [a, b=, a, 5, 3.10]", "tags", ("a", "b=", "5", "3.10")),
        ("tags: 3.10", "tags", ("3.10",)),
        ("tags: []", "tags", ()),
        ("params: {}", "params", {}),
        ("outputs: [3.10, 5]", "outputs", ("3.10", "5")),
        (
            'env: {V: 3.10, W: Yes, X: ~, Y: "", Z: 1e3}',
            "env",
            {"V": "3.10", "W": "Yes", "X": "~", "Y": "", "Z": "1e3"},
        ),
        ("hold: yes", "hold", True),
    ],
)
def test_a_key_may_be_written_in_several_ways(line: str, field: str, value: object) -> None:
    text = line if line.startswith("command") else f"command: x\n{line}"
    assert getattr(one(text), field) == value


def test_what_a_file_does_not_say_comes_from_the_defaults() -> None:
    defaults = Defaults(
        name="train",
        working_dir="/home/me",
        base="/srv/base",
        queue="gpu",
        env={"A": "1", "B": "1"},
        timeout=60.0,
        retries=Retries(limit=3),
        log_limit=65536,
    )
    task = one("command: x\nenv: {B: 2}", defaults)
    assert (task.queue, task.base_env, task.env, task.timeout, task.retries) == (
        "gpu", {"A": "1", "B": "1"}, {"B": "2"}, 60.0, Retries(limit=3),
    )  # fmt: skip
    task = one("command: x\nqueue: cpu\ntimeout: 5\nretries: 0", defaults)
    assert (task.queue, task.timeout, task.retries) == ("cpu", 5.0, Retries())
    assert one("command: x\ntimeout: 0", defaults).timeout is None
    assert one("command: x", defaults).log_limit == 65536
    assert one("command: x\nlog: {limit: 1MiB}", defaults).log_limit == 1 << 20
    assert one("command: x\nlog: {limit: 0}", defaults).log_limit is None


def test_a_file_may_have_several_tasks() -> None:
    content = parse("command: a\n---\nname: second\ncommand: b\n---\n", "train.yaml", DEFAULTS)
    assert [(task.name, task.command) for task in content.tasks] == [("train", "a"), ("second", "b")]


def test_one_bad_document_makes_the_file_bad_and_the_error_is_in_that_document() -> None:
    error = error_in("command: a\n---\n# the second\ncomand: b\n---\ncommand: c\n")
    assert (error.message, error.hint) == ("train.yaml:4:1: unknown key 'comand'", "did you mean 'command'?")


def test_a_task_whose_file_cannot_lend_it_a_name_must_have_one() -> None:
    nameless = Defaults(name=None, working_dir="/", base="/")
    assert error_in("command: x", nameless).message == "train.yaml:1:1: 'name' is missing"
    assert one("command: x\nname: y", nameless).name == "y"


@given(st.fixed_dictionaries(
    {"command": printable.filter(str.strip) | st.lists(printable, min_size=1, max_size=3).filter(lambda c: c[0])},
    optional={
        "name": names,
        "queue": names,
        "priority": st.sampled_from(["high", "low"]),
        "params": st.dictionaries(variables, printable | st.integers(-(10**17), 10**17), max_size=3),
        "env": st.dictionaries(variables, printable, max_size=3),
        "requeue": st.booleans(),
        "hold": st.booleans(),
    },
))  # fmt: skip
def test_what_is_written_is_what_arrives(written: dict[str, Any]) -> None:
    task = one(json.dumps(written))
    expected = dict(written)
    if isinstance(written["command"], list):
        expected["command"] = tuple(written["command"])
    if "priority" in written:
        expected["priority"] = Priority.of(written["priority"])
    assert {key: getattr(task, key) for key in written} == expected


@given(st.text(max_size=200) | st.text("command: x\n\t-[]{}&*!|>'\"#%@,?~\x07é", max_size=200))
def test_any_text_is_either_tasks_or_an_error_with_a_place(text: str) -> None:
    try:
        assert parse(text, "train.yaml", DEFAULTS).tasks
    except FileError as error:
        assert re.match(r"train\.yaml:[1-9]\d*:[1-9]\d*: .", error.message)
        assert "\n" not in error.message + error.hint


@pytest.mark.parametrize(
    "text",
    [
        "'1..5'", '"range(1, 5)"', "1-5", "1:30", "'a, b'", "12:05", "2026-11-22", "range", "../data",
        "|-\n    1..5", "a, b c", "f(x)",
    ],
)  # fmt: skip
def test_text_in_params_is_text_where_it_is_quoted_or_can_hardly_mean_several(text: str) -> None:
    (task,) = parse(f"command: x\nparams:\n  p: {text}\n", "t.yaml", DEFAULTS).tasks
    assert task.params["p"] == text.strip("'\"").removeprefix("|-\n    ")


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("0.1, 0.2", "[0.1, 0.2]"), ("1..5", "range(1, 6)"), ("a, b", "[a, b]"),
        ("linspace(0,1,5)", "[0, 0.25, 0.5, 0.75, 1]"), ("1 2 3", "[1, 2, 3]"),
    ],
)  # fmt: skip
def test_what_looks_like_several_values_in_params_is_refused_with_how_they_are_written(
    text: str, several: str
) -> None:
    with pytest.raises(FileError) as caught:
        parse(f"command: x\nparams:\n  p: {text}\n", "t.yaml", DEFAULTS)
    assert caught.value.hint == (
        f"for a run of each value, write matrix: {{p: {several}}}; if it is text, put it in quotes"
    )


@pytest.mark.parametrize("entry", ["{lr: 0.1, p: 1..5}", "{lr: 0.1, p: 1 2}", "{lr: 0.1, p: linspace(0)}"])
@pytest.mark.parametrize("key", ["include", "exclude"])
def test_what_looks_like_several_values_in_include_is_refused(entry: str, key: str) -> None:
    with pytest.raises(FileError, match="would be a single text here"):
        parse(f"command: x\nmatrix: {{lr: [0.1, 0.2], p: [a], {key}: [{entry}]}}\n", "t.yaml", DEFAULTS)


@pytest.mark.parametrize("listed", ["[0.1 0.2]", "[0.1, 0.2 0.3]"])
def test_a_comma_that_is_missing_in_a_list_is_told(listed: str) -> None:
    with pytest.raises(FileError, match="is text, not") as caught:
        parse(f"command: x\nmatrix: {{lr: {listed}}}\n", "t.yaml", DEFAULTS)
    assert caught.value.hint.startswith("write commas: [0.")
    assert parse("command: x\nmatrix: {lr: ['0.1 0.2']}\n", "t.yaml", DEFAULTS).tasks
