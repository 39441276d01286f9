"""A run whose task cannot be read, as one written by an earlier version may be, holds up nothing else."""

import sqlite3
from contextlib import closing

from aqueue import Client, State


def spoil(queue: Client, id_: int) -> None:
    with closing(sqlite3.connect(queue.path / ".aqueue" / "state.db", isolation_level=None)) as connection:
        connection.execute(
            "UPDATE runs SET task = json_set(task, '$.env', json('{\"A\": 1}')) WHERE id = ?", (id_,)
        )


def test_it_fails_with_the_reason_and_the_others_are_run(queue: Client) -> None:
    spoilt, held, other = (
        queue.add("true", name="a"),
        queue.add("true", hold=True),
        queue.add("true", after_any=True, after="a"),
    )
    spoil(queue, spoilt.id)
    spoil(queue, held.id)
    assert [run.state for run in queue.runs()] == [State.QUEUED, State.HELD, State.QUEUED]
    with queue.serving():
        failed, succeeded = queue.wait([spoilt, other], timeout=60)
    assert (failed.state, succeeded.state) == (State.FAILED, State.SUCCEEDED)
    assert "its task cannot be read: Expected `str`, got `int`" in (failed.reason or "")
    assert queue.describe(failed)["reason"] == failed.reason
    assert [run.state for run in queue.cancel(held)] == [State.ABORTED]
    assert queue.prune(keep=0) == 3
