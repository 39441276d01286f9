"""A dispatcher over a real store and an executor that runs nothing: it knows executors by their protocol alone."""

import pytest

from aqueue.executors.base import Executor
from aqueue.folder.layout import Folder
from aqueue.model.config import Queue
from aqueue.model.outcome import End
from aqueue.model.run import Run, State, Trigger
from aqueue.model.server import Server
from aqueue.model.task import Retries, Task
from aqueue.policy.limits import Limits
from aqueue.store.attempts import Handle
from tests.integration.server.by_hand import ByHand
from tests.integration.server.dispatching import HERE, Dispatching, dispatching
from tests.unit.records import a_run
from tests.waiting import eventually_async

GPU = Limits(queues={"gpu": Queue(name="gpu", max_concurrency=1)})


async def test_runs_are_started_within_their_limits_and_end_as_their_attempts_do(folder: Folder) -> None:
    async with dispatching(folder, Limits(jobs=2)) as one:
        first, second, third = (one.add(name) for name in ("first", "second", "third"))
        attempt = await one.started(first)
        await one.started(second)
        assert one.get(third).state is State.QUEUED
        attempt.end(exit_code=3)
        assert (await one.until(first, State.FAILED)).reason == "exit code 3"
        (await one.started(third)).end()
        await one.until(third, State.SUCCEEDED)
        assert one.get(second).state is State.RUNNING
        assert one.dispatcher.running == 1
        assert one.dispatcher.failed == {first.id}


