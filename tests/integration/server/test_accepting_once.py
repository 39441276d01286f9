"""A file that another server took up and dealt with is not accepted once more by the one that claimed it."""

import sqlite3

import pytest

from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.model.submission import Submission
from aqueue.policy.limits import Limits
from aqueue.server.cycle import Cycle
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_result import Liveness
from aqueue.server.schedules import Scheduler
from aqueue.store.store import Store
from tests.integration.recording import NOW
from tests.unit.records import a_task

NAME = "0123456789ab000001~~x.yaml"


@pytest.mark.parametrize("was_dealt_with", [False, True])
def test_a_file_that_somebody_has_put_away_becomes_no_run(
    folder: Folder, connection: sqlite3.Connection, was_dealt_with: bool
) -> None:
    file = ClaimedFile(name=NAME, source="x.yaml", requests=[Submission(task=a_task())], content=b"")
    if not was_dealt_with:
        (folder.incoming / NAME).touch()
    cycle = Cycle(folder, "me", "local", Scheduler(folder, lambda *_: None), lambda *_: Liveness((), (), 0.0, 0.0))
    cycle_input = CycleInput(
        files=[file], schedule_files=(), outcomes=(), limits=Limits(), now=NOW, gpu_view=None,
        store_may_have_changed=False, heartbeat_is_due=False, makes_due_runs=False, adopts_runs=False,
    )  # fmt: skip
    done = cycle.do(cycle_input, connection)
    assert len(Store(connection).runs.select()) == len(done.accepted[NAME]) == (0 if was_dealt_with else 1)
