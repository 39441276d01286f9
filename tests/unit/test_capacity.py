from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.capacity import Limits, Line, Usage, waiting_for
from aqueue.models import ENDED, State
from tests.unit.records import a_run

NOW = 5000.0


def reason(
    state: State = State.QUEUED, *, ready_at: float | None = None, jobs: int = 1, **line: Any
) -> str | None:
    run = a_run(id=7, state=state, queue="gpu", ready_at=ready_at)
    plain: dict[str, Any] = {"servers": 1, "ahead": 0, "running": {}}
    return waiting_for(run, Line(**plain | line), Limits(jobs=jobs), NOW)


@pytest.mark.parametrize("state", sorted(ENDED | {State.RUNNING}))
def test_a_run_that_does_not_wait_waits_for_nothing(state: State) -> None:
    assert reason(state, servers=0, ahead=3) is None


def test_a_run_that_nothing_keeps_waits_for_nothing() -> None:
    assert reason() is None


def test_a_held_run_waits_to_be_released_server_or_not() -> None:
    assert reason(State.HELD, servers=0) == "hold; `aqueue release 7` lets it go"


def test_a_run_waits_for_a_server() -> None:
    assert reason(servers=0, ahead=2) == "no server is up; `aqueue serve` starts one"


def test_a_retry_waits_for_its_time() -> None:
    assert reason(ready_at=NOW + 90) == "retry in 1m30s"
    assert reason(ready_at=NOW) is None


def test_a_run_waits_for_those_before_it() -> None:
    assert reason(ahead=2, running={"gpu": [3]}) == "2 ahead of it in queue gpu"


def test_a_run_waits_for_the_one_that_fills_its_queue() -> None:
    assert reason(running={"gpu": [3]}, jobs=9) == "queue gpu is full: run 3"


def test_many_that_fill_a_queue_are_not_all_named() -> None:
    assert reason(running={"gpu": [3, 4, 5]}) == "queue gpu is full: runs 3, 4, 5"
    assert reason(running={"gpu": [3, 4, 5, 6]}) == "queue gpu is full: runs 3, 4, 5 …"


def test_a_run_waits_for_a_job_when_other_queues_take_them_all() -> None:
    running = {"a": [1], "b": [2]}
    assert reason(running=running, jobs=2) == "all jobs are taken (2); `-j` allows more"
    assert reason(running=running, jobs=3) is None


def test_each_server_brings_its_jobs() -> None:
    assert reason(running={"a": [1], "b": [2]}, jobs=2, servers=2) is None


@pytest.mark.parametrize("queue", ["train", "gpu"])
def test_a_queue_that_nobody_configured_has_one_slot(queue: str) -> None:
    assert Limits(jobs=8).slots(queue) == 1


@given(st.lists(st.sampled_from("abc")))
def test_a_queue_is_full_once_a_run_of_it_was_counted(queues: list[str]) -> None:
    usage = Usage(queues=Counter(), jobs=0)
    for queue in queues:
        usage.add(queue)
    assert sorted(usage.full(Limits())) == sorted(set(queues))
    assert usage.jobs == usage.queues.total() == len(queues)


@given(
    state=st.sampled_from(State),
    ready_in=st.none() | st.integers(-100, 100),
    ahead=st.integers(0, 3),
    running=st.dictionaries(st.sampled_from(["gpu", "a", "b"]), st.just([1]), max_size=3),
    jobs=st.integers(1, 3),
    servers=st.integers(0, 2),
)
def test_a_run_waits_for_something_exactly_when_it_cannot_start(
    state: State, ready_in: int | None, ahead: int, running: dict[str, list[int]], jobs: int, servers: int
) -> None:
    may_start = (
        state is State.QUEUED
        and (ready_in is None or ready_in <= 0)
        and not ahead
        and "gpu" not in running
        and len(running) < jobs * servers
    )
    ready_at = None if ready_in is None else NOW + ready_in
    words = reason(state, ready_at=ready_at, ahead=ahead, running=running, jobs=jobs, servers=servers)
    assert (words is None) == (may_start or state not in (State.QUEUED, State.HELD))
