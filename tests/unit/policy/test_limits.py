from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.config import Queue
from aqueue.model.run import ENDED, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits, Openings, Usage
from aqueue.policy.wait_reasons import Line, waiting_for
from tests.unit.records import a_run

NOW = 5000.0
QUEUES = ["gpu", "a", "b"]


def a_server(id_: str = "here", **changes: Any) -> Server:
    plain: dict[str, Any] = {"pid": 1, "boot": "b", "jobs": 1, "started_at": NOW, "heartbeat_at": NOW}
    return Server(id=id_, **plain | changes)


def configured(name: str = "gpu", **changes: Any) -> dict[str, Queue]:
    return {name: Queue(name=name, **changes)}


def reason(
    state: State = State.QUEUED,
    *,
    ready_at: float | None = None,
    servers: Sequence[Server] = (a_server(),),
    limits: Limits | None = None,
    shortages: Mapping[str, str] | None = None,
    **line: Any,
) -> str | None:
    run = a_run(id=7, state=state, queue="gpu", ready_at=ready_at)
    plain: dict[str, Any] = {"servers": servers, "ahead": 0, "running": {}, "jobs": {}}
    return waiting_for(run, Line(**plain | line), limits or Limits(), NOW, shortages)


# What a run waits for


@pytest.mark.parametrize("state", sorted(ENDED | {State.RUNNING}))
def test_a_run_that_does_not_wait_waits_for_nothing(state: State) -> None:
    assert reason(state, servers=[], ahead=3, is_paused=True, limits=Limits(disabled_by="so")) is None


def test_a_run_that_nothing_keeps_waits_for_nothing() -> None:
    assert reason() is None


def test_a_held_run_waits_to_be_released_whatever_else_keeps_it() -> None:
    words = reason(State.HELD, servers=[], is_paused=True, limits=Limits(disabled_by="so"))
    assert words == "held; `aqueue release 7` queues it"


def test_a_run_waits_for_a_server() -> None:
    assert reason(servers=[], ahead=2) == "no server is running; `aqueue serve` starts one"


def test_that_its_queue_is_paused_is_said_before_that_no_server_is_up() -> None:
    pause = "queue gpu is paused; `aqueue resume gpu` resumes it"
    for servers in ([], [a_server(leaving=Leaving.WHEN_DONE)]):
        assert reason(servers=servers, is_paused=True) == pause
        in_file = Limits(queues={"gpu": Queue(name="gpu", paused=True)})
        assert reason(servers=servers, limits=in_file) == "queue gpu is paused in aqueue.yaml"


def test_a_run_waits_for_what_keeps_all_its_servers_from_starting_anything() -> None:
    full = {"here": "the disk is full"}
    assert reason(shortages=full) == "nothing is started: the disk is full"
    assert reason(shortages=full, running={"gpu": [3]}) == "nothing is started: the disk is full"
    assert reason(shortages=full, is_paused=True) == "queue gpu is paused; `aqueue resume gpu` resumes it"
    assert reason(shortages=full | {"there": ""}, servers=[a_server(), a_server("there")]) is None
    assert reason(State.HELD, shortages=full) == reason(State.HELD)


def test_a_server_that_is_to_leave_starts_nothing_more() -> None:
    servers = [a_server(leaving=Leaving.WHEN_DONE), a_server(leaving=Leaving.AT_ONCE)]
    assert reason(servers=servers) == "server 1 is stopping; `aqueue serve` starts another"


def test_a_run_waits_for_a_server_that_serves_its_queue() -> None:
    servers = [a_server(queues=("a", "b")), a_server(queues=("gpu",), leaving=Leaving.WHEN_DONE)]
    assert reason(servers=servers) == "no server serves queue gpu; `aqueue serve` starts one"
    assert reason(servers=[*servers, a_server(queues=("a", "gpu"))]) is None


def test_a_run_waits_until_queues_are_enabled() -> None:
    limits = Limits(disabled_by="AQUEUE_QUEUE_ENABLED=false")
    assert reason(limits=limits, servers=[]) == "queues are disabled: AQUEUE_QUEUE_ENABLED=false"


