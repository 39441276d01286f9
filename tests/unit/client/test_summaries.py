"""Runs in a few words: the params that tell them apart, or their commands."""

from typing import Any

from aqueue.client.summaries import summaries
from aqueue.model.run import Run
from tests.unit.records import a_run, a_task


def member(params: dict[str, Any], **task: Any) -> Run:
    return a_run(a_task(**{"command": "train", "group": "sweep", "params": params} | task))


def test_runs_of_a_sweep_are_told_apart_by_their_params() -> None:
    runs = [member({"model": "m", "lr": 0.1, "seed": 1}), member({"model": "m", "lr": 0.1, "seed": 2, "x": None})]
    assert summaries(runs) == ("PARAMS", ["seed=1", "seed=2"])
    assert summaries(runs[:1]) == ("PARAMS", ["model=m lr=0.1 seed=1"])


def test_other_runs_are_told_by_their_commands() -> None:
    runs = [
        member({"lr": 1}), member({"lr": 2}), member({"lr": 1}, command=("a b", "c")),
        member({"lr": 1}, group=None, name="x", command="one\ntwo\n"),
        member({"lr": 1}, group=None, name="x", command="one\ntwo\n"),
    ]  # fmt: skip
    assert summaries(runs) == ("COMMAND", ["lr=1", "lr=2", "lr=1", "one ↵ two", "one ↵ two"])
    assert summaries([member({}, command=("a b", "c"))]) == ("COMMAND", ["'a b' c"])
    assert summaries([]) == ("COMMAND", [])
