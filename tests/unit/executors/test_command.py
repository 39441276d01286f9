from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.executors import command
from aqueue.executors.command import arguments, environment, is_line
from aqueue.folder.layout import Folder
from aqueue.formats.placeholders import UnknownNameError
from aqueue.model.task import Task
from tests.unit.records import a_run, a_task

FOLDER = Folder(Path("/srv/queue"))


def seen_by(task: Task, base: dict[str, str] | None = None, **changes: Any) -> dict[str, str]:
    """Return the environment of the command of a first attempt."""
    return environment(a_run(task, id=42, **changes), base or {}, FOLDER, "/work")


def words_of(task: Task, base: dict[str, str] | None = None, **changes: Any) -> list[str]:
    """Return the command that is started as the first attempt."""
    return arguments(task, seen_by(task, base, **changes))


def test_a_string_is_run_by_the_wrapper_itself() -> None:
    assert words_of(a_task(command="echo $1", arguments=("a b", "c"))) == [
        command.OWN_SHELL, "echo $1", "a b", "c",
    ]  # fmt: skip


def test_a_string_is_run_by_the_shell_that_is_named() -> None:
    task = a_task(command="echo $1", shell="/bin/bash", arguments=("a b",))
    assert words_of(task) == ["/bin/bash", "-c", "echo $1", "/bin/bash", "a b"]


def test_a_string_is_left_to_its_shell_to_fill_in() -> None:
    task = a_task(command="train --lr ${lr}", params={"lr": 0.1})
    assert words_of(task) == [command.OWN_SHELL, "train --lr ${lr}"]


def test_a_list_is_run_as_it_is_with_its_params_filled_in() -> None:
    task = a_task(command=("train", "--lr=${lr}", "$HOME", "a  b", "*"), params={"lr": 0.1})
    assert words_of(task) == ["train", "--lr=0.1", "$HOME", "a  b", "*"]


@given(st.text(min_size=1, max_size=5))
def test_a_list_is_never_run_by_a_shell_whatever_its_first_word_becomes(word: str) -> None:
    program = a_task(command=("${word}", "echo no"), params={"word": word})
    assert words_of(program) != words_of(a_task(command="echo no"))


def test_a_program_whose_name_becomes_empty_cannot_be_started() -> None:
    with pytest.raises(OSError, match="name is empty"):
        words_of(a_task(command=("${word}", "echo no"), params={"word": ""}))


def test_a_command_that_asks_for_its_own_pid_gets_a_shell_of_its_own() -> None:
    task = a_task(command="echo $$ >pid; exec train")
    assert words_of(task) == ["/bin/sh", "-c", "echo $$ >pid; exec train", "/bin/sh"]


def test_the_command_sees_the_environment_of_the_server() -> None:
    assert (
        seen_by(a_task(), {"HOME": "/home/me", "LANG": "C"}).items() >= {"HOME": "/home/me", "LANG": "C"}.items()
    )


def test_params_go_over_the_environment_of_the_server_and_env_over_both() -> None:
    task = a_task(params={"A": 1, "B": 1}, env={"B": "2"})
    seen = seen_by(task, {"A": "0", "B": "0", "C": "0"})
    assert (seen["A"], seen["B"], seen["C"]) == ("1", "2", "0")


def test_python_commands_write_at_once_unless_the_task_or_the_server_says_otherwise() -> None:
    assert seen_by(a_task())["PYTHONUNBUFFERED"] == "1"
    for task, base in (
        (a_task(), {"PYTHONUNBUFFERED": ""}),
        (a_task(env={"PYTHONUNBUFFERED": ""}), {}),
        (a_task(base_env={"PYTHONUNBUFFERED": ""}), {"PYTHONUNBUFFERED": "1"}),
    ):
        assert seen_by(task, base)["PYTHONUNBUFFERED"] == ""


def test_params_are_variables_as_text() -> None:
    seen = seen_by(a_task(params={"lr": 0.1, "steps": 5, "fast": True, "none": None, "text": "a b"}))
    assert [seen[name] for name in ("lr", "steps", "fast", "none", "text")] == ["0.1", "5", "true", "", "a b"]


def test_params_are_filled_in_in_the_values_of_env() -> None:
    assert seen_by(a_task(params={"lr": 0.1}, env={"OUT": "runs/${lr}/$${x}"}))["OUT"] == "runs/0.1/${x}"


def test_env_may_refer_to_itself_to_what_stands_above_it_and_to_the_run() -> None:
    env = {"OLD": "${PATH}", "BIN": "/opt/${AQUEUE_NAME}", "PATH": "${BIN}:${PATH}", "NEW": "${PATH} ${PWD}"}
    seen = seen_by(a_task(env=env), {"PATH": "/bin", "PWD": "/of/the/server"})
    assert [seen[name] for name in ("OLD", "PATH", "NEW")] == [
        "/bin",
        "/opt/train:/bin",
        "/opt/train:/bin /work",
    ]


