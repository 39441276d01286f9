"""A dispatcher that makes runs of what is due and isolated, with real git and a real store."""

from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation, Task
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from tests.integration.repositories import Repository, hide_configuration
from tests.integration.server.dispatching import NO_LIMITS, Dispatching, dispatching
from tests.waiting import eventually_async

pytestmark = pytest.mark.anyio


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    hide_configuration(monkeypatch)
    return Repository.create(tmp_path / "project")


def put(folder: Folder, now: float, due: float, working_dir: Path) -> None:
    """Have a schedule in force that is isolated, and due once."""
    task = Task(name="nightly", command="true", working_dir=str(working_dir), isolate=Isolation())
    schedule = Schedule(submission=Submission(task=task), timezone="UTC", at=due)
    connection = connect(folder)
    with transaction(connection, folder):
        Store(connection).schedules.apply_file(
            "nightly.yaml", [schedule], now, is_edit=True, holds=lambda *_: True, limits=NO_LIMITS
        )
    connection.close()


async def made(one: Dispatching) -> Run:
    """The run that was made, once it is."""
    await eventually_async(lambda: bool(one.store.runs.select()))
    (run,) = one.store.runs.select()
    return run


async def test_a_run_that_is_due_has_the_code_of_that_moment(folder: Folder, repository: Repository) -> None:
    async with dispatching(folder) as one:
        now = one.clock.now()
        put(folder, now, now + 10, repository.path)
        repository.write("code.py", "2\n")
        one.dispatcher.start_schedules()
        one.clock.time = now + 10
        one.dispatcher.wake()
        run = await made(one)
        repository.write("code.py", "3\n")
    assert run.scheduled_for == now + 10
    assert run.task.snapshot is not None
    assert repository.git("show", f"{run.task.snapshot.commit}:code.py") == "2"
    assert run.task.snapshot.commit in repository.git("for-each-ref", "--format=%(objectname)", "refs/aqueue")


async def test_what_was_due_when_a_server_died_is_made_by_the_next_and_once(
    folder: Folder, repository: Repository
) -> None:
    async with dispatching(folder) as one:
        now = one.clock.now()
        put(folder, now, now + 10, repository.path)
        one.dispatcher.start_schedules()
        one.clock.time = now + 10
        one.keeps_no_code = True
        one.dispatcher.wake()
        await one.until_told("schedule nightly is due, but its code cannot be kept yet: the database is busy")
        assert one.store.runs.select() == []
    for _ in range(2):
        async with dispatching(folder) as next_one:
            next_one.clock.time = now + 12
            next_one.dispatcher.start_schedules()
            run = await made(next_one)
            assert (run.scheduled_for, run.task.snapshot is None) == (now + 10, False)


async def test_where_there_is_no_repository_any_more_the_run_says_so(folder: Folder, tmp_path: Path) -> None:
    async with dispatching(folder) as one:
        now = one.clock.now()
        put(folder, now, now + 10, tmp_path)
        one.dispatcher.start_schedules()
        one.clock.time = now + 10
        one.dispatcher.wake()
        run = await made(one)
        assert (run.state, (run.reason or "").partition(":")[0]) == (State.ABORTED, "isolate")
        await one.until_told("schedule nightly: isolate: ")
