"""The submissions of a schedule: sweeps and prerequisites, as a file that is dropped at each due time has them."""

from collections.abc import Sequence
from typing import Any

import pytest

from aqueue.errors import ScheduleError
from aqueue.model.run import Run, State
from aqueue.model.schedule import Overlap, Schedule
from aqueue.model.submission import Submission
from aqueue.model.sweep import Axis, Span, Sweep
from aqueue.model.task import Task
from aqueue.store.due_times import Made
from tests.integration.planning import ENABLED, Plan, a_schedule, at

NIGHTLY = Sweep(axes={"lr": (1, 2)})
"""Two runs each time."""


def swept(name: str = "nightly", sweep: Sweep = NIGHTLY, **more: Any) -> Schedule:
    return a_schedule(name=name, submission={"sweep": sweep}, **more)


def needing(name: str, *needs: str, **more: Any) -> Schedule:
    return a_schedule(name=name, submission={"needs": needs}, **more)


def names(runs: Sequence[Run]) -> list[str]:
    return [run.name for run in runs]


def after(plan: Plan, run: Run) -> list[str]:
    with plan.open() as store:
        return [f"{before.name}:{before.run_id}" for before in store.dependencies.prerequisites(run)]


def test_a_due_time_makes_a_run_for_each_combination_in_a_group_of_its_own(plan: Plan) -> None:
    plan.put(swept())
    assert names(plan.made(10)) == ["nightly-1", "nightly-2"]
    assert names(plan.made(20)) == ["nightly-1", "nightly-2"]
    first, second, third, fourth = plan.runs()
    assert [run.task.params for run in plan.runs()] == [{"lr": 1}, {"lr": 2}] * 2
    assert first.run_id == second.run_id == "20270115T081000Z"
    assert {first.task.group, second.task.group} == {"nightly-20270115T081000Z"}
    assert {third.task.group, fourth.task.group} == {"nightly-20270115T082000Z"}


def test_a_group_that_the_file_gives_is_that_of_all_due_times(plan: Plan) -> None:
    plan.put(swept(group="night"))
    plan.made(10)
    plan.made(20)
    assert {run.task.group for run in plan.runs()} == {"night"}


def test_samples_are_the_same_each_time_with_a_seed_and_others_without(plan: Plan) -> None:
    span: dict[str, Axis] = {"lr": Span(0.0, 1.0)}
    plan.put(swept("seeded", Sweep(axes=span, samples=2, seed=1)), file="a.yaml")
    plan.put(swept("free", Sweep(axes=span, samples=2)), file="b.yaml")
    plan.made(10)
    plan.made(20)

    def picked(name: str) -> list[dict[str, object]]:
        return [dict(run.task.params) for run in plan.runs() if run.name.startswith(name)]

    assert picked("seeded")[:2] == picked("seeded")[2:]
    assert picked("free")[:2] != picked("free")[2:]


def test_no_run_of_a_sweep_is_made_twice_also_where_one_of_them_is_forgotten(plan: Plan) -> None:
    plan.put(swept())
    first, _ = plan.made(10)
    plan.claim(10.1)
    for run in plan.runs():
        plan.end(run, 10.2)
    with plan.open() as store:
        store.runs.forget([first.id])
    plan.follow_clock(5)
    assert names(plan.made(10)) == ["nightly-1"]
    assert names(plan.runs()) == ["nightly-2", "nightly-1"]


def test_missed_times_of_a_sweep_are_made_up_for_with_all_their_runs(plan: Plan) -> None:
    plan.put(swept(window=60))
    assert plan.pass_to(35) == [10, 10, 20, 20, 30, 30]


def test_a_sweep_is_skipped_as_a_whole_while_one_run_of_an_earlier_time_is_left(plan: Plan) -> None:
    plan.put(swept(overlap=Overlap.SKIP, queue="q"))
    one, other = plan.made(10)
    (running,) = plan.claim(10.1)
    assert running.id == one.id
    plan.end(running, 10.2)
    assert {run.reason for run in plan.made(20)} == {f"skipped: run {other.id} is queued"}
    (running,) = plan.claim(20.1)
    plan.end(running, 20.2)
    assert [run.state for run in plan.made(30)] == [State.QUEUED] * 2


def test_the_newest_sweep_takes_the_place_of_all_that_wait(plan: Plan) -> None:
    plan.put(swept(overlap=Overlap.LATEST, queue="q"))
    plan.made(10)
    new, _ = plan.made(20)
    assert [run.reason for run in plan.runs()] == [f"superseded by run {new.id}"] * 2 + [None] * 2


