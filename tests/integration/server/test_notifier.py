"""A server records messages with what they tell of, and sends them beside its work."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from aqueue.folder.layout import Folder
from aqueue.model.notification import Event, Kind, Target
from aqueue.model.run import State
from aqueue.policy.limits import Limits
from tests.integration.server.dispatching import Dispatching, dispatching
from tests.receivers import HttpReceiver, receiving
from tests.waiting import eventually_async


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with receiving() as receiver:
        yield receiver


def hook(receiver: HttpReceiver, name: str = "hook", path: str = "") -> Target:
    return Target(name=name, kind=Kind.WEBHOOK, address=receiver.url + path, on=(Event.FAILED, Event.SUCCEEDED))


async def end(one: Dispatching, name: str, exit_code: int = 1, **changes: Any) -> None:
    run = one.add(name, **changes)
    (await one.started(run)).end(exit_code=exit_code)
    await one.until(run, State.FAILED, State.SUCCEEDED)


async def test_a_run_that_nobody_is_told_of_costs_no_statement_more(folder: Folder) -> None:
    statements: list[str] = []
    async with dispatching(folder) as one:
        await one.trace(statements.append)
        await end(one, "first")
        one.targets = (Target(name="x", kind=Kind.COMMAND, address="true"),)
        await end(one, "second")
        one.targets = ()
        await end(one, "third", group="all")
    assert any("UPDATE runs SET state" in text for text in statements)
    tables = ("outbox", "watched_groups", "failing")
    assert not [text for text in statements if any(table in text for table in tables)]


async def test_what_a_server_recorded_before_it_died_is_sent_by_the_next(
    folder: Folder, receiver: HttpReceiver
) -> None:
    async with dispatching(folder, server="first") as one:
        one.targets = (hook(receiver),)
        await end(one, "train")
    assert receiver.requests == []
    async with dispatching(folder, server="second") as one, anyio.create_task_group() as tasks:
        one.targets = (hook(receiver),)
        tasks.start_soon(one.dispatcher.notifier.run)
        await one.dispatcher.notifier.finish()
        tasks.cancel_scope.cancel()
    (request,) = receiver.requests
    assert request.headers["X-Aqueue-Event"] == "failed"


async def test_a_target_that_does_not_answer_delays_neither_runs_nor_other_targets(
    folder: Folder, receiver: HttpReceiver
) -> None:
    receiver.may_answer.clear()
    with receiving() as other:
        async with dispatching(folder, Limits(jobs=1)) as one, anyio.create_task_group() as tasks:
            one.targets = (hook(receiver), hook(other, "other"))
            tasks.start_soon(one.dispatcher.notifier.run)
            for name in ("a", "b", "c"):
                await end(one, name)
            await eventually_async(lambda: len(other.requests) == 3)
            assert len(receiver.requests) <= 1
            receiver.may_answer.set()
            await one.dispatcher.notifier.finish()
            tasks.cancel_scope.cancel()
    assert len(receiver.requests) == 3
    ids = [request.headers["X-Aqueue-Event-Id"] for request in receiver.requests]
    assert ids == [request.headers["X-Aqueue-Event-Id"] for request in other.requests]


async def test_a_message_that_is_not_accepted_is_tried_again(folder: Folder, receiver: HttpReceiver) -> None:
    receiver.answers += [500]
    async with dispatching(folder) as one, anyio.create_task_group() as tasks:
        one.targets = (hook(receiver),)
        tasks.start_soon(one.dispatcher.notifier.run)
        await end(one, "train")
        await one.until_told("notify hook: 127.0.0.1 answers HTTP 500; it is tried again")
        one.clock.time += 31.0
        one.dispatcher.notifier.wake()
        await eventually_async(lambda: len(receiver.requests) == 2)
        await one.dispatcher.notifier.finish()
        assert one.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL").fetchone() == (0,)
        tasks.cancel_scope.cancel()
    first, second = receiver.requests
    assert first.content == second.content
