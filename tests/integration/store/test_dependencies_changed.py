"""Cancels, holds and retries of runs with prerequisites, and of the prerequisites."""

import sqlite3

import pytest

from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from aqueue.model.run import NOT_YET, State
from aqueue.model.task import Retries
from tests.integration.depending import Chain, wants


@pytest.fixture
def chain(connection: sqlite3.Connection, folder: Folder) -> Chain:
    return Chain(connection, folder)


def test_a_waiting_run_that_is_held_is_not_started_until_it_is_released(chain: Chain) -> None:
    chain.a_then_b()
    chain.hold("b")
    chain.go("a")
    assert (chain.state("b"), chain.start()) == ("held", [])
    chain.release("b")
    assert chain.start() == ["b"]


def test_a_held_run_that_is_released_goes_on_waiting(chain: Chain) -> None:
    chain.a_then_b(hold=True)
    chain.release("b")
    assert chain.waits("b")
    chain.go("a")
    assert chain.start() == ["b"]


def test_a_held_run_is_aborted_too_and_comes_back_as_held(chain: Chain) -> None:
    chain.a_then_b(hold=True)
    chain.enqueue(wants("c", after=["a"]))
    chain.enqueue(wants("d", after=["a"]))
    chain.hold("d")
    chain.go("a", code=1)
    assert {chain.state(name) for name in "bcd"} == {"aborted"}
    assert chain.retry("a") == ["b", "c", "d"]
    assert [chain.state(name) for name in "bcd"] == ["held", "queued", "held"]
    chain.go("a")
    assert chain.start() == ["c"]


def test_cancelling_aborts_what_comes_after_and_tells_which_beforehand(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]), wants("tidy", after=["b"], any_end=True), wants("other"))
    assert [run.name for run in chain.asked.dependencies.dependents([chain.run("a")])] == ["b", "c"]
    assert [run.name for run in chain.asked.dependencies.dependents([chain.run("a"), chain.run("b")])] == ["c"]
    assert chain.asked.dependencies.dependents([chain.run("c")]) == []
    chain.cancel("a")
    assert chain.states() == {"a": "aborted", "b": "aborted", "c": "aborted", "tidy": "queued", "other": "queued"}


def test_a_running_run_that_is_cancelled_aborts_the_others_when_it_is_over(chain: Chain) -> None:
    chain.a_then_b()
    chain.start()
    chain.cancel("a")
    assert (chain.state("a"), chain.waits("b")) == ("running", True)
    chain.end("a", 143, End.STOPPED, why="cancelled")
    assert (chain.state("a"), chain.state("b")) == ("aborted", "aborted")


def test_what_runs_or_is_over_hangs_on_nothing_any_more(chain: Chain) -> None:
    chain.a_then_b()
    chain.go("a")
    assert chain.start() == ["b"]
    assert chain.asked.dependencies.dependents([chain.run("a")]) == []
    chain.end("b")
    chain.retry("a")
    assert chain.asked.dependencies.dependents([chain.run("a")]) == []
    chain.go("a", code=1)
    assert chain.state("b") == "succeeded"


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_one_and_what_comes_after_it_are_cancelled_together_in_any_order(chain: Chain, order: str) -> None:
    chain.a_then_b()
    chain.cancel(*order)
    assert {chain.run(name).reason for name in "ab"} == {"cancelled"}
    # Somebody wanted it cancelled for itself.
    assert chain.retry("a") == []
    assert chain.state("b") == "aborted"


def test_what_was_aborted_because_of_another_can_be_kept_from_coming_back(chain: Chain) -> None:
    chain.a_then_b()
    chain.go("a", code=1)
    chain.cancel("b")
    assert chain.run("b").reason == "cancelled"
    with pytest.raises(RunError, match="it is aborted"):
        chain.cancel("b")
    assert chain.retry("a") == []


