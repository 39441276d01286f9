"""A client queues, checks and compares as much as the command line can."""

from pathlib import Path
from typing import Any, cast

import pytest

from aqueue import AqueueError, Client
from aqueue.errors import FileError, RunError, UsageError


def test_several_files_are_queued_together_or_none(queue: Client) -> None:
    Path("a.yaml").write_text("command: echo $lr $1\nparams: {lr: 1}\n")
    Path("b.yaml").write_text("command: echo $lr\nparams: {lr: 2}\n")
    with pytest.raises(AqueueError, match=r"missing\.yaml: cannot be read: .*; nothing was queued"):
        queue.enqueue(["a.yaml", "missing.yaml"])
    with pytest.raises(UsageError, match="there is no param momentum"):
        queue.enqueue(["a.yaml", "b.yaml"], params={"momentum": 0.9})
    assert queue.runs() == []
    runs = queue.enqueue(["a.yaml", Path("b.yaml")], params={"lr": 3}, new={"momentum": 0.9}, arguments=[1])
    assert [run.task.params for run in runs] == [{"lr": 3, "momentum": 0.9}] * 2
    assert {run.task.arguments for run in runs} == {("1",)}


def test_what_a_run_is_queued_as_is_chosen(queue: Client) -> None:
    source = {"name": "t", "command": "true"}
    (run,) = queue.enqueue(source, run_id="mine", trigger="webhook", default_working_dir="/")
    assert (queue.run("t:mine"), queue.run("mine"), run.trigger, run.task.working_dir) == (
        run,
        run,
        "webhook",
        "/",
    )
    wrong: dict[str, Any]
    for wrong in (
        {"run_id": "a b"}, {"trigger": "file"}, {"default_working_dir": "nowhere"}, {"new": [1]},
        {"arguments": [None]}, {"new": {"a": 1}, "params": {"a": 1}}, {"run_id": "x", "params": {"a": [1, 2]}},
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            queue.enqueue(source, **wrong)
        assert caught.value.hint
    assert queue.runs() == [run]


@pytest.mark.parametrize("wrong", [None, 1, [], [None], [{"name": "t"}], b"a.yaml", ""], ids=repr)
def test_what_cannot_be_queued_is_refused(queue: Client, wrong: Any) -> None:
    with pytest.raises(UsageError, match="source: "):
        queue.enqueue(wrong)


def test_a_file_is_checked_without_queueing(queue: Client) -> None:
    Path("train.yaml").write_text("command: echo $lr\nmatrix: {lr: [1, 2]}\n---\nname: b\ncommand: 'true'\n")
    checked = queue.check("train.yaml")
    assert [[task.name for task in one.tasks()] for one in checked.submissions] == [["train-1", "train-2"], ["b"]]
    Path("train.yaml").write_text("comand: 'true'\n")
    with pytest.raises(FileError, match="unknown key 'comand'"):
        queue.check(Path("train.yaml"))
    assert queue.runs() == []


def test_a_metric_is_compared_over_a_param(queue: Client) -> None:
    task = {"name": "train", "command": "echo AQUEUE_METRIC loss=$seed"}
    with queue.serving(jobs=4):
        queue.wait(queue.enqueue(task, params={"lr": [0.1, 0.01], "seed": [1, 2, 6], "kind": "a"}), timeout=60)
    found = queue.compare("lr", "loss", group="train")
    assert found.table() == [
        {"lr": lr, "runs": 3, "min loss": 1, "median loss": 2, "max loss": 6} for lr in (0.01, 0.1)
    ]
    rows = queue.compare("lr", "loss", by="seed").table()
    assert [(row["lr"], row["seed"], row["max loss"]) for row in rows][:3] == [
        (0.01, 1, 1),
        (0.01, 2, 2),
        (0.01, 6, 6),
    ]
    with pytest.raises(RunError, match="a number as kind"):
        queue.compare("lr", "kind")
    with pytest.raises(RunError, match="has 'nothing'"):
        queue.compare("nothing", "loss")
    with pytest.raises(UsageError, match="x and y are missing"):
        queue.compare(cast("str", None), "loss")
