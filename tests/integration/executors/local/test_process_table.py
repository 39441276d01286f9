"""The process table: read once for all who search at the same time."""

import asyncio
import os
import subprocess

from aqueue.executors.local import process_table
from aqueue.executors.local.process_table import SharedTable
from tests.integration.attempts import Attempts


async def test_searches_that_begin_together_share_a_table() -> None:
    shared = SharedTable()
    first, second = await asyncio.gather(shared.read(), shared.read())
    assert first is second


async def test_a_later_search_has_a_table_of_its_own() -> None:
    shared = SharedTable()
    first = await shared.read()
    with subprocess.Popen(["sleep", "300"]) as late:
        second = await shared.read()
        late.kill()
    assert late.pid not in {each.pid for each in first}
    assert late.pid in {each.pid for each in second}


def test_each_sign_of_a_living_attempt_is_in_the_table(attempts: Attempts) -> None:
    directory = attempts.path().rpartition("/")[0]
    started = attempts.start(
        "echo ready; sleep 300", environment={"AQUEUE_RUN_DIR": directory, "AQUEUE_ATTEMPT": "1"}
    )
    started.says("ready")
    table = process_table.read()
    assert table.wrappers(started.path) >= {started.pid}
    assert table.holders(started.path) >= {started.pid}
    assert table.heirs(started.path) >= {started.pid}
    (writer, *_) = table.writers(started.path)
    assert os.getpgid(writer) == started.pid
