"""Claims with a fresh, a stale, or no reading of the GPUs."""

from aqueue.model.claim import NO_VIEW, ClaimResult, GpuView
from aqueue.model.gpu import GpuReading
from tests.integration.recording import NOW
from tests.integration.store.gpu_machine import GIB, STRANGER, Machine


def test_without_a_look_no_card_is_given_and_one_is_asked_for(machine: Machine) -> None:
    machine.add("cards", gpus=1)
    other = machine.add("other")
    taken = machine.take(view=NO_VIEW)
    assert [run.id for run in taken.runs] == [other.id]
    assert (taken.needs_reading, taken.is_vetoed) == (True, False)
    assert taken.reading is None


def test_by_a_stale_look_no_card_is_given_and_another_is_asked_for(machine: Machine) -> None:
    run = machine.add(gpus=1)
    stale = GpuView(machine.look())
    machine.now += 60
    taken = machine.take(view=stale)
    assert (taken.runs, taken.needs_reading, taken.is_vetoed) == ([], True, False)
    assert machine.given() == {run.id: ["0"]}


def test_by_a_look_from_before_a_card_was_given_back_it_is_not_given(machine: Machine) -> None:
    first = machine.add("a", gpus=2)
    machine.take()
    early = GpuView(machine.look())
    machine.end(first)
    second = machine.add("b", gpus=1)
    taken = machine.take(view=early)
    assert (taken.runs, taken.needs_reading, taken.is_vetoed) == ([], True, False)
    assert machine.given() == {second.id: ["0"]}


def test_no_look_is_asked_for_when_no_run_asks_for_cards_or_all_have_them(machine: Machine) -> None:
    assert machine.take(view=NO_VIEW) == ClaimResult([])
    machine.add("plain")
    assert not machine.take(view=NO_VIEW).needs_reading
    machine.add("cards", gpus=2)
    taken = machine.take()
    assert (len(taken.runs), taken.needs_reading, taken.is_vetoed) == (1, False, False)


def test_a_run_that_waits_only_for_runs_of_ours_asks_for_no_look(machine: Machine) -> None:
    machine.add("a", gpus=2)
    machine.take()
    machine.add("b", gpus=1)
    for view in (None, GpuView(GpuReading(began_at=NOW - 600, ended_at=NOW - 600, gpus=tuple(machine.cards)))):
        taken = machine.take(view=view)
        assert (taken.runs, taken.needs_reading, taken.is_vetoed) == ([], False, False)


def test_a_run_that_somebody_else_keeps_from_its_card_waits_for_looks(machine: Machine) -> None:
    machine.change(0, processes=STRANGER)
    run = machine.add(gpus=(0,))
    taken = machine.take()
    assert (taken.runs, taken.needs_reading, taken.is_vetoed) == ([], False, True)
    machine.change(0, processes=())
    assert machine.given() == {run.id: ["0"]}


def test_a_run_that_wants_more_than_there_is_waits_and_keeps_nobody_back(machine: Machine) -> None:
    large = machine.add("large", gpus=8)
    fat = machine.add("fat", gpu_memory=80 * GIB, gpus=1)
    fits = machine.add("fits", gpus=2)
    taken = machine.take()
    assert [run.id for run in taken.runs] == [fits.id]
    assert (taken.needs_reading, taken.is_vetoed) == (False, True)
    assert taken.lacking == (
        (large.id, "asks for 8 GPUs, but there are only 2"),
        (fat.id, "asks for 1 GPU with 80 GiB, but the largest has 24 GiB"),
    )


def test_a_new_look_is_remembered_for_those_who_ask(machine: Machine) -> None:
    machine.enter("me")
    machine.enter("you")
    look = machine.look()
    assert machine.store.gpus.reading() is None
    assert machine.take("me", GpuView(look, None, is_news=True)).reading == look
    assert machine.store.gpus.reading() == machine.store.gpus.reading(["me"]) == look
    assert machine.store.gpus.reading(["you"]) is None
    later = machine.look()
    assert machine.take("me", GpuView(later)).reading == later
    assert machine.store.gpus.reading() == look, "it is no news"
    machine.take("you", GpuView(later, None, is_news=True))
    assert machine.store.gpus.reading() == later
