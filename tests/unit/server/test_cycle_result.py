"""After which cycles the other servers of a folder have to be told."""

from typing import Any

import pytest

from aqueue.model.claim import ClaimResult
from aqueue.model.gpu import Allocation
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run
from aqueue.model.submission import Accepted, Submission
from aqueue.policy.limits import Limits
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_result import CycleResult
from aqueue.server.schedules import SchedulesResult
from aqueue.store.queues import Outlook
from tests.unit.records import a_run, a_task

CARD = Allocation(key="GPU-0", label="0")


def ended(**changes: Any) -> list[tuple[Outcome, Run]]:
    run = a_run(**changes)
    return [(Outcome(run=run, end=End.EXITED, at=1002.0, exit_code=0), run)]


def done(servers: int = 2, claimed: list[Run] | None = None, **changes: Any) -> CycleResult:
    """A cycle in which nothing happened but this."""
    nothing: dict[str, Any] = {
        "already_accepted": (),
        "accepted": {},
        "aborted": [],
        "unblocked": 0,
        "schedules": SchedulesResult(refused=(), changed=(), made=(), decided=None, not_caught_up=()),
        "ended": [],
        "liveness": None,
        "adopted": [],
        "own_attempts": None,
        "cancellations": [],
        "record": None,
        "outlook": Outlook(busy=True, waiting=True, next_ready=None, servers=servers),
    }
    return CycleResult(**nothing | changes, claim=ClaimResult(claimed or []))


@pytest.mark.parametrize(
    ("ends", "claims", "is_told"),
    [
        ({}, None, True),
        ({}, {}, False),
        ({"queue": "other"}, {}, True),
        ({"gpus": (CARD,)}, {}, True),
        ({"gpus": (CARD,)}, {"gpus": (CARD,)}, False),
    ],
    ids=["slot", "slot taken again", "slot of another queue", "card", "card taken again"],
)
def test_others_are_told_of_what_was_freed_and_is_not_taken_again(
    ends: dict[str, Any], claims: dict[str, Any] | None, is_told: bool
) -> None:
    claimed = [] if claims is None else [a_run(id=2, **claims)]
    assert done(ended=ended(**ends), claimed=claimed).concerns_others is is_told
    assert not done(servers=1, ended=ended(**ends), claimed=claimed).concerns_others


@pytest.mark.parametrize(("come", "claims", "is_told"), [(2, 1, True), (1, 1, False), (0, 0, False)])
def test_others_are_told_of_runs_that_came_and_are_not_all_started_here(
    come: int, claims: int, is_told: bool
) -> None:
    claimed = [a_run(id=id_) for id_ in range(1, claims + 1)]
    accepted = {"file": [Accepted(Submission(task=a_task()), tuple(range(1, come + 1)))]}
    assert done(accepted=accepted, claimed=claimed).concerns_others is is_told


@pytest.mark.parametrize("adopts_runs", [False, True])
def test_a_cycle_in_which_runs_may_be_taken_over_is_not_small(adopts_runs: bool) -> None:
    cycle_input = CycleInput(
        files=(),
        schedule_files=(),
        outcomes=(),
        limits=Limits(),
        now=1000.0,
        gpu_view=None,
        store_may_have_changed=False,
        heartbeat_is_due=False,
        makes_due_runs=False,
        adopts_runs=adopts_runs,
    )
    assert cycle_input.is_small is not adopts_runs