def test_the_last_run_of_a_schedule_is_found_where_it_makes_a_sweep(plan: Plan) -> None:
    plan.put(swept())
    made = plan.made(10)
    with plan.open() as store:
        assert store.schedules.last_run("nightly") == made[-1]


@pytest.mark.parametrize(("first", "second"), [("nightly", "nightly-2"), ("nightly-2", "nightly")])
def test_no_schedule_has_the_name_of_a_run_of_another(plan: Plan, first: str, second: str) -> None:
    def made(name: str) -> Schedule:
        return swept() if name == "nightly" else a_schedule(name=name)

    plan.put(made(first), file="a.yaml")
    with pytest.raises(ScheduleError, match=f"there already is a schedule {first}, in a.yaml"):
        plan.put(made(second), file="b.yaml")
    plan.put(a_schedule(name="nightly-3"), file="c.yaml")


def test_what_a_schedule_comes_after_is_the_latest_run_of_that_name_when_it_is_due(plan: Plan) -> None:
    plan.put(a_schedule("5-59/10 * * * *", name="fetch"), file="a.yaml")
    plan.put(a_schedule(name="train", submission={"after": ("fetch", "unknown")}), file="b.yaml")
    plan.made(5)
    (train,) = plan.made(10)
    assert after(plan, train) == ["fetch:20270115T080500Z"]
    plan.made(15)
    (train,) = plan.made(20)
    assert after(plan, train) == ["fetch:20270115T081500Z"]


def test_what_a_schedule_needs_are_the_runs_of_the_same_due_time_whichever_is_looked_after_first(
    plan: Plan,
) -> None:
    plan.put(
        needing("a-last", "fit-2", "prepare"), swept("fit"), needing("prepare", "z-first"), needing("z-first")
    )
    assert names(plan.made(10)) == ["fit-1", "fit-2", "z-first", "prepare", "a-last"]
    plan.made(20)
    last = plan.runs("a-last")
    assert [after(plan, run) for run in last] == [
        ["fit-2:20270115T081000Z", "prepare:20270115T081000Z"],
        ["fit-2:20270115T082000Z", "prepare:20270115T082000Z"],
    ]


def test_what_was_missed_is_made_up_for_behind_what_it_needs(plan: Plan) -> None:
    plan.put(needing("a", "b", window=60), needing("b", window=60))
    assert sorted(plan.pass_to(25)) == [10, 10, 20, 20]
    assert [after(plan, run) for run in plan.runs("a")] == [["b:20270115T081000Z"], ["b:20270115T082000Z"]]


def test_what_needs_a_schedule_that_is_paused_is_skipped(plan: Plan) -> None:
    plan.put(needing("a", "b"), needing("b"))
    plan.pause("b", 1)
    plan.made(10)
    assert plan.reasons() == {10: "skipped: schedule b, which it needs, is paused"}


def test_what_needs_a_run_that_is_skipped_is_aborted_with_it(plan: Plan) -> None:
    plan.put(needing("a", "b"), needing("b", overlap=Overlap.SKIP))
    plan.made(10)
    plan.claim(10.1)
    plan.made(20)
    states = {(run.name, run.run_id[9:13]): run.state for run in plan.runs()}
    assert states == {
        ("b", "0810"): State.RUNNING,
        ("a", "0810"): State.QUEUED,
        ("b", "0820"): State.ABORTED,
        ("a", "0820"): State.ABORTED,
    }


def test_an_edit_just_when_it_is_due_makes_what_was_due_by_what_was_in_force(plan: Plan) -> None:
    plan.put(needing("a", "b"), needing("b"))
    plan.put(a_schedule(name="a"), when=10)
    assert names(plan.runs()) == ["b", "a"]
    assert after(plan, plan.runs("a")[0]) == ["b:20270115T081000Z"]


def test_what_was_made_is_told_with_its_submission(plan: Plan) -> None:
    plan.put(swept())
    with plan.open() as store:
        (made,) = store.due_times.make(limits=ENABLED, now=at(10))
        assert isinstance(made, Made)
        assert isinstance(made.accepted.submission, Submission)
        assert (made.first.name, len(made.accepted.run_ids)) == ("nightly-1", 2)


def test_a_schedule_is_remembered_as_it_was_read(plan: Plan) -> None:
    task = Task(name="n", command="true", working_dir="/")
    sweep = Sweep(axes={"lr": Span(0.1, 1.0, is_log=True), "x": (1, "a", None)}, samples=3, include=({"y": 1},))
    submission = Submission(task=task, sweep=sweep, after=("a", "group:b"), needs=("m",), after_any=True)
    schedule = Schedule(submission=submission, timezone="UTC", expressions=("@daily",))
    plan.put(schedule)
    assert plan.stored("n").schedule == schedule
