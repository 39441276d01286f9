"""Runs that come after others: what they come after, when they are let go, and when they are aborted."""

import sqlite3
import time

import pytest

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import State
from aqueue.model.task import Retries
from tests.integration.depending import Chain, wants


@pytest.fixture
def chain(connection: sqlite3.Connection, folder: Folder) -> Chain:
    return Chain(connection, folder)


# Their turn


def test_a_run_starts_once_what_it_comes_after_has_succeeded(chain: Chain) -> None:
    chain.a_then_b()
    assert chain.waits("b")
    assert chain.start() == ["a"]
    assert chain.start() == []
    chain.end("a")
    assert not chain.waits("b")
    assert chain.start() == ["b"]


def test_it_waits_for_the_last_of_several(chain: Chain) -> None:
    for name in "abc":
        chain.enqueue(wants(name))
    chain.enqueue(wants("d", after=["a", "b", "c"]))
    chain.start()
    for name in "ba":
        chain.end(name)
        assert chain.start() == []
    chain.end("c")
    assert chain.start() == ["d"]


@pytest.mark.parametrize(
    ("end", "code", "how"),
    [(End.EXITED, 3, "failed"), (End.TIMED_OUT, 143, "failed"), (End.STOPPED, 143, "was aborted")],
)
def test_when_one_did_not_succeed_what_comes_after_it_is_aborted_with_that_reason(
    chain: Chain, end: End, code: int, how: str
) -> None:
    chain.a_then_b()
    chain.start()
    ended = chain.end("a", code, end, why="timed out" if end is End.TIMED_OUT else "stopped")
    b = chain.run("b")
    assert (b.state, b.reason) == (State.ABORTED, f"run 1 a, which it comes after, {how}")
    assert (b.finished_at, b.attempt) == (ended.finished_at, 0)
    assert chain.last.dependencies.aborted == [b]
    assert chain.start() == []


