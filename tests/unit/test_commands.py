from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue import wrapper
from aqueue.commands import arguments, environment, fill_in
from aqueue.folder import Folder
from aqueue.models import Task
from aqueue.values import Scalar
from tests.unit.records import a_run, a_task

FOLDER = Folder(Path("/srv/queue"))


def seen_by(task: Task, base: dict[str, str] | None = None) -> dict[str, str]:
    """What the command of a first attempt sees."""
    return environment(a_run(task, id=42), base or {}, FOLDER)


def test_a_string_is_run_by_the_wrapper_itself() -> None:
    assert arguments(a_task(command="echo $1", arguments=("a b", "c"))) == [
        wrapper.OWN_SHELL, "echo $1", "a b", "c",
    ]  # fmt: skip


def test_a_string_is_run_by_the_shell_that_is_named() -> None:
    task = a_task(command="echo $1", shell="/bin/bash", arguments=("a b",))
    assert arguments(task) == ["/bin/bash", "-c", "echo $1", "/bin/bash", "a b"]


def test_a_string_is_left_to_its_shell_to_fill_in() -> None:
    task = a_task(command="train --lr ${lr}", params={"lr": 0.1})
    assert arguments(task) == [wrapper.OWN_SHELL, "train --lr ${lr}"]


def test_a_list_is_run_as_it_is_with_its_params_filled_in() -> None:
    task = a_task(command=("train", "--lr=${lr}", "$HOME", "a  b", "*"), params={"lr": 0.1})
    assert arguments(task) == ["train", "--lr=0.1", "$HOME", "a  b", "*"]


@given(st.text(min_size=1, max_size=5))
def test_a_list_is_never_run_by_a_shell_whatever_its_first_word_becomes(word: str) -> None:
    program = a_task(command=("${word}", "echo no"), params={"word": word})
    assert arguments(program) != arguments(a_task(command="echo no"))


def test_a_program_whose_name_becomes_empty_cannot_be_started() -> None:
    with pytest.raises(OSError, match="name is empty"):
        arguments(a_task(command=("${word}", "echo no"), params={"word": ""}))


def test_a_command_that_asks_for_its_own_pid_gets_a_shell_of_its_own() -> None:
    task = a_task(command="echo $$ >pid; exec train")
    assert arguments(task) == ["/bin/sh", "-c", "echo $$ >pid; exec train", "/bin/sh"]


@pytest.mark.parametrize(
    ("text", "filled_in"),
    [
        ("${lr}", "0.1"),
        ("--lr=${lr}:${lr}", "--lr=0.1:0.1"),
        ("${fast} ${slow}", "true false"),
        ("[${none}]", "[]"),
        ("${steps}", "5"),
        ("${nested}", "${lr}"),
        ("${unknown}", "${unknown}"),
        ("$lr", "$lr"),
        ("$${lr}", "$0.1"),
        ("${lr", "${lr"),
        ("${ lr }", "${ lr }"),
        ("${}", "${}"),
        ("no param", "no param"),
        ("", ""),
    ],
)
def test_a_param_is_filled_in_once_where_it_is_written_in_braces(text: str, filled_in: str) -> None:
    params: dict[str, Scalar] = {
        "lr": 0.1, "steps": 5, "fast": True, "slow": False, "none": None, "nested": "${lr}",
    }  # fmt: skip
    assert fill_in(text, a_task(params=params)) == filled_in


@given(st.text())
def test_without_params_every_text_stays_as_it_is(text: str) -> None:
    assert fill_in(text, a_task()) == text


@given(before=st.text(st.characters(exclude_characters="${}")), value=st.text())
def test_what_a_param_holds_is_not_looked_at(before: str, value: str) -> None:
    filled_in = fill_in(f"{before}${{p}}", a_task(params={"p": value}))
    assert filled_in == before + value


def test_the_command_sees_the_environment_of_the_server() -> None:
    assert (
        seen_by(a_task(), {"HOME": "/home/me", "LANG": "C"}).items() >= {"HOME": "/home/me", "LANG": "C"}.items()
    )


def test_params_go_over_the_environment_of_the_server_and_env_over_both() -> None:
    task = a_task(params={"A": 1, "B": 1}, env={"B": "2"})
    seen = seen_by(task, {"A": "0", "B": "0", "C": "0"})
    assert (seen["A"], seen["B"], seen["C"]) == ("1", "2", "0")


def test_params_are_variables_as_text() -> None:
    seen = seen_by(a_task(params={"lr": 0.1, "steps": 5, "fast": True, "none": None, "text": "a b"}))
    assert [seen[name] for name in ("lr", "steps", "fast", "none", "text")] == ["0.1", "5", "true", "", "a b"]


def test_params_are_filled_in_in_the_values_of_env() -> None:
    assert seen_by(a_task(params={"lr": 0.1}, env={"OUT": "runs/${lr}/${x}"}))["OUT"] == "runs/0.1/${x}"


def test_the_command_is_told_which_run_it_is() -> None:
    run = a_run(a_task(queue="gpu"), id=42, run_id="f00d", attempt=3)
    seen = environment(run, {}, FOLDER)
    assert seen == {
        "AQUEUE_RUN_ID": "f00d",
        "AQUEUE_ID": "42",
        "AQUEUE_NAME": "train",
        "AQUEUE_QUEUE": "gpu",
        "AQUEUE_ATTEMPT": "3",
        "AQUEUE_RUN_DIR": "/srv/queue/.aqueue/runs/42",
    }


def test_a_run_that_is_started_within_a_run_is_told_of_itself() -> None:
    outer = seen_by(a_task(name="outer"))
    assert seen_by(a_task(name="inner"), outer)["AQUEUE_NAME"] == "inner"


def test_the_environment_of_the_server_stays_as_it_was() -> None:
    base = {"A": "0"}
    seen_by(a_task(params={"A": 1}, env={"B": "2"}), base)
    assert base == {"A": "0"}
