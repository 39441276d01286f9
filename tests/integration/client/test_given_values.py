"""A client checks what it is given before it writes anything, by the rules of a task file."""

from pathlib import Path
from typing import Any

import pytest

from aqueue import AqueueError, Client, Task


@pytest.mark.parametrize(
    "wrong",
    [
        {"env": {"A": None}}, {"env": {"A": [1]}}, {"env": {1: "x"}}, {"env": {"A": "\0"}}, {"env": [1]},
        {"gpus": True}, {"gpus": "0,1"}, {"hold": "no"}, {"after_any": 1}, {"isolate": "git"},
        {"tags": [1]}, {"tags": 1}, {"name": 1}, {"queue": 1}, {"group": []}, {"after": None}, {"after": [None]},
        {"timeout": True}, {"timeout": [1]}, {"gpu_memory": []}, {"priority": 1},
        {"params": [1]},
    ],
    ids=ascii,
)  # fmt: skip
def test_an_option_that_is_not_of_its_type_is_refused_by_its_name(queue: Client, wrong: dict[str, Any]) -> None:
    (key,) = wrong
    with pytest.raises(AqueueError, match=key) as caught:
        queue.add("true", **wrong)
    assert caught.value.hint
    assert queue.runs() == []


@pytest.mark.parametrize(
    "wrong", [5, None, b"true", [], ["echo", None], "true\0x", ["echo", "\0"], "\udc80"], ids=repr
)
def test_what_is_no_command_is_refused(queue: Client, wrong: Any) -> None:
    with pytest.raises(AqueueError, match=r"command|task"):
        queue.add(wrong)
    assert queue.runs() == []


@pytest.mark.parametrize("params", [{"a": "\0"}, {1: 1}, {"a": 1j}, {"a": [b""]}, {"a": 1 << 20_000}])
def test_a_param_that_no_command_could_be_given_is_refused(queue: Client, params: Any) -> None:
    with pytest.raises(AqueueError):
        queue.enqueue({"name": "t", "command": "true"}, params=params)
    assert queue.runs() == []


def test_plain_values_are_written_as_a_task_files_are(queue: Client) -> None:
    run = queue.add(["echo", 1, Path("a")], env={"SEED": 1, "FLAG": True})
    assert run.task.command == ("echo", "1", "a")
    assert (run.task.env["SEED"], run.task.env["FLAG"]) == ("1", "true")
    (run,) = queue.enqueue(Task(name="t", command=("echo", 1), env={"SEED": 1}))  # type: ignore[arg-type,dict-item]  # as programs do
    assert (run.task.command, run.task.env) == (("echo", "1"), {"SEED": "1"})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"command": 5}, "command: expected a shell command"),
        ({"command": ""}, "the command is empty"),
        ({"command": 1j}, "command: "),
        ({"name": "x y"}, "name: expected 1 to 64 letters"),
        ({"timeout": -1}, "timeout: expected a length of time"),
        ({"retries": -1}, "retries: expected"),
        ({"hold": "no"}, "hold: expected"),
        ({"env": {"A-B": "1"}}, "env: "),
        ({"base_env": {"A": 1}}, "base_env"),
        ({"arguments": (1,)}, "arguments"),
        ({"arguments": ("a\0b",)}, "arguments: a value cannot have a NUL character"),
        ({"command": []}, "the command is empty"),
        ({"gpus": "0,1"}, "gpus: .*got '0,1'"),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_task_is_checked_as_one_in_a_file_is(queue: Client, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(AqueueError, match=words):
        queue.enqueue(Task(**{"name": "t", "command": "true", **wrong}))
    assert queue.runs() == []


def test_a_task_runs_in_the_current_directory_unless_it_says_otherwise(queue: Client) -> None:
    here = Path.cwd()
    runs = [
        *queue.enqueue(Task(name="a", command="true")),
        *queue.enqueue(Task(name="b", command="true", working_dir="sub")),
        *queue.enqueue(Task(name="c", command="true", working_dir="/")),
    ]
    assert [run.task.working_dir for run in runs] == [str(here), str(here / "sub"), "/"]


def test_the_task_of_a_run_can_be_queued_again_as_it_is(queue: Client) -> None:
    run = queue.add(["echo", "${HOME}x"], params={"lr": 0.1}, tags="a", gpus=1, timeout=5, env={"A": "${lr.x}"})
    (again,) = queue.enqueue(run.task)
    assert again.task == run.task


def test_a_mistyped_key_is_told_rather_than_a_missing_name(queue: Client) -> None:
    with pytest.raises(AqueueError, match="unknown key 'comand'") as caught:
        queue.enqueue({"comand": "x"})
    assert caught.value.hint == "did you mean 'command'?"
    with pytest.raises(AqueueError, match="'name' is missing"):
        queue.enqueue({"command": "x"})
    (run,) = queue.enqueue({"command": "x", "working_dir": Path("/")}, name="t")
    assert (run.name, run.task.working_dir) == ("t", "/")
    with pytest.raises(AqueueError, match="command: a task file could not have this"):
        queue.enqueue({"name": "t", "command": 1j})


def test_an_option_that_there_is_not_is_refused_with_the_one_that_was_meant(queue: Client) -> None:
    methods: list[tuple[Any, object]] = [(queue.add, "true"), (queue.enqueue, {"name": "t", "command": "true"})]
    for method, given in methods:
        with pytest.raises(AqueueError, match="there is no option gpuz") as caught:
            method(given, gpuz=1)
        assert caught.value.hint == "did you mean gpus?"
        assert isinstance(caught.value, TypeError)
    assert queue.runs() == []


@pytest.mark.parametrize("directory", [None, 1, "", "a\0b"], ids=repr)
def test_what_is_no_folder_is_refused(queue: Client, directory: Any) -> None:
    for open_ in (Client, Client.create):
        with pytest.raises(AqueueError, match=r"directory: .* is not valid") as caught:
            open_(directory)
        assert caught.value.hint == "expected a path"


def test_a_working_directory_that_does_not_exist_is_told_unless_an_earlier_run_may_make_it(queue: Client) -> None:
    warned: list[str] = []
    teller = Client(queue.path, warn=warned.append)
    (first,) = teller.enqueue({"name": "a", "command": "true", "working_dir": "/nope"})
    teller.enqueue(Task(name="b", command="true", working_dir="/nope"), after=first)
    assert warned == ["a: its working directory /nope does not exist"]
