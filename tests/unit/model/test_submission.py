"""Submissions of several tasks, and the runs that a name means among them."""

import pytest

from aqueue.model.submission import Submission
from aqueue.model.sweep import Sweep
from tests.unit.records import a_task

SWEEP = Sweep(axes={"lr": (0.1, 0.01), "seed": (1, 2)})


def test_a_request_without_a_sweep_is_its_task_as_it_is() -> None:
    task = a_task(params={"lr": 0.5}, group="night")
    assert Submission(task=task).tasks() == [task]


def test_each_combination_is_a_task_with_a_number_in_its_name_and_a_common_group() -> None:
    tasks = Submission(task=a_task(name="train"), sweep=SWEEP).tasks()
    assert [task.name for task in tasks] == ["train-1", "train-2", "train-3", "train-4"]
    assert {task.group for task in tasks} == {"train"}
    assert tasks[1].params == {"lr": 0.1, "seed": 2}


def test_a_group_that_is_named_is_that_of_a_sweep_too() -> None:
    assert {task.group for task in Submission(task=a_task(group="night"), sweep=SWEEP).tasks()} == {"night"}


def test_a_combination_wins_over_params_and_the_other_params_stay() -> None:
    tasks = Submission(task=a_task(params={"lr": 5, "epochs": 3}), sweep=SWEEP).tasks()
    assert tasks[0].params == {"lr": 0.1, "epochs": 3, "seed": 1}


def test_all_else_that_the_task_says_is_that_of_each_of_its_runs() -> None:
    task = a_task(hold=True, gpus=2, env={"A": "1"}, tags=("x",), queue="gpu", timeout=5.0)
    for one in Submission(task=task, sweep=SWEEP).tasks():
        assert (one.hold, one.gpus, one.env, one.tags, one.queue, one.timeout) == (
            (task.hold, task.gpus, task.env, task.tags, task.queue, task.timeout)
        )


def test_a_sweep_of_one_combination_is_numbered_too() -> None:
    (task,) = Submission(task=a_task(name="train"), sweep=Sweep(axes={"lr": (0.1,)})).tasks()
    assert (task.name, task.group) == ("train-1", "train")


def test_a_sweep_that_makes_no_sense_says_so() -> None:
    with pytest.raises(ValueError, match="nothing to combine"):
        Submission(task=a_task(), sweep=Sweep(axes={})).tasks()


def test_a_name_means_all_runs_of_a_sweep_or_one_of_them() -> None:
    request = Submission(task=a_task(name="train"), sweep=SWEEP)
    by_name = {name: [*runs] for name, runs in request.by_name([11, 12, 13, 14])}
    assert by_name == {
        "train": [11, 12, 13, 14],
        "train-1": [11],
        "train-2": [12],
        "train-3": [13],
        "train-4": [14],
    }
    assert request.names() == [*by_name]


def test_a_task_without_a_sweep_is_meant_by_its_name_alone() -> None:
    request = Submission(task=a_task(name="train"))
    assert [*request.by_name([5])] == [("train", [5])]
    assert request.names() == ["train"]


@pytest.mark.parametrize(
    ("task", "is_sweep", "after", "is_named"),
    [
        ({}, False, ["train"], True),
        ({}, False, ["other", "train"], True),
        ({}, False, ["train-1", "group:train", "42"], False),
        ({"group": "night"}, False, ["group:night"], True),
        ({"group": "night"}, False, ["night", "group:train"], False),
        ({}, True, ["train"], True),
        ({}, True, ["train-3"], True),
        ({}, True, ["group:train"], True),
        ({"group": "night"}, True, ["group:night"], True),
        ({"group": "night"}, True, ["group:train"], False),
        ({}, True, [], False),
    ],
)
def test_what_comes_after_it_names_it_its_group_or_one_of_its_runs(
    task: dict[str, str], is_sweep: bool, after: list[str], is_named: bool
) -> None:
    request = Submission(task=a_task(**task), sweep=SWEEP if is_sweep else None)
    assert request.is_named_in(after) == is_named