def test_a_run_waits_until_its_queue_is_resumed() -> None:
    words = reason(is_paused=True, ahead=2, running={"gpu": [3]})
    assert words == "queue gpu is paused; `aqueue resume gpu` resumes it"


def test_a_run_waits_while_its_queue_is_configured_as_paused() -> None:
    assert reason(limits=Limits(queues=configured(paused=True)), ahead=2) == "queue gpu is paused in aqueue.yaml"
    assert reason(limits=Limits(queues=configured("a", paused=True))) is None


def test_a_retry_waits_for_its_time() -> None:
    assert reason(ready_at=NOW + 90) == "retry in 1m30s"
    assert reason(ready_at=NOW) is None


def test_a_run_waits_for_those_before_it() -> None:
    assert reason(ahead=2, running={"gpu": [3]}) == "2 ahead of it in queue gpu"


def test_a_run_waits_for_the_one_that_fills_its_queue() -> None:
    assert reason(running={"gpu": [3]}, servers=[a_server(jobs=9)]) == "queue gpu is full: run 3"


def test_many_that_fill_a_queue_are_not_all_named() -> None:
    limits = Limits(queues=configured(max_concurrency=3))
    assert reason(running={"gpu": [3, 4]}, limits=limits) is None
    assert reason(running={"gpu": [3, 4, 5]}, limits=limits) == "queue gpu is full: runs 3, 4, 5"
    assert reason(running={"gpu": [3, 4, 5, 6]}, limits=limits) == "queue gpu is full: runs 3, 4, 5 …"


def test_a_run_waits_until_nothing_else_is_running_where_its_queue_says_so() -> None:
    limits = Limits(queues=configured(max_concurrency=3, wait_for_running=True))
    words = "queue gpu waits until nothing else is running:"
    assert reason(limits=limits) is None
    assert reason(limits=limits, running={"a": [3]}) == f"{words} run 3"
    assert reason(limits=limits, running={"a": [3], "b": [4, 5]}) == f"{words} runs 3, 4, 5"
    assert reason(limits=limits, running={"gpu": [6]}) == f"{words} run 6"


def test_a_run_waits_for_a_job_when_other_queues_take_them_all() -> None:
    running = {"a": [1], "b": [2]}
    taken = reason(running=running, jobs={"here": 2}, servers=[a_server(jobs=2)])
    assert taken == "all job slots are taken (2); `-j` allows more"
    assert reason(running=running, jobs={"here": 2}, servers=[a_server(jobs=3)]) is None


def test_each_server_brings_its_jobs() -> None:
    servers = [a_server("here"), a_server("there", jobs=2)]
    running = {"a": [1], "b": [2]}
    assert reason(running=running, jobs={"here": 1, "there": 1}, servers=servers) is None
    taken = reason(running=running, jobs={"here": 1, "there": 2}, servers=servers)
    assert taken == "all job slots are taken (3); `-j` allows more"


def test_jobs_that_a_server_was_asked_for_count() -> None:
    servers = [a_server(jobs=1, raised_to=3)]
    assert reason(running={"a": [1]}, jobs={"here": 1}, servers=servers) is None
    assert (
        reason(running={"a": [1]}, jobs={"here": 3}, servers=servers)
        == "all job slots are taken (3); `-j` allows more"
    )


def test_only_jobs_of_servers_that_may_start_it_count() -> None:
    servers = [
        a_server("here"),
        a_server("there", jobs=9, queues=("a",)),
        a_server("off", leaving=Leaving.WHEN_DONE),
    ]
    taken = reason(running={"a": [1]}, jobs={"here": 1}, servers=servers)
    assert taken == "all job slots are taken (1); `-j` allows more"


def test_a_run_in_a_configured_queue_needs_no_job() -> None:
    assert reason(limits=Limits(queues=configured()), running={"a": [1]}, jobs={"here": 1}) is None


# Where a run may start


def test_a_queue_that_nobody_configured_has_one_slot() -> None:
    limits = Limits(jobs=8, queues=configured("a", max_concurrency=4))
    assert (limits.slots("train"), limits.slots("gpu"), limits.slots("a")) == (1, 1, 4)


