"""A dispatcher over a real store."""

import os
import signal

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.config import Queue
from aqueue.model.run import State
from aqueue.policy.limits import Limits
from tests.integration.server.dispatching import dispatching
from tests.unit.records import a_run
from tests.waiting import eventually_async

GPU = Limits(queues={"gpu": Queue(name="gpu", max_concurrency=1)})


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
        assert not folder.run_dir(run.id).exists()
        one.slots.give_back("somebody")
        one.clock.time += 60.0
        one.dispatcher.wake()
        await one.until(run, State.SUCCEEDED)


async def test_a_token_of_what_others_took_over_while_a_server_slept_is_no_defect(folder: Folder) -> None:
    async with dispatching(folder, GPU) as one:
        taken = one.add("taken", queue="gpu", command="exec sleep 60")
        fence = folder.log(taken.id, 1).with_suffix(".pid")
        await eventually_async(lambda: fence.exists() and fence.read_text())
        # Another server finds this one without a sign of life, and has recorded the end of the run.
        one.execute("UPDATE runs SET state = 'succeeded', server = NULL WHERE id = ?", (taken.id,))
        try:
            await one.until(one.add("next", queue="gpu"), State.SUCCEEDED)
        finally:
            os.kill(int(fence.read_text().split()[0]), signal.SIGKILL)
        assert not one.notices
        assert one.get(taken).state is State.SUCCEEDED