def test_env_of_a_task_may_refer_to_the_env_of_all() -> None:
    task = a_task(base_env={"PATH": "/all:${PATH}", "X": "${PATH}"}, env={"PATH": "/mine:${PATH}"})
    seen = seen_by(task, {"PATH": "/bin"})
    assert (seen["PATH"], seen["X"]) == ("/mine:/all:/bin", "/all:/bin")


def test_a_param_is_meant_before_a_variable_of_its_name() -> None:
    task = a_task(command=("x", "${A}"), params={"A": 1}, env={"A": "${A}2", "B": "${A}"})
    assert words_of(task, {"A": "0"}) == ["x", "1"]
    assert (seen_by(task)["A"], seen_by(task)["B"]) == ("12", "1")


def test_the_words_of_a_list_may_refer_to_the_whole_environment() -> None:
    task = a_task(command=("x", "${AQUEUE_ID}", "${AQUEUE_RUN_DIR}/o", "${HOME}", "${E}"), env={"E": "e"})
    assert words_of(task, {"HOME": "/me"}) == ["x", "42", "/srv/queue/.aqueue/runs/42/o", "/me", "e"]
    gpus = a_task(command=("x", "${CUDA_VISIBLE_DEVICES}", "${AQUEUE_GPUS}"), gpus=0, env={"A": "${AQUEUE_GPUS}"})
    assert words_of(gpus, {"CUDA_VISIBLE_DEVICES": "3"}) == ["x", "", ""]


def test_an_own_variable_that_a_run_does_not_have_is_empty() -> None:
    task = a_task(command=("x", "[${AQUEUE_SCHEDULED_FOR}]"))
    assert words_of(task) == ["x", "[]"]
    assert words_of(task, scheduled_for=1e9) == ["x", "[2001-09-09T01:46:40.000Z]"]


@pytest.mark.parametrize(
    "where", [{"command": ("x", "${lrr}")}, {"env": {"A": "${lrr}"}}, {"base_env": {"A": "${lrr}"}}]
)
def test_a_name_that_nobody_knows_is_an_error(where: dict[str, Any]) -> None:
    message = r"\$\{lrr\} is neither a param nor a variable of its environment; did you mean \$\{lr\}\?"
    with pytest.raises(UnknownNameError, match=message):
        words_of(a_task(params={"lr": 0.1}, **where))


def test_an_entry_of_env_may_not_refer_to_one_below_it() -> None:
    with pytest.raises(UnknownNameError, match="write the entry for B above this one"):
        seen_by(a_task(env={"A": "${B}", "B": "1"}))
    assert seen_by(a_task(env={"A": "${B}", "B": "1"}), {"B": "0"})["A"] == "0"


def test_what_a_person_has_typed_to_be_run_as_it_is_is_not_filled_in() -> None:
    task = a_task(command=("x", "${A} $${A}"), env={"A": "${B}"}, base_env={"C": "${D}"}, is_literal=True)
    assert words_of(task, {"D": "d"}) == ["x", "${A} $${A}"]
    assert (seen_by(task, {"D": "d"})["A"], seen_by(task, {"D": "d"})["C"]) == ("${B}", "d")


def test_a_param_with_dots_is_a_variable_with_underscores() -> None:
    task = a_task(command=("x", "${train.lr}", "${train_lr}"), params={"train.lr": 0.1}, env={"E": "${train.lr}"})
    assert words_of(task) == ["x", "0.1", "0.1"]
    seen = seen_by(task)
    assert (seen["train_lr"], seen["E"], "train.lr" in seen) == ("0.1", "0.1", False)


def test_the_command_is_told_which_run_it_is() -> None:
    run = a_run(a_task(queue="gpu"), id=42, run_id="f00d", attempt=3)
    seen = environment(run, {}, FOLDER, "/work")
    assert seen == {
        "AQUEUE_RUN_ID": "f00d",
        "AQUEUE_ID": "42",
        "AQUEUE_NAME": "train",
        "AQUEUE_QUEUE": "gpu",
        "AQUEUE_ATTEMPT": "3",
        "AQUEUE_RUN_DIR": "/srv/queue/.aqueue/runs/42",
        "PWD": "/work",
        "PYTHONUNBUFFERED": "1",
    }


def test_a_run_that_is_started_within_a_run_is_told_of_itself() -> None:
    outer = seen_by(a_task(name="outer"))
    assert seen_by(a_task(name="inner"), outer)["AQUEUE_NAME"] == "inner"


def test_the_environment_of_the_server_stays_as_it_was() -> None:
    base = {"A": "0"}
    seen_by(a_task(params={"A": 1}, env={"B": "2"}), base)
    assert base == {"A": "0"}


@pytest.mark.parametrize(
    ("command", "is_one"), [(("a b",), True), (("a", "b c"), False), ((" a ",), False), ((), False)]
)
def test_a_program_with_a_blank_in_it_is_a_line(command: tuple[str, ...], is_one: bool) -> None:
    assert is_line(command) is is_one
