"""Schedules in the store, where queues are disabled."""

from aqueue.model.config import Queue
from aqueue.model.run import Trigger
from aqueue.model.task import Retries
from aqueue.policy.limits import Limits
from tests.integration.planning import DISABLED, Plan, a_schedule, at


def test_where_queues_are_disabled_what_is_due_is_started_whatever_the_limits_are(plan: Plan) -> None:
    plan.put(a_schedule(name="a", queue="q"), a_schedule(name="b", queue="q"))
    plan.made(10, DISABLED)
    with plan.open() as store:
        store.submissions.add(a_schedule(name="plain").task, at(10), trigger=Trigger.FILE)
    narrow = Limits(jobs=1, disabled_by="aqueue.yaml")
    assert [run.name for run in plan.claim(10, narrow)] == ["a", "b"]
    plan.made(20, DISABLED)
    assert [run.name for run in plan.claim(20, narrow)] == ["a", "b"]


def test_a_retry_of_such_a_run_is_started_in_the_same_way(plan: Plan) -> None:
    plan.put(a_schedule(retries=Retries(limit=1, delay=60.0)))
    plan.made(10, DISABLED)
    (run,) = plan.claim(10, DISABLED)
    plan.end(run, 11, code=1)
    assert plan.claim(11, DISABLED) == []
    (again,) = plan.claim(12.5, DISABLED)
    assert (again.id, again.attempt) == (run.id, 2)


def test_such_runs_wait_for_pauses_and_for_a_server_of_their_queue(plan: Plan) -> None:
    plan.put(a_schedule(queue="q"))
    plan.made(10, DISABLED)
    by_file = Limits(jobs=9, queues={"q": Queue(name="q", paused=True)}, disabled_by="aqueue.yaml")
    assert plan.claim(10, by_file) == []
    assert plan.claim(10, Limits(jobs=9, serves={"other"}, disabled_by="aqueue.yaml")) == []
    with plan.open() as store:
        store.queues.pause("q")
    assert plan.claim(10, DISABLED) == []
    with plan.open() as store:
        store.queues.resume("q")
    assert len(plan.claim(10, Limits(jobs=9, serves={"q"}, disabled_by="aqueue.yaml"))) == 1


def test_where_queues_are_enabled_what_is_due_waits_for_its_slot(plan: Plan) -> None:
    plan.put(a_schedule())
    plan.made(10)
    plan.made(20)
    assert len(plan.claim(20)) == 1
    assert plan.claim(20) == []


def test_once_queues_are_enabled_again_a_retry_of_such_a_run_waits_for_its_slot(plan: Plan) -> None:
    plan.put(a_schedule(queue="q", retries=Retries(limit=1, delay=60.0)))
    plan.made(10, DISABLED)
    (run,) = plan.claim(10, DISABLED)
    plan.end(run, 11, code=1)
    with plan.open() as store:
        store.submissions.add(a_schedule(name="plain", queue="q").task, at(11), trigger=Trigger.FILE)
    (plain,) = plan.claim(11)
    assert plan.claim(12.5) == []
    plan.end(plain, 13)
    assert [again.id for again in plan.claim(13)] == [run.id]
