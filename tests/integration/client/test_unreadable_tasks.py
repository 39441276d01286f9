"""A run whose task cannot be read, as one written by an earlier version may be, holds up nothing else."""

import sqlite3
from contextlib import closing

from aqueue import Client, State
from tests.waiting import eventually


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


def test_a_schedule_that_cannot_be_read_back_hides_no_other_and_is_mended_by_its_file(queue: Client) -> None:
    for name in ("a", "b"):
        (queue.path / f"{name}.yaml").write_text("command: 'true'\nschedule: 0 3 * * *\n")
    with queue.serving():
        eventually(lambda: len(queue.schedules()) == 2)
    with closing(sqlite3.connect(queue.path / ".aqueue" / "state.db", isolation_level=None)) as connection:
        connection.execute("UPDATE schedules SET schedule = '{}', next_due = 1 WHERE name = 'a'")
    spoilt, other = queue.schedules()
    assert "it cannot be read back: Object missing required field" in spoilt["error"]
    assert (spoilt["next"], spoilt["in_words"], other["error"], len(other["next"])) == ([], "Never", None, 3)
    with queue.serving():
        eventually(lambda: queue.schedules()[0]["error"] is None)
        assert queue.runs() == []
