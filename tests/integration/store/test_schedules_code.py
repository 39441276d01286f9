"""Due schedules with isolation: no run is made before its code is kept, and then each is made once."""

from typing import Any

import pytest

from aqueue.model.run import Run, State
from aqueue.model.schedule import KeptCode, Schedule
from aqueue.model.task import Isolation, Snapshot, Task
from aqueue.policy.due_code import DueCode
from aqueue.store.due_times import Decided
from tests.integration.planning import ENABLED, FILE, Plan, a_schedule, at

SNAPSHOT = Snapshot(repository="/r/.git", commit="c0de")
CODE = ("/", Isolation())


def isolated(*expressions: str, **more: Any) -> Schedule:
    return a_schedule(*expressions, isolate=Isolation(), **more)


def kept(asked: float, why_not: str = "") -> KeptCode:
    return KeptCode(at(asked), None if why_not else SNAPSHOT, why_not)


def make(plan: Plan, when: float, code: KeptCode | None = None) -> tuple[list[Run], list[Task]]:
    """The runs that were made, and the tasks that wait for their code."""
    before = {run.id for run in plan.runs()}
    with plan.open() as store:
        store.due_times.code = DueCode({} if code is None else {CODE: code})
        store.due_times.make(ENABLED, at(when))
        lacking = [*store.due_times.code.missing.values()]
    return [run for run in plan.runs() if run.id not in before], lacking


def catch_up(plan: Plan, code: KeptCode | None = None) -> tuple[Decided | None, list[Task]]:
    with plan.open() as store:
        store.due_times.code = DueCode({} if code is None else {CODE: code})
        return store.due_times.catch_up(ENABLED), [*store.due_times.code.missing.values()]


def test_what_is_due_stays_due_until_its_code_is_there_and_has_that_of_its_due_time(plan: Plan) -> None:
    plan.put(isolated())
    task = plan.stored().schedule.task
    assert make(plan, 10) == ([], [task])
    assert make(plan, 10.1) == ([], [task])
    assert plan.next_due() == 10
    ((run,), lacking) = make(plan, 10.2, kept(10))
    assert (run.task.snapshot, run.scheduled_for, lacking) == (SNAPSHOT, at(10), [])
    assert plan.next_due() == 20
    assert make(plan, 10.3, kept(10)) == ([], [])


def test_code_that_took_long_to_keep_does_not_make_a_due_time_a_missed_one(plan: Plan) -> None:
    plan.put(isolated())
    assert plan.stored().missed == 0
    ((run,), _) = make(plan, 19, kept(10))
    assert (run.scheduled_for, plan.stored().missed_at) == (at(10), None)
    assert make(plan, 20)[1]


def test_code_of_an_earlier_due_time_is_not_that_of_a_later_one(plan: Plan) -> None:
    plan.put(isolated())
    made, lacking = make(plan, 10, kept(9))
    assert (made, len(lacking)) == ([], 1)


def test_others_that_are_due_do_not_wait_for_code(plan: Plan) -> None:
    plan.put(isolated(name="a"), a_schedule(name="b"))
    made, lacking = make(plan, 10)
    assert ([run.name for run in made], [task.name for task in lacking]) == (["b"], ["a"])


def test_what_needs_something_isolated_waits_with_it(plan: Plan) -> None:
    plan.put(a_schedule(name="a", submission={"needs": ("b",)}), isolated(name="b"))
    made, lacking = make(plan, 10)
    assert (made, [task.name for task in lacking]) == ([], ["b"])
    made, _ = make(plan, 10.1, kept(10))
    assert [(run.name, run.task.snapshot) for run in made] == [("b", SNAPSHOT), ("a", None)]


def test_where_code_cannot_be_kept_the_run_says_so_and_the_next_time_is_another_chance(plan: Plan) -> None:
    plan.put(isolated())
    ((run,), _) = make(plan, 10.1, kept(10, "isolate: / is in no git repository"))
    assert (run.state, run.reason) == (State.ABORTED, "isolate: / is in no git repository")
    ((run,), _) = make(plan, 20.1, kept(20))
    assert run.state is State.QUEUED


def test_missed_times_are_made_up_for_with_the_code_as_it_is_then(plan: Plan) -> None:
    plan.put(isolated(window=60))
    make(plan, 25, kept(25))
    assert plan.runs() == []
    decided, lacking = catch_up(plan)
    assert (decided, len(lacking)) == (None, 1)
    decided, _ = catch_up(plan, kept(25.1))
    assert decided is not None
    assert (decided.caught_up, plan.due_times()) == (2, [10, 20])
    assert {run.task.snapshot for run in plan.runs()} == {SNAPSHOT}


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_edit_when_it_is_due_leaves_no_due_time_out(plan: Plan, is_kept: bool) -> None:
    plan.put(isolated())
    with plan.open() as store:
        (task,) = store.due_times.due_tasks([FILE], at(10))
        assert (
            task.code,
            store.due_times.due_tasks([FILE], at(9.9)),
            store.due_times.due_tasks(["other"], at(10)),
        ) == (
            CODE,
            [],
            [],
        )
        store.due_times.code = DueCode({CODE: kept(10)} if is_kept else {})
        store.schedules.apply_file(
            FILE, [isolated("5 * * * *")], at(10), is_edit=True, holds=lambda *_: True, limits=ENABLED
        )
    (run,) = plan.runs()
    assert (run.task.snapshot, run.reason) == (
        (SNAPSHOT, None) if is_kept else (None, "isolate: its code was not kept in time")
    )