def test_with_nothing_running_and_nothing_configured_any_run_may_start() -> None:
    openings = Usage(queues=Counter(), jobs=0).openings(Limits())
    assert openings == Openings(only=None, all_but=set())
    assert openings.any


@pytest.mark.parametrize(
    "limits", [Limits(disabled_by="so"), Limits(serves=[]), Limits(serves=["gpu"], queues=configured(paused=True))]
)
def test_where_no_run_may_start_there_is_no_need_to_look_for_one(limits: Limits) -> None:
    assert not Usage(queues=Counter(), jobs=0).openings(limits).any


def test_a_server_that_can_see_no_more_runs_through_starts_none() -> None:
    queues = configured("gpu") | configured("a")
    usage = Usage(queues=Counter({"b": 1}), jobs=1, runs=1)
    for limits in (Limits(jobs=8, runs=2, queues=queues), Limits(jobs=8, queues=queues)):
        assert usage.openings(limits).any
        assert usage.openings_for_direct(limits).any
    usage.add("gpu", limits)
    full = Limits(jobs=8, runs=2, queues=queues)
    assert not usage.openings(full).any
    assert not usage.openings_for_direct(full).any


def test_a_server_without_a_free_job_may_still_start_runs_of_configured_queues_that_it_serves() -> None:
    queues = configured("gpu") | configured("a")
    usage = Usage(queues=Counter({"b": 1}), jobs=1)
    assert usage.openings(Limits(queues=queues)) == Openings(only=["gpu", "a"])
    assert usage.openings(Limits(queues=queues, serves=["gpu", "b"])) == Openings(only=["gpu"])


LIMITS = st.builds(
    Limits,
    jobs=st.integers(1, 3),
    queues=st.fixed_dictionaries(
        {},
        optional={
            name: st.builds(
                Queue,
                name=st.just(name),
                max_concurrency=st.integers(1, 2),
                wait_for_running=st.booleans(),
                paused=st.booleans(),
            )
            for name in QUEUES
        },
    ),
    serves=st.none() | st.sets(st.sampled_from(QUEUES)),
    disabled_by=st.sampled_from([None, None, None, "so"]),
)


@given(LIMITS, st.lists(st.sampled_from(QUEUES), max_size=4), st.sets(st.sampled_from(QUEUES)))
def test_a_run_may_start_exactly_where_nothing_keeps_it(
    limits: Limits, running: list[str], paused: set[str]
) -> None:
    usage = Usage(queues=Counter(), jobs=0, paused=paused)
    for queue in running:
        usage.add(queue, limits)
    assert usage.queues == Counter(running)
    assert usage.jobs == sum(queue not in limits.queues for queue in running)
    openings = usage.openings(limits)
    for queue in QUEUES:
        is_open = queue not in openings.all_but if openings.only is None else queue in openings.only
        served = None if limits.serves is None else tuple(limits.serves)
        servers = [a_server(jobs=limits.jobs, queues=served, disabled_by=limits.disabled_by)]
        line = Line(
            servers=servers,
            ahead=0,
            running={name: [number for number, its in enumerate(running) if its == name] for name in QUEUES},
            jobs={"here": usage.jobs},
            is_paused=queue in paused,
        )
        words = waiting_for(a_run(state=State.QUEUED, queue=queue), line, limits, NOW)
        assert is_open == (words is None), words


@given(
    state=st.sampled_from(State),
    ready_in=st.none() | st.integers(-100, 100),
    ahead=st.integers(0, 3),
    running=st.dictionaries(st.sampled_from(QUEUES), st.just([1]), max_size=3),
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
    up = [a_server(f"server-{number}", jobs=jobs) for number in range(servers)]
    taken: Counter[str] = Counter()
    for number in range(len(running)):
        taken[f"server-{number % max(servers, 1)}"] += 1
    ready_at = None if ready_in is None else NOW + ready_in
    words = reason(state, ready_at=ready_at, ahead=ahead, running=running, jobs=taken, servers=up)
    assert (words is None) == (may_start or state not in (State.QUEUED, State.HELD))
