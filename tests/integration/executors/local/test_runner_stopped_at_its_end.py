"""A run that ends by itself at the moment in which it is to be stopped."""

import asyncio
import os
import select
import sqlite3

import pytest

from aqueue.clock import Clock
from aqueue.executors.local.procfs import group_has_members
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.outcome import End
from tests.integration.recording import claimed
from tests.waiting import eventually_async

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the moment cannot be hit without a pidfd")


@pytest.mark.parametrize("steps", range(5))
async def test_a_stop_in_the_moment_of_its_end_does_no_harm_where_it_has_left_something(
    folder: Folder, connection: sqlite3.Connection, steps: int
) -> None:
    run = claimed(connection, folder, command="(trap '' TERM; sleep 60; :) & sleep 0.2")
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 0.1))
    runner.launch()
    seen = asyncio.create_task(runner.wait())
    fence = folder.log(run.id, run.attempt).with_suffix(".pid")
    await eventually_async(lambda: fence.exists() and fence.read_text())
    pid = int(fence.read_text().split()[0])
    descriptor = os.pidfd_open(pid)
    # The loop stands still until it is over; then it takes a step to notice, and another to tell the runner.
    assert select.select([descriptor], [], [], 10.0)[0]
    os.close(descriptor)
    for _ in range(steps):
        await asyncio.sleep(0)
    runner.stop("stopped with the server")
    outcome = await seen
    assert (outcome.end, outcome.exit_code) in [(End.EXITED, 0), (End.STOPPED, 0)]
    assert not group_has_members(pid)