def test_a_run_that_is_taken_off_its_queue_is_forgotten_unless_others_come_after_it(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    assert chain.dequeue("c")
    assert chain.states() == {"a": "queued", "b": "queued"}
    assert not chain.dequeue("a")
    assert chain.states() == {"a": "aborted", "b": "aborted"}
    assert chain.run("a").reason == "dequeued"
    assert chain.run("b").reason == "run 1 a, which it comes after, was aborted"
    assert chain.retry("a") == ["b"]


def test_a_waiting_run_can_be_taken_off_its_queue_as_its_first(chain: Chain) -> None:
    chain.a_then_b()
    first = chain.asked.queues.first("b")
    assert first is not None and first.name == "b"


# Retries by hand


def test_what_was_aborted_waits_again_when_its_reason_is_retried(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    chain.go("a", code=1)
    assert chain.retry("a") == ["b", "c"]
    b = chain.run("b")
    assert (b.state, b.reason, b.finished_at, b.ready_at) == (State.QUEUED, None, None, NOT_YET)
    for name in "abc":
        assert chain.start() == [name]
        chain.end(name)


def test_what_was_aborted_because_of_several_waits_until_all_are_retried(chain: Chain) -> None:
    for name in "xyz":
        chain.enqueue(wants(name))
    chain.enqueue(wants("b", after=["x", "y", "z"]))
    chain.start()
    chain.end("x", 1)
    chain.end("y", 1)
    assert chain.retry("x") == []
    assert chain.state("b") == "aborted"
    assert chain.retry("y") == ["b"]
    chain.start()
    for name in "zyx":
        assert chain.waits("b")
        chain.end(name)
    assert chain.start() == ["b"]


def test_it_comes_back_through_all_that_was_aborted_in_between(chain: Chain) -> None:
    chain.enqueue(wants("a"), wants("b", needs=["a"]), wants("c", needs=["a"]), wants("d", needs=["b", "c"]))
    chain.go("a", code=1)
    assert chain.retry("a") == ["b", "c", "d"]
    chain.go("a")
    chain.start()
    chain.end("b", 1)
    assert chain.state("d") == "aborted"
    chain.end("c")
    assert chain.retry("b") == ["d"]
    chain.go("b")
    assert chain.start() == ["d"]


def test_one_that_comes_after_what_failed_cannot_be_retried_alone(chain: Chain) -> None:
    chain.a_then_b()
    chain.go("a", code=1)
    with pytest.raises(RunError) as caught:
        chain.retry("b")
    assert "comes after run 1 a, which is failed" in caught.value.message
    assert "aqueue retry 1 2" in caught.value.hint
    assert chain.states() == {"a": "failed", "b": "aborted"}


@pytest.mark.parametrize("order", ["ba", "ab"])
def test_a_held_run_that_is_retried_itself_is_to_start(chain: Chain, order: str) -> None:
    chain.a_then_b(hold=True)
    chain.go("a", code=1)
    chain.retry(*order)
    assert (chain.state("b"), chain.run("b").reason) == ("queued", "retried by hand")
    chain.go("a")
    assert chain.start() == ["b"]


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_what_stands_in_the_way_of_several_is_not_one_of_them(chain: Chain, order: str) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    chain.cancel("c", "b", "a")
    with pytest.raises(RunError, match="run 2 cannot be retried: it comes after run 1 a, which is aborted"):
        chain.retry(*order)


@pytest.mark.parametrize("order", ["abc", "cba", "bac", "cab"])
@pytest.mark.parametrize("how", ["failed", "cancelled", "succeeded"])
def test_a_whole_chain_is_retried_in_any_order(chain: Chain, order: str, how: str) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    if how == "cancelled":
        chain.cancel("c", "b", "a")
    else:
        chain.go("a", code=how == "failed")
    if how == "succeeded":
        chain.go("b")
        chain.go("c")
    chain.retry(*order)
    assert set(chain.states().values()) == {"queued"}
    for name in "abc":
        assert chain.start() == [name]
        chain.end(name)


def test_of_several_one_that_cannot_be_retried_is_an_error(chain: Chain) -> None:
    chain.enqueue(wants("x"))
    chain.go("x", code=1)
    chain.a_then_b()
    chain.enqueue(wants("c", after=["x"]))
    chain.go("a", code=1)
    with pytest.raises(RunError, match="comes after run 1 x"):
        chain.retry("c", "b", "a")
    assert chain.states() == {"x": "failed", "a": "failed", "b": "aborted", "c": "aborted"}


def test_one_whose_reason_was_forgotten_can_be_retried(chain: Chain) -> None:
    chain.a_then_b()
    chain.enqueue(wants("c", after=["b"]))
    chain.go("a", code=1)
    chain.forget("a")
    assert chain.retry("b") == ["c"]
    for name in "bc":
        assert chain.start() == [name]
        chain.end(name)


def test_forgetting_what_is_over_does_not_change_what_waits(chain: Chain) -> None:
    chain.enqueue(wants("a"), wants("slow"), wants("b", needs=["a", "slow"]))
    chain.go("a")
    chain.forget("a")
    assert chain.waits("b")
    chain.end("slow")
    chain.forget("slow")
    assert chain.start() == ["b"]
    chain.end("b")
    chain.forget("b")
    assert (chain.rows("prerequisites"), chain.rows("prerequisite_runs")) == (0, 0)


def test_what_was_let_go_waits_again_when_something_before_it_is_retried(chain: Chain) -> None:
    chain.enqueue(wants("block", queue="b"))
    chain.a_then_b()
    chain.enqueue(wants("staged", after=["a"], hold=True))
    chain.start()
    chain.end("a")
    assert not chain.waits("b")
    chain.retry("a")
    assert chain.waits("b") and chain.waits("staged")
    chain.end("block")
    assert chain.start() == ["a"]
    chain.end("a", 1)
    assert (chain.state("b"), chain.state("staged")) == ("aborted", "aborted")


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("end", [End.EXITED, End.NEVER_STARTED, End.LOST])
def test_a_run_that_is_to_be_tried_again_waits_for_what_was_retried_meanwhile(
    chain: Chain, end: End, code: int
) -> None:
    chain.a_then_b(retries=Retries(limit=3, delay=5.0))
    chain.go("a")
    assert chain.start() == ["b"]
    chain.retry("a")
    chain.start()
    chain.end("b", 1 if end is End.EXITED else None, end)
    assert chain.waits("b")
    chain.end("a", code)
    if code:
        assert chain.run("b").reason == "run 1 a, which it comes after, failed"
        assert chain.retry("a") == ["b"]
        chain.go("a")
    assert chain.start() == ["b"]


def test_a_run_is_not_tried_again_once_what_it_came_after_has_failed_meanwhile(chain: Chain) -> None:
    chain.a_then_b(retries=Retries(limit=3))
    chain.enqueue(wants("c", after=["b"]))
    chain.go("a")
    chain.start()
    chain.retry("a")
    chain.go("a", code=1)
    assert (chain.state("b"), chain.waits("c")) == ("running", True)
    ended = chain.end("b", 1)
    assert (ended.state, ended.reason) == (State.ABORTED, "run 1 a, which it comes after, failed")
    assert chain.state("c") == "aborted"
    assert (ended.failures, ended.attempt) == (1, 1)
    assert chain.retry("a") == ["b", "c"]
    # With all its retries before it again.
    assert chain.run("b").failures == 0


def test_a_delayed_retry_waits_for_what_is_retried_too(chain: Chain) -> None:
    chain.a_then_b(retries=Retries(limit=1, delay=3600.0))
    chain.go("a")
    chain.go("b", code=1)
    assert not chain.waits("b")
    chain.retry("a")
    assert chain.waits("b")
    chain.go("a")
    assert chain.start() == ["b"]


def test_what_is_over_stays_so_when_something_before_it_is_retried(chain: Chain) -> None:
    chain.a_then_b()
    chain.go("a")
    chain.go("b", code=1)
    assert chain.retry("a") == []
    assert chain.state("b") == "failed"
    chain.go("a")
    chain.retry("b")
    assert chain.start() == ["b"]
