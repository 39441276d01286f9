"""GPUs that are given back when an attempt ends, and what is remembered of them."""

import pytest

from aqueue.model.gpu import Allocation
from aqueue.model.outcome import End
from aqueue.model.run import State
from aqueue.model.task import Retries
from tests.integration.store.gpu_machine import Machine, labels


def test_cards_are_given_back_when_the_run_is_over_and_it_is_known_which_it_had(machine: Machine) -> None:
    run = machine.add(gpus=1)
    (taken,) = machine.take().runs
    over = machine.end(run, code=3)
    assert (over.state, over.gpus) == (State.FAILED, taken.gpus)
    assert [attempt.gpus for attempt in machine.store.runs.attempts(over)] == [taken.gpus]
    assert machine.store.gpus.leases() == []
    assert machine.store.gpus.freed_at() == {"GPU-0000": machine.now}


def test_a_run_that_goes_back_to_the_queue_has_no_cards_any_more_but_its_attempts_had(machine: Machine) -> None:
    run = machine.add(gpus=1, retries=Retries(limit=1))
    machine.take()
    first = machine.get(run).gpus
    waiting = machine.end(run, code=3)
    assert (waiting.state, waiting.gpus) == (State.QUEUED, ())
    machine.take()
    second = machine.get(run).gpus
    assert [labels(machine.get(run)), first] == [["1"], (Allocation("GPU-0000", "0"),)]
    over = machine.end(run)
    assert [attempt.gpus for attempt in machine.store.runs.attempts(over)] == [first, second]
    assert over.gpus == second


def test_what_is_told_of_a_run_that_ended_is_what_is_remembered(machine: Machine) -> None:
    run = machine.add(gpus=1, retries=Retries(limit=1))
    for code in (3, 0):
        (taken,) = machine.take().runs
        assert machine.finish(taken, code=code, server="me") == machine.get(run)


@pytest.mark.parametrize("end", [End.LOST, End.NEVER_STARTED, End.TIMED_OUT, End.STOPPED, End.FAILED_TO_START])
def test_cards_are_given_back_however_an_attempt_ends(machine: Machine, end: End) -> None:
    run = machine.add(gpus=2)
    machine.take()
    ended = machine.end(run, end, code=None)
    assert machine.store.gpus.leases() == []
    assert len(ended.gpus) == (0 if ended.state is State.QUEUED else 2)
    assert [len(attempt.gpus) for attempt in machine.store.runs.attempts(ended)] == [2] * (
        end is not End.NEVER_STARTED
    )


def test_a_run_that_is_retried_by_hand_has_no_cards_while_it_waits(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take()
    machine.store.lifecycle.retry([machine.end(run)])
    assert machine.get(run).gpus == ()
    assert machine.store.gpus.leases() == []
    assert machine.given() == {run.id: ["1"]}


def test_a_run_that_was_cancelled_keeps_its_cards_until_it_is_over(machine: Machine) -> None:
    run = machine.add(gpus=2)
    machine.take()
    machine.store.lifecycle.cancel(machine.get(run), "cancelled", machine.now)
    machine.add("other", gpus=1)
    assert machine.given() == {}
    machine.end(run, End.STOPPED, code=143)
    assert machine.given() == {2: ["0"]}


def test_who_speaks_up_too_late_gives_nothing_back(machine: Machine) -> None:
    run = machine.add(gpus=1)
    (taken,) = machine.take("gone").runs
    machine.store.servers.adopt("me", {"me"}, ())
    assert machine.finish(taken, server="gone") is None
    assert [lease.run for lease in machine.store.gpus.leases()] == [run.id]
    assert machine.store.gpus.freed_at() == {}


def test_a_run_keeps_its_cards_when_another_server_adopts_it(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take("gone", owns=((1,),))
    ((adopted, _),) = machine.store.servers.adopt("me", {"me"}, ())
    assert labels(adopted) == labels(machine.get(run)) == ["1"]
    machine.add("other", gpus=(1,))
    assert machine.given() == {}
    assert labels(machine.end(run)) == ["1"]
    assert machine.given() == {2: ["1"]}


def test_a_forgotten_run_leaves_nothing_behind(machine: Machine) -> None:
    run = machine.add(gpus=1)
    machine.take()
    machine.end(run)
    machine.store.runs.forget([run.id])
    assert machine.store.gpus.leases() == []
    assert machine.given() == {}


def test_the_card_that_was_given_back_longest_ago_is_given_next(machine: Machine) -> None:
    first, second = (machine.add(name, gpus=1) for name in "ab")
    machine.take()
    machine.end(second)
    machine.end(first)
    third = machine.add("c", gpus=1)
    assert machine.given() == {third.id: ["1"]}
