"""Disabled queues: some runs start all the same, all others wait."""

from typing import Any

import pytest

from aqueue.model.config import Queue
from aqueue.model.run import State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.policy.wait_reasons import Line, waiting_for
from tests.unit.records import a_run

NOW = 5000.0
WHY = "aqueue.yaml"
DISABLED = Limits(disabled_by=WHY)


def a_server(**changes: Any) -> Server:
    plain: dict[str, Any] = {
        "id": "here",
        "pid": 1,
        "boot": "b",
        "jobs": 1,
        "started_at": NOW,
        "heartbeat_at": NOW,
    }
    return Server(**plain | {"disabled_by": WHY} | changes)


def reason(
    *servers: Server, direct: bool = True, ready_at: float | None = None, limits: Limits = DISABLED, **line: Any
) -> str | None:
    run = a_run(id=7, state=State.QUEUED, queue="gpu", ready_at=ready_at, direct=direct)
    plain: dict[str, Any] = {"servers": servers, "ahead": 0, "running": {}, "jobs": {}}
    return waiting_for(run, Line(**plain | line), limits, NOW)


def test_a_direct_run_waits_for_nothing_whatever_runs_already() -> None:
    assert reason(a_server(), running={"gpu": [3], "a": [4]}, jobs={"here": 2}) is None


def test_any_other_run_waits_until_queues_are_enabled() -> None:
    assert reason(a_server(), direct=False) == f"queues are disabled: {WHY}"
    assert reason(a_server(), direct=False, ready_at=NOW + 30, is_paused=True) == f"queues are disabled: {WHY}"


def test_a_direct_run_waits_for_its_retry() -> None:
    assert reason(a_server(), ready_at=NOW + 30) == "retry in 30s"
    assert reason(a_server(), ready_at=NOW - 1) is None


def test_a_direct_run_waits_until_its_queue_is_resumed() -> None:
    assert reason(a_server(), is_paused=True) == "queue gpu is paused; `aqueue resume gpu` resumes it"
    paused = Limits(queues={"gpu": Queue(name="gpu", paused=True)}, disabled_by=WHY)
    assert reason(a_server(), limits=paused) == "queue gpu is paused in aqueue.yaml"


@pytest.mark.parametrize("server", [None, a_server(queues=("other",)), a_server(leaving=Leaving.WHEN_DONE)])
def test_a_direct_run_waits_for_a_server_that_starts_it(server: Server | None) -> None:
    assert reason(*([server] if server else [])) is not None


def test_where_a_server_has_queues_enabled_a_direct_run_waits_for_its_slot() -> None:
    assert reason(a_server(disabled_by=None), running={"gpu": [3]}) == "queue gpu is full: run 3"