async def test_what_failed_is_tried_again_as_another_attempt(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run = one.add("train", retries=Retries(limit=1))
        (await one.started(run)).end(exit_code=1)
        (await one.started(run, 2)).end()
        await one.until(run, State.SUCCEEDED)
        assert [(past.number, past.exit_code) for past in one.store.runs.attempts(one.get(run))] == [
            (1, 1),
            (2, 0),
        ]


async def test_a_run_that_somebody_cancels_is_stopped(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run = one.add("train")
        await one.started(run)
        one.store.lifecycle.cancel(one.get(run), "cancelled by hand", one.clock.now())
        one.dispatcher.wake()
        assert (await one.until(run, State.ABORTED)).reason == "cancelled by hand"


async def test_what_never_started_goes_back_to_its_queue_and_leaves_no_attempt(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run = one.add("train")
        (await one.started(run)).end(End.NEVER_STARTED)
        second = await one.started(run, 2)
        assert [past.number for past in one.store.runs.attempts(one.get(run))] == [2]
        second.end()
        await one.until(run, State.SUCCEEDED)
        assert [past.number for past in one.store.runs.attempts(one.get(run))] == [2]


async def test_nothing_is_started_while_the_executor_says_why_it_cannot(folder: Folder) -> None:
    async with dispatching(folder) as one:
        one.executor.short_of = "the cluster is closed"
        one.clock.time += 1.0
        run = one.add("train")
        await one.until_told("the cluster is closed: nothing is started until there is room")
        assert one.get(run).state is State.QUEUED
        one.executor.short_of = ""
        one.clock.time += 2.0
        one.dispatcher.wake()
        (await one.started(run)).end()
        await one.until(run, State.SUCCEEDED)


async def test_a_defect_of_the_executor_concerns_that_run_alone(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run, other = one.add("train", queue="x"), one.add("other", queue="x")
        (await one.started(run)).fail(RuntimeError("no such job"))
        failed = await one.until(run, State.FAILED)
        assert failed.reason == "internal error while it ran: RuntimeError: no such job"
        (await one.started(other)).end()
        await one.until(other, State.SUCCEEDED)


def left_by_a_server_that_is_gone(one: Dispatching, executor: str) -> Run:
    # Nothing is awaited here: the dispatcher sees all of it at once.
    gone = Server(id="gone", pid=1, boot="its boot", jobs=1, started_at=0.0, heartbeat_at=1000.0)
    one.store.servers.enter(gone)
    run = one.add("train")
    one.store.claims.claim("gone", Limits(), one.clock.now(), executor=executor)
    one.store.attempts.record_handles([Handle("job 7", run.id, 1)])
    one.dispatcher.beat()
    return run


async def test_the_runs_of_a_server_that_is_gone_are_adopted_by_their_handles(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run = left_by_a_server_that_is_gone(one, "by hand")
        attempt = await one.started(run)
        assert one.executor.adopted == [(run.id, "job 7", "its boot")]
        attempt.end()
        await one.until(run, State.SUCCEEDED)
        assert [(past.number, past.exit_code) for past in one.store.runs.attempts(one.get(run))] == [(1, 0)]


async def test_an_attempt_of_another_executor_is_left_to_a_server_that_has_it(folder: Folder) -> None:
    async with dispatching(folder, Limits(jobs=2), others=["there"]) as one:
        run = left_by_a_server_that_is_gone(one, "slurm")
        await eventually_async(lambda: one.get(run).reason)
        left = one.get(run)
        assert (left.state, left.server, left.attempt) == (State.RUNNING, "gone", 1)
        assert left.reason == "its server is gone; it waits for one that has its executor 'slurm'"
        assert one.store.servers.get("gone") is None
        assert [other.id for other in one.store.servers.left_behind()] == [run.id]
        # That server is forgotten; what it left is not adopted later, either.
        one.dispatcher.beat()
        (await one.started(one.add("other"))).end()
        assert not one.executor.adopted
        async with dispatching(folder, server="there", executor="slurm", others=[HERE]) as other:
            attempt = await other.started(run)
            assert other.executor.adopted == [(run.id, "job 7", "")]
            adopted = other.get(run)
            assert (adopted.server, adopted.reason, adopted.attempt) == ("there", None, 1)
            attempt.end()
            await other.until(run, State.SUCCEEDED)
        assert run.id not in {id_ for id_, _ in one.executor.attempts}
        assert [past.number for past in one.store.runs.attempts(one.get(run))] == [1]


async def test_each_of_two_servers_adopts_what_its_executor_has_started(folder: Folder) -> None:
    async with (
        dispatching(folder, server="one", executor="local", others=["other"]) as one,
        dispatching(folder, server="other", executor="slurm", others=["one"]) as other,
    ):
        runs = {}
        for executor in ("local", "slurm"):
            # Nobody is woken, so that neither server claims it.
            task = Task(name=executor, command="true", working_dir="/", queue=executor)
            one.store.submissions.add(task, one.clock.now(), trigger=Trigger.MANUAL)
            (runs[executor],) = one.store.claims.claim(
                "gone", Limits(jobs=2, serves=[executor]), 1.0, executor=executor
            ).runs
        for server in (one, other):
            server.dispatcher.beat()
        (await one.started(runs["local"])).end()
        (await other.started(runs["slurm"])).end()
        for run in runs.values():
            assert (await one.until(run, State.SUCCEEDED)).attempt == 1
        assert [id_ for id_, _ in one.executor.attempts] == [runs["local"].id]
        assert [id_ for id_, _ in other.executor.attempts] == [runs["slurm"].id]


async def test_an_attempt_has_its_row_from_its_claim_on_and_its_handle_with_whatever_comes_next(
    folder: Folder,
) -> None:
    def row(run: Run) -> tuple[object, ...]:
        row: tuple[object, ...] = one.execute(
            "SELECT number, finished_at, executor, handle FROM attempts WHERE run = ?", (run.id,)
        ).fetchone()
        return row

    async with dispatching(folder, Limits(jobs=2)) as one:
        run = one.add("train")
        attempt = await one.started(run)
        assert row(run) == (1, None, "by hand", None)
        assert [(now.number, now.finished_at) for now in one.store.runs.attempts(one.get(run))] == [(1, None)]
        await one.until(one.add("other"), State.RUNNING)
        assert row(run) == (1, None, "by hand", "job 1.1")
        attempt.end()
        await one.until(run, State.SUCCEEDED)
        assert row(run) == (1, 1001.0, "by hand", "job 1.1")


async def test_a_drained_dispatcher_starts_nothing_and_is_over_with_its_last_attempt(folder: Folder) -> None:
    async with dispatching(folder) as one:
        run = one.add("train")
        attempt = await one.started(run)
        one.dispatcher.drain()
        later = one.add("later")
        assert not one.is_over
        attempt.end()
        await eventually_async(lambda: one.is_over)
        assert one.get(run).state is State.SUCCEEDED
        assert one.get(later).state is State.QUEUED


@pytest.mark.parametrize("limits", [Limits(), GPU], ids=["local queue", "configured queue"])
async def test_a_claim_without_a_token_is_reported_as_a_defect_and_its_run_is_given_back(
    folder: Folder, limits: Limits
) -> None:
    async with dispatching(folder, limits) as one:
        one.slots.resize(limits)
        assert not one.slots.take("somebody", a_run(queue="gpu"))
        run = one.add("train", queue="gpu")
        await one.until_told(f"run {run.id} was claimed although no slot of queue gpu is free here")
        assert (await one.until(run, State.QUEUED)).server is None
        assert not one.store.runs.attempts(run)
        assert not one.executor.attempts
        one.slots.give_back("somebody")
        one.clock.time += 60.0
        one.dispatcher.wake()
        await eventually_async(lambda: one.executor.attempts)
        await one.until(run, State.RUNNING)


async def test_a_token_of_what_others_took_over_while_a_server_slept_is_no_defect(folder: Folder) -> None:
    async with dispatching(folder, GPU) as one:
        taken = one.add("taken", queue="gpu")
        attempt = await one.started(taken)
        # Another server found this one without a sign of life, and has recorded the end of the run.
        one.execute("UPDATE runs SET state = 'succeeded', server = NULL WHERE id = ?", (taken.id,))
        following = one.add("next", queue="gpu")
        # It is given back once, until it is known what there are tokens for.
        second = await one.started(following, 2)
        assert attempt.is_disowned
        assert not one.notices
        # Its end, when this server comes to see it, gives nothing back that is not its own.
        attempt.end()
        third = one.add("third", queue="gpu")
        second.end()
        await one.started(third)
        assert not one.notices


def test_the_executor_of_these_tests_is_one() -> None:
    executor: Executor = ByHand()
    assert executor.name
