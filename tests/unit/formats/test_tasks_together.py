"""The tasks of one file: their names, and which needs which."""

import time

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import Content, parse
from aqueue.model.config import Defaults

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")


def content_of(text: str) -> Content:
    return parse(text, "train.yaml", DEFAULTS)


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        content_of(text)
    return caught.value.message, caught.value.hint


def file_of(*documents: str) -> str:
    return "\n---\n".join(f"command: x\n{document}" for document in documents)


def needs_of(*documents: str) -> list[tuple[str, ...]]:
    return [request.needs for request in content_of(file_of(*documents)).requests]


@pytest.mark.parametrize(
    "needs",
    ["needs: train", "needs: [train]", "needs: [train-2]", "needs: [train-1, train, train-3]", "needs: []"],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_task_needs_another_or_some_runs_of_its_sweep_wherever_it_is(needs: str, is_first: bool) -> None:
    documents = ["name: train\nmatrix: {lr: [1, 2, 3]}", f"name: eval\n{needs}"]
    assert len(needs_of(*(reversed(documents) if is_first else documents))) == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_a_task_is_not_called_as_a_run_of_a_sweep_in_its_file_is_called(is_first: bool) -> None:
    documents = ["matrix: {lr: [1, 2]}", "name: train-3", "name: train-2"]
    message, hint = error_in(file_of(*(reversed(documents) if is_first else documents)))
    assert message.endswith(": a run of train in this file has the name train-2, too")
    assert message.startswith("train.yaml:2:7:" if is_first else "train.yaml:8:7:")
    assert hint == "give it another name"


@pytest.mark.parametrize(
    ("documents", "where"),
    [
        (["name: a", "name: b", "name: a"], "8:7"),
        (["name: a\nmatrix: {lr: [1]}", "name: a"], "6:7"),
        (["hold: true", "name: train"], "5:7"),
        (["name: train", "hold: true"], "4:1"),
    ],
)
def test_two_tasks_of_a_file_are_not_given_one_name(documents: list[str], where: str) -> None:
    name = "train" if "name: train" in documents else "a"
    assert error_in(file_of(*documents)) == (
        f"train.yaml:{where}: there already is a task {name} in this file",
        "give each task its own name",
    )


def test_several_tasks_that_have_the_name_of_the_file_may_be_needed() -> None:
    assert needs_of("hold: true", "matrix: {lr: [1]}", "name: b\nneeds: [train]")[-1] == ("train",)


@pytest.mark.parametrize(
    ("needs", "where", "name", "hint"),
    [
        ("needs: trian", "8:8", "trian", "did you mean 'train'?"),
        ("needs: [train, trian]", "8:16", "trian", "did you mean 'train'?"),
        ("needs: [train-4]", "8:9", "train-4", "did you mean 'train'?"),
        ("needs:\n- train\n- 42", "10:3", "42", "a run that is queued already goes into 'after'"),
        ("needs: group:x", "8:8", "group:x", "a run that is queued already goes into 'after'"),
    ],
)
def test_a_need_that_no_task_of_the_file_meets_is_refused(needs: str, where: str, name: str, hint: str) -> None:
    # The last document begins in line 6.
    text = f"command: x\nmatrix: {{lr: [1, 2, 3]}}\n---\ncommand: x\n---\ncommand: x\nname: eval\n{needs}\n"
    assert error_in(text) == (f"train.yaml:{where}: needs: there is no task {name} in this file", hint)


@pytest.mark.parametrize(
    ("documents", "circle"),
    [
        (["needs: train"], "train needs train"),
        (["name: a\nmatrix: {lr: [1, 2]}\nneeds: a-1"], "a needs a"),
        (["name: a\nneeds: b", "name: b\nneeds: a"], "a needs b needs a"),
        (["name: c\nneeds: a", "name: a\nneeds: b", "name: b\nneeds: [a]"], "a needs b needs a"),
        (["name: a", "name: b\nneeds: [a, c]", "name: c\nneeds: [a, b]"], "b needs c needs b"),
        (["name: a\nmatrix: {lr: [1]}\nneeds: b", "name: b\nneeds: a-1"], "a needs b needs a"),
        # One of two tasks with this name.
        (["hold: true", "needs: b", "name: b\nneeds: train"], "train needs b needs train"),
    ],
)
def test_tasks_that_need_each_other_are_refused(documents: list[str], circle: str) -> None:
    message, hint = error_in(file_of(*documents))
    assert message.endswith(f": needs: {circle}: none could ever start")
    assert hint == "break the circle"


def test_a_circle_is_refused_at_the_need_that_closes_it() -> None:
    message, _ = error_in(file_of("name: a\nneeds: b", "name: b\nneeds: [a]"))
    assert message.startswith("train.yaml:7:8: ")


def test_a_large_circle_is_not_written_out() -> None:
    documents = [f"name: t{number}\nneeds: t{(number + 1) % 50}" for number in range(50)]
    message, _ = error_in(file_of(*documents))
    assert "needs: t0 needs t1 needs t2 needs t3 needs … needs t0: none" in message


def test_tasks_may_meet_again_without_a_circle() -> None:
    documents = ["name: a", "name: b\nneeds: a", "name: c\nneeds: a", "name: d\nneeds: [c, b, a]"]
    assert needs_of(*documents, "name: e\nneeds: [d, a]")[3] == ("c", "b", "a")


def test_many_needs_are_checked_in_no_time() -> None:
    several = ", ".join(f"train-{number}" for number in range(1, 2000))
    chain = [f"name: c{number}\nneeds: [c{number + 1}]" for number in range(2000)]
    began = time.monotonic()
    needs_of("matrix: {lr: range(10000)}", f"name: e\nneeds: [{several}]", *chain, "name: c2000")
    assert time.monotonic() - began < 10


def test_tasks_of_one_schedule_may_need_each_other() -> None:
    text = "command: x\nname: a\nneeds: [b-2]\nat: '2030-01-01'\n---\n"
    text += "command: x\nname: b\nmatrix: {lr: [1, 2]}\nat: '2030-01-01'\n"
    first, second = content_of(text).schedules
    assert (first.submission.needs, second.submission.needs) == (("b-2",), ())


@pytest.mark.parametrize(
    "other", ["schedule: '0 2 * * *'", "at: '2030-01-01'", "schedule: '@daily'\ncatchup_window: 1h"]
)
def test_what_is_needed_is_due_at_the_same_times(other: str) -> None:
    text = f"command: x\nname: a\nneeds: [b]\nschedule: '@daily'\n---\ncommand: x\nname: b\n{other}\n"
    message, hint = error_in(text)
    assert message == "train.yaml:3:8: needs: b is not due at the same times"
    assert "after" in hint


def test_the_tasks_of_a_schedule_file_are_looked_at_together_as_any_others() -> None:
    daily = "schedule: '@daily'"
    text = f"command: x\nname: a\nneeds: [c]\n{daily}\n---\ncommand: x\nname: b\n{daily}\n"
    assert error_in(text)[0] == "train.yaml:3:9: needs: there is no task c in this file"
    text = f"command: x\nmatrix: {{lr: [1]}}\n{daily}\n---\ncommand: x\nname: train-1\n{daily}\n"
    assert "a run of train in this file has the name train-1" in error_in(text)[0]
