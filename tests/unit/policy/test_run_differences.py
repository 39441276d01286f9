"""The differences between a failed run and one that succeeded."""

from typing import Any

from aqueue.model.gpu import Allocation
from aqueue.model.run import Run
from aqueue.model.task import Isolation, Snapshot
from aqueue.policy.run_differences import Difference, differences, nearest
from tests.unit.policy.test_diagnosis import an_attempt
from tests.unit.records import a_run, a_task


def with_params(id_: int, **params: Any) -> Run:
    return a_run(a_task(params=params), id=id_)


def test_the_nearest_run_has_the_fewest_other_params_and_is_the_newest_of_those() -> None:
    run = with_params(9, lr=0.1, seed=1)
    far, near, newer = with_params(1, lr=1, seed=2), with_params(2, lr=0.1, seed=2), with_params(3, lr=1, seed=1)
    assert nearest(run, [far, newer, near]) is newer
    assert nearest(run, [far, near]) is near
    assert nearest(run, [with_params(4), far]) is not None
    assert nearest(run, []) is None


def test_equal_runs_have_no_differences() -> None:
    one = (with_params(1, lr=0.1), an_attempt())
    assert differences(one, one) == []


def test_what_differs_is_listed_with_both_values_and_variables_without_theirs() -> None:
    def code(commit: str) -> Isolation:
        return Isolation(snapshot=Snapshot(repository="/r", commit=commit * 40))

    before = a_task(params={"lr": 0.1, "a": 1}, env={"TOKEN": "secret", "OLD": "secret"}, isolate=code("a"))
    after = a_task(
        params={"lr": 3.10, "b": 2},
        env={"TOKEN": "hidden", "NEW": "hidden"},
        isolate=code("b"),
        command=("python", "a b.py"),
        working_dir="/other",
        gpus=2,
    )
    first = an_attempt(python="/a/python", finished_at=1600.0)
    second = an_attempt(python="/b/python", gpus=(Allocation("0", "0"), Allocation("1", "1")))
    found = differences((a_run(before), first), (a_run(after), second))
    assert {(one.what, one.before, one.after) for one in found} == {
        ("param lr", "0.1", "3.1"),
        ("param a", "1", None),
        ("param b", None, "2"),
        ("command", "true", "python 'a b.py'"),
        ("working dir", "/", "/other"),
        ("asks for", None, "2 GPUs"),
        ("env TOKEN", "one value", "another"),
        ("env OLD", "set", None),
        ("env NEW", None, "set"),
        ("commit", "a" * 12, "b" * 12),
        ("python", "/a/python", "/b/python"),
        ("GPUs", None, "GPUs 0 and 1"),
        ("duration", "10m", "1m40s"),
    }
    assert Difference("param lr", "0.1", "3.1") in found
    assert "secret" not in repr(found)
    assert "hidden" not in repr(found)