def test_it_is_aborted_at_the_first_failure_and_not_only_once_all_are_over(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.enqueue(wants("slow"))
    chain.enqueue(wants("c", after=["slow", "a"]))
    chain.go("a", code=1)
    assert chain.states() == {"a": "failed", "slow": "running", "c": "aborted"}
    chain.end("slow")
    assert chain.state("c") == "aborted"


def test_what_comes_after_what_was_aborted_is_aborted_and_so_on(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    chain.enqueue(wants("d", after=["c", "a"]))
    chain.go("a", code=1)
    assert set(chain.states().values()) == {"failed", "aborted"}
    assert chain.run("c").reason == "run 2 b, which it comes after, was aborted"
    assert {run.name for run in chain.last.dependencies.aborted} == {"b", "c", "d"}


def test_a_failure_that_is_tried_again_is_not_the_end(chain: Chain) -> None:
    chain.enqueue(wants("a", retries=Retries(limit=1)))
    chain.enqueue(wants("b", after=["a"]))
    chain.go("a", code=1)
    assert (chain.state("a"), chain.waits("b")) == ("queued", True)
    chain.go("a")
    assert chain.start() == ["b"]


@pytest.mark.parametrize("code", [0, 1])
def test_any_end_will_do_if_it_is_said(chain: Chain, code: int) -> None:
    chain.enqueue(wants("a"))
    chain.enqueue(wants("other"))
    chain.enqueue(wants("b", after=["a", "other"], any_end=True))
    chain.go("a", code)
    assert chain.waits("b")
    chain.cancel("other")
    chain.end("other", 143, End.STOPPED, why="cancelled")
    assert chain.start() == ["b"]


def test_what_comes_after_any_end_of_what_was_aborted_runs(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("tidy", after=["b"], any_end=True))
    chain.go("a", code=1)
    assert chain.states() == {"a": "failed", "b": "aborted", "tidy": "queued"}
    assert chain.start() == ["tidy"]


def test_priorities_and_queues_are_as_ever_once_it_may_start(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.enqueue(wants("first", queue="lane"))
    chain.enqueue(wants("second", queue="lane"))
    chain.enqueue(wants("b", after=["a"], queue="lane", priority=0))
    # One slot is in an unconfigured queue.
    assert chain.start() == ["a", "first"]
    chain.end("a")
    chain.end("first")
    assert chain.start() == ["b"]
    first = chain.asked.queues.first("lane")
    assert first is not None and first.name == "second"


# What `after` means


def test_a_name_is_its_newest_run_and_an_id_is_that_very_run(chain: Chain) -> None:
    old, new = chain.enqueue(wants("a"), wants("a"))
    chain.enqueue(wants("by-name", after=["a"]), wants("by-id", after=[str(old)]))
    assert [run.id for run in chain.asked.dependencies.prerequisites(chain.run("by-name"))] == [new]
    assert [run.id for run in chain.asked.dependencies.prerequisites(chain.run("by-id"))] == [old]


def test_a_run_id_means_its_run_and_so_does_name_and_run_id(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    run_id = chain.run("a").run_id
    chain.enqueue(wants("b", after=[run_id]), wants("c", after=[f"a:{run_id}"]))
    assert chain.after("b") == chain.after("c") == ["a"]


def test_a_number_is_an_id_and_a_name_only_where_there_is_no_such_id(chain: Chain) -> None:
    chain.enqueue(wants("2"), wants("1"), wants("77"))
    chain.enqueue(wants("b", after=["1"]), wants("c", after=["77"]))
    assert chain.after("b") == ["2"]
    assert chain.after("c") == ["77"]


def test_a_group_is_the_newest_run_of_each_of_its_names(chain: Chain) -> None:
    chain.enqueue(wants("train", runs=2))
    newer = chain.enqueue(wants("train", runs=3), wants("eval", group="train"), wants("train-9", group="other"))
    chain.enqueue(wants("b", after=["group:train"]))
    assert [run.id for run in chain.asked.dependencies.prerequisites(chain.run("b"))] == newer[:4]


def test_what_is_meant_twice_is_waited_for_once(chain: Chain) -> None:
    chain.enqueue(wants("a", group="g"))
    chain.enqueue(wants("b", after=["a", "1", "group:g", chain.run("a").run_id]))
    assert chain.after("b") == ["a"]
    chain.go("a")
    assert chain.start() == ["b"]


@pytest.mark.parametrize(
    "written", ["nothing", "99", "group:nothing", "group:", "a:nothing", "group:a", "-1", "1.0"]
)
def test_what_is_not_known_is_an_error_and_nothing_is_queued(chain: Chain, written: str) -> None:
    chain.enqueue(wants("a"))
    with pytest.raises(RunError) as caught:
        chain.enqueue(wants("b"), wants("c", after=["a", written]))
    assert written.removeprefix("group:") in caught.value.message
    assert caught.value.hint
    assert chain.states() == {"a": "queued"}
    assert chain.rows("prerequisites") == 0


def test_a_run_cannot_come_after_itself(chain: Chain) -> None:
    with pytest.raises(RunError):
        chain.enqueue(wants("a", after=["a"]))
    chain.enqueue(wants("a"))
    chain.enqueue(wants("a", after=["a"]))
    # The one before it.
    assert [run.id for run in chain.asked.dependencies.prerequisites(chain.run("a"))] == [1]


def test_to_come_after_nothing_is_not_to_wait(chain: Chain) -> None:
    chain.enqueue(wants("a", after=[], needs=[], any_end=True))
    assert chain.run("a").prerequisites is None
    assert chain.start() == ["a"]


# After what is over already


def test_after_what_has_succeeded_it_starts_at_once(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.go("a")
    chain.enqueue(wants("b", after=["a"]))
    assert chain.start() == ["b"]


@pytest.mark.parametrize("is_aborted", [True, False])
@pytest.mark.parametrize("any_end", [True, False])
def test_after_what_has_not_it_is_aborted_at_once(chain: Chain, is_aborted: bool, any_end: bool) -> None:
    chain.enqueue(wants("a"), wants("waits"))
    if is_aborted:
        chain.cancel("a")
    else:
        chain.go("a", code=1)
    chain.enqueue(wants("b", after=["a"], any_end=any_end))
    chain.enqueue(wants("c", after=["waits", "a"], any_end=any_end), wants("d", needs=["c"]))
    if any_end:
        assert (chain.state("b"), chain.waits("c")) == ("queued", True)
    else:
        assert {chain.state(name) for name in "bcd"} == {"aborted"}
        how = "was aborted" if is_aborted else "failed"
        assert chain.run("b").reason == f"run 1 a, which it comes after, {how}"
        assert chain.run("d").reason == f"run {chain.run('c').id} c, which it comes after, was aborted"


def test_after_what_is_held_it_waits_until_that_is_released_and_over(chain: Chain) -> None:
    chain.enqueue(wants("a", hold=True))
    chain.enqueue(wants("b", after=["a"]))
    assert chain.start() == []
    chain.release("a")
    assert chain.start() == ["a"]
    chain.end("a")
    assert chain.start() == ["b"]


def test_what_a_file_comes_after_and_was_forgotten_is_as_good_as_over(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.go("a", code=1)
    chain.forget("a")
    chain.accept("0a~~b.yaml", wants("b", after=["a"]))
    assert chain.start() == ["b"]


# Several in one file


def test_tasks_of_one_file_need_each_other_in_whatever_order_they_stand(chain: Chain) -> None:
    chain.enqueue(wants("c", needs=["b", "a"]), wants("b", needs=["a"]), wants("a"))
    for name in "abc":
        assert chain.start() == [name]
        chain.end(name)


def test_a_need_is_a_task_of_the_file_and_not_an_older_run(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.enqueue(wants("b", needs=["a"]), wants("a"))
    assert [run.id for run in chain.asked.dependencies.prerequisites(chain.run("b"))] == [3]


def test_a_need_is_each_task_of_that_name(chain: Chain) -> None:
    chain.enqueue(wants("a"), wants("b", needs=["a"]), wants("a", runs=2))
    assert chain.after("b") == ["a", "a-1", "a-2"]


def test_needs_and_after_go_together(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.enqueue(wants("b"), wants("c", after=["a"], needs=["b"]))
    assert chain.after("c") == ["a", "b"]
    chain.start()
    chain.end("b")
    assert chain.start() == []
    chain.end("a")
    assert chain.start() == ["c"]


def test_a_single_run_of_a_sweep_can_be_needed(chain: Chain) -> None:
    chain.enqueue(
        wants("train", runs=4, queue="q"), wants("eval", needs=["train-3"]), wants("all", needs=["train"])
    )
    assert chain.after("eval") == ["train-3"]
    for number in (1, 2, 3):
        chain.go(f"train-{number}")
    assert chain.start() == ["train-4", "eval"]
    chain.end("train-4")
    assert chain.start() == ["all"]


def test_what_comes_after_something_that_is_over_and_what_needs_that_are_aborted_together(chain: Chain) -> None:
    chain.enqueue(wants("a"))
    chain.go("a", code=1)
    # Those that depend on it stand before it, and after it.
    ids = chain.enqueue(
        wants("d", needs=["b"]),
        wants("tidy", needs=["b"], any_end=True),
        wants("b", after=["a"]),
        wants("e", needs=["d"]),
    )
    assert [chain.get(id_).state for id_ in ids] == ["aborted", "queued", "aborted", "aborted"]
    assert chain.start() == ["tidy"]


def test_a_file_that_is_accepted_twice_makes_no_second_set(chain: Chain) -> None:
    requests = wants("train", runs=3), wants("eval", needs=["train"], runs=2)
    first = chain.accept("0a~~f.yaml", *requests)
    chain.go("train-1", code=1)
    assert chain.accept("0a~~f.yaml", *requests) == first
    assert (chain.rows("prerequisites"), chain.rows("prerequisite_runs")) == (1, 3)
    assert chain.state("eval-1") == "aborted"


def test_a_whole_sweep_has_its_prerequisites_in_common(chain: Chain) -> None:
    began = time.monotonic()
    ids = chain.enqueue(
        wants("first"),
        wants("train", runs=1000, needs=["first"], queue="t"),
        wants("eval", runs=1000, needs=["train"], queue="e"),
    )
    assert chain.rows("prerequisite_runs") == 1 + 1000
    first = chain.get(ids[0])
    assert len(chain.asked.dependencies.dependents([first])) == 2000
    chain.go("first", code=1)
    assert chain.asked.runs.count(states=[State.ABORTED]) == 2000
    assert len(chain.retry("first")) == 2000
    chain.go("first")
    with chain.open() as store:
        for run in store.runs.select(group="train"):
            store.lifecycle.cancel(run, "cancelled", chain.now())
    assert chain.asked.runs.count(states=[State.ABORTED]) == 2000
    with chain.open() as store:
        store.lifecycle.retry(store.runs.select(group="train"))
    assert chain.asked.runs.count(states=[State.QUEUED]) == 2000
    # It took minutes when each pair of runs was looked at.
    assert time.monotonic() - began < 20
