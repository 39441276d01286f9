"""Runs that only a person can have started keep no server up and nobody waiting; all others do."""

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from aqueue.model.claim import GpuView
from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import GpuProcess, GpuReading
from aqueue.model.run import Run, Trigger
from aqueue.model.schedule import DueTime
from aqueue.model.task import Retries, Task
from aqueue.policy.limits import Limits
from tests.integration.recording import NOW, Book
from tests.integration.store.gpu_machine import a_card

STRANGER = (GpuProcess(pid=77, user="ann", name="python"),)
TWO_CARDS = GpuReading(began_at=NOW, ended_at=NOW, gpus=(a_card(0), a_card(1)))
NO_DRIVER = GpuReading(
    began_at=NOW, ended_at=NOW, problem="there is no NVIDIA driver here", is_without_driver=True
)
FAILING = GpuReading(began_at=NOW, ended_at=NOW, problem="the NVIDIA driver does not answer")
NIGHT = {"night": Queue(name="night", paused=True)}


class Office(Book):
    """A store with one server, which has looked at its GPUs if `look` says what it saw."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.limits = Limits(jobs=1000)
        self.enter("me")

    def look(self, look: GpuReading) -> None:
        self.store.claims.claim("me", self.limits, NOW, GpuView(look, is_news=True))

    def after(self, *runs: Run, name: str, **changes: Any) -> Run:
        """Add a run that comes after others."""
        set_ = self.store.dependencies.add_set([run.id for run in runs], after_any=False)
        task = Task(name=name, command="true", working_dir="/", **changes)
        id_ = self.store.submissions.add(task, NOW, trigger=Trigger.MANUAL, prerequisites=set_)
        assert id_ is not None
        self.store.dependencies.update_waiting(set_, NOW)
        return self.get(id_)

    def stays(self) -> bool:
        """Say whether the server would stay; it must be sure of that when it leaves."""
        busy = self.store.prospects.outlook_for("me", self.limits, NOW).busy
        assert self.store.prospects.leave_if_idle(self.server("me"), self.limits, NOW) is not busy
        return busy

    def waits(self, *runs: Run | int) -> bool:
        """Say whether a command that waits for these runs, or for all, goes on."""
        ids = [run if isinstance(run, int) else run.id for run in runs]
        return self.store.prospects.can_end(
            ids or [run.id for run in self.store.runs.select()], self.store.servers.all(), self.limits, NOW
        )

    def left(self) -> Sequence[str]:
        return self.store.prospects.left_runs(self.server("me"), self.limits, NOW).reasons


@pytest.fixture
def office(connection: sqlite3.Connection) -> Office:
    return Office(connection)


def held(office: Office) -> None:
    office.add("job", hold=True)


def paused(office: Office) -> None:
    office.store.queues.pause("lane")
    office.add("job", queue="lane")


def paused_in_the_configuration(office: Office) -> None:
    office.limits = Limits(queues=NIGHT)
    office.add("job", queue="night")


def disabled(office: Office) -> None:
    office.limits = Limits(disabled_by="queues.enabled is false in aqueue.yaml")
    office.store.servers.beat("me", office.limits, NOW)
    office.add("job")


def impossible(office: Office) -> None:
    office.add("job", gpus=8)
    office.look(TWO_CARDS)


def impossible_in_its_queue(office: Office) -> None:
    office.limits = Limits(queues={"one": Queue(name="one", gpus=(0,))})
    office.add("job", queue="one", gpus=2)
    office.look(TWO_CARDS)


def without_a_driver(office: Office) -> None:
    office.add("job", gpus=1)
    office.look(NO_DRIVER)


def in_need_of_memory_that_nobody_can_tell(office: Office) -> None:
    office.limits = Limits(rules=Rules(devices=(0, 1)))
    office.add("job", gpus=1, gpu_memory=20 << 30)
    office.look(NO_DRIVER)


def after_what_is_held(office: Office) -> None:
    before = office.add("before", hold=True)
    office.after(office.after(before, name="between"), name="job")


def retried_later_in_a_paused_queue(office: Office) -> None:
    a_retry_waits(office)
    office.store.queues.pause("job")


STUCK = [
    held,
    paused,
    paused_in_the_configuration,
    disabled,
    impossible,
    impossible_in_its_queue,
    without_a_driver,
    in_need_of_memory_that_nobody_can_tell,
    after_what_is_held,
    retried_later_in_a_paused_queue,
]


@pytest.mark.parametrize("make", STUCK)
def test_what_only_a_person_can_have_started_keeps_nobody(office: Office, make: Callable[[Office], None]) -> None:
    make(office)
    assert not office.waits()
    assert not office.stays()


def a_retry_waits(office: Office) -> None:
    office.add("job", retries=Retries(limit=1, delay=3600.0))
    (run,) = office.claim("me")
    office.finish(run, code=1, server="me")


def nobody_has_looked(office: Office) -> None:
    office.add("job", gpus=8)


def the_driver_fails_for_the_moment(office: Office) -> None:
    office.add("job", gpus=1)
    office.look(FAILING)


def a_stranger_is_on_the_gpus(office: Office) -> None:
    office.add("job", gpus=1)
    cards = (a_card(0, processes=STRANGER), a_card(1, processes=STRANGER))
    office.look(GpuReading(began_at=NOW, ended_at=NOW, gpus=cards))


def it_is_running(office: Office) -> None:
    office.add("job")
    office.claim("me")


def it_comes_after_what_runs(office: Office) -> None:
    before = office.add("before")
    office.claim("me")
    office.after(before, name="job")


def schedules_run_although_queues_are_disabled(office: Office) -> None:
    disabled(office)
    task = office.add("due").task
    due = DueTime("due", NOW, direct=True)
    office.store.submissions.add(task, NOW, trigger=Trigger.SCHEDULER, run_id="due", due=due)


def another_of_its_line_is_possible(office: Office) -> None:
    impossible(office)
    office.add("small")


MOVING = [
    a_retry_waits,
    nobody_has_looked,
    the_driver_fails_for_the_moment,
    a_stranger_is_on_the_gpus,
    it_is_running,
    it_comes_after_what_runs,
    schedules_run_although_queues_are_disabled,
    another_of_its_line_is_possible,
]


@pytest.mark.parametrize("make", MOVING)
def test_what_can_still_start_by_itself_keeps_a_server_and_a_waiting_command(
    office: Office, make: Callable[[Office], None]
) -> None:
    make(office)
    assert office.waits()
    assert office.stays()


@pytest.mark.parametrize("makers", [*itertools.combinations((held, paused, impossible), 2)])
def test_two_reasons_keep_nobody_either(office: Office, makers: Iterable[Callable[[Office], None]]) -> None:
    for make in makers:
        make(office)
    assert not office.stays()


def test_a_run_waits_for_one_that_is_stuck_while_others_go_on(office: Office) -> None:
    stuck = office.add("stuck", hold=True)
    office.add("busy")
    office.claim("me")
    later = office.after(stuck, name="later")
    assert not office.waits(stuck, later)
    assert office.waits(stuck, later, 2)


def test_a_run_comes_after_two_of_which_one_may_still_fail(office: Office) -> None:
    stuck, running = office.add("stuck", hold=True), office.add("running")
    office.claim("me")
    later = office.after(stuck, running, name="later")
    assert office.waits(later), "it is aborted if that one fails"
    office.finish(office.get(running), server="me")
    assert not office.waits(later)


def test_a_waiting_command_goes_on_while_no_server_is_up_that_could_start_its_runs(office: Office) -> None:
    run = office.add("job", gpus=8)
    office.store.servers.leave("me")
    assert office.waits(run)
    office.store.queues.pause("job")
    assert not office.waits(run)


def test_a_server_of_some_queues_waits_for_what_the_servers_of_others_do(office: Office) -> None:
    office.limits = Limits(jobs=1000, serves=("ours",))
    office.after(office.add("before", queue="theirs"), name="job", queue="ours")
    assert not office.store.prospects.outlook_for("me", office.limits, NOW).busy, "nobody serves that queue"
    office.enter("other", queues=("theirs",))
    assert office.stays()
    office.store.queues.pause("theirs")
    assert not office.stays()


def test_what_is_left_is_told_with_its_reason_and_its_number(office: Office) -> None:
    before = office.add("before", hold=True)
    office.after(before, name="then")
    paused(office)
    impossible(office)
    assert office.left() == [
        "run 1 before is left: held; `aqueue release 1` queues it",
        "run 2 then is left: waits for run 1",
        "run 3 job is left: queue lane is paused; `aqueue resume lane` resumes it",
        "run 4 job is left: asks for 8 GPUs, but there are only 2",
    ]
    for _ in range(3):
        office.add("more", hold=True)
    assert office.left()[4:] == [
        "run 5 more is left: held; `aqueue release 5` queues it",
        "2 more are left; `aqueue ls` shows why each waits",
    ]
