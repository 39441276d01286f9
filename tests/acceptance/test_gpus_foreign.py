"""Processes of others on a card keep our runs off it, as long as they go on and no longer."""

import os

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import (
    TOLD,
    UNSEEN,
    card,
    cards_of,
    let_end,
    runs,
    seen,
    sees_processes,
    states,
    told,
    waits,
)
from tests.nvml.fake import FakeCards
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

ME = os.getpid()
JOINS = 'echo "process 0 pid=$$ memory=1000" >> "$FAKE_NVML"; '


@sees_processes
def test_a_card_with_somebody_elses_process_is_passed_over_until_it_is_gone(place: Place) -> None:
    foreign = f"process 0 pid={ME} memory=1000"
    cards = cards_of(place, *FakeCards.cards(2), foreign)
    place.serve("-j", "9")
    place.task("any", TOLD, "gpus: 1")
    place.becomes("any", "succeeded")
    assert told(place, "any")[1] == "1"
    place.task("both", TOLD, "gpus: 2")
    reason = waits(place, "both", "waits for GPUs: GPU 0 is used by", f"pid {ME}", "with 1000 MiB")
    assert "GPU 1" not in reason
    place.task("none", "true")
    place.becomes("none", "succeeded")
    assert states(place) == ["foreign", "free"]
    cards.remove(foreign)
    place.becomes("both", "succeeded")


@sees_processes
def test_foreign_processes_come_and_go(place: Place) -> None:
    cards = cards_of(place, *FakeCards.cards(1))
    place.serve("-j", "9")
    for number in range(4):
        foreign = f"process 0 pid={ME} memory={'none' if number % 2 else 10}"
        cards.add(foreign)
        name = f"t{number}"
        place.task(name, "true", "gpus: 1")
        waits(place, name, f"pid {ME}")
        cards.remove(foreign)
        place.becomes(name, "succeeded")


@sees_processes
def test_the_processes_of_our_runs_are_not_foreign(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.drop("aqueue.yaml", "gpus: {slots: 2}\n")
    place.serve("-j", "9")
    place.task("a", JOINS + place.until("a"), "gpus: 1")
    row = place.becomes("a", "running")
    eventually(lambda: seen(place)["gpus"][0]["processes"])
    assert [process["run"] for process in seen(place)["gpus"][0]["processes"]] == [row["id"]]
    place.task("b", TOLD, "gpus: 1")
    place.becomes("b", "succeeded")
    let_end(place, "a")


@sees_processes
def test_a_process_that_a_run_left_behind_keeps_its_card(place: Place) -> None:
    cards = cards_of(place, *FakeCards.cards(1))
    place.serve("-j", "9")
    place.task("a", f"setsid sh -c 'echo $$ > pid; exec sleep 60' & {place.until('pid')}", "gpus: 1")
    row = place.becomes("a", "succeeded")
    (pid,) = place.lines("pid")
    cards.add(f"process 0 pid={pid} memory=7")
    place.task("b", TOLD, "gpus: 1")
    waits(place, "b", f"GPU 0 is used by sleep (pid {pid}", f"run {row['id']}) with 7 MiB")
    place.kill_processes_of(row["id"])
    cards.remove(f"process 0 pid={pid} memory=7")
    place.becomes("b", "succeeded")


def test_where_processes_cannot_be_seen_memory_that_nobody_accounts_for_tells_of_them(place: Place) -> None:
    used = card(0, used=20480)
    cards = cards_of(place, used, card(1), *[UNSEEN.format(index) for index in range(2)])
    place.serve("-j", "9")
    place.task("a", TOLD, "gpus: [0]")
    place.task("b", TOLD, "gpus: 1")
    place.becomes("b", "succeeded")
    assert told(place, "b")[1] == "1"
    waits(place, "a", "waits for GPUs: GPU 0 has 20 GiB in use that no run asked for")
    cards.remove(used)
    cards.add(card(0, used=400))
    place.becomes("a", "succeeded")


def test_a_card_on_which_memory_is_in_use_is_not_shown_as_free(place: Place) -> None:
    place.init()
    cards_of(place, card(0, used=20480), UNSEEN.format(0))
    assert "free" not in states(place)


@pytest.mark.parametrize("ignored", ["19GiB", "20000MiB"])
def test_less_memory_than_is_to_be_ignored_does_not_matter(place: Place, ignored: str) -> None:
    cards_of(place, card(0, used=19000), UNSEEN.format(0))
    place.drop("aqueue.yaml", f"gpus: {{ignore_memory: {ignored}}}\n")
    place.task("a", TOLD, "gpus: 1")
    place.drain()
    assert told(place, "a")[1] == "0"


def test_memory_that_our_runs_account_for_does_not_matter(place: Place) -> None:
    cards = cards_of(place, card(0), UNSEEN.format(0))
    place.drop("aqueue.yaml", "gpus: {slots: 3}\n")
    place.serve("-j", "9")
    runs(place, "a", "gpu_memory: 8GiB")
    cards.say(card(0, used=8000), UNSEEN.format(0))
    runs(place, "b", "gpus: 1")
    cards.say(card(0, used=23552), UNSEEN.format(0))
    place.task("c", "true", "gpus: 1")
    # Nobody has said how much `b` will use.
    place.becomes("c", "succeeded")
    let_end(place, "b")
    place.task("d", "true", "gpus: 1")
    waits(place, "d", "GPU 0 has 23 GiB in use")
    cards.say(card(0, used=8000), UNSEEN.format(0))
    place.becomes("d", "succeeded")
    let_end(place, "a")


def test_a_card_with_too_little_free_memory_is_passed_over_until_it_has_more(place: Place) -> None:
    used = card(0, used=20480)
    cards = cards_of(place, used, card(1))
    place.drop("aqueue.yaml", "gpus: {share_with_others: true}\n")
    place.serve("-j", "9")
    place.task("any", TOLD, "gpu_memory: 8GiB")
    place.becomes("any", "succeeded")
    assert told(place, "any")[1] == "1"
    place.task("this", TOLD, "gpus: [0]", "gpu_memory: 8GiB")
    waits(place, "this", "waits for GPUs: GPU 0 has 4 GiB free of the 8 GiB needed")
    cards.remove(used)
    cards.add(card(0))
    place.becomes("this", "succeeded")


def test_two_runs_are_not_promised_the_same_memory(place: Place) -> None:
    cards_of(place, card(0))
    place.drop("aqueue.yaml", "gpus: {slots: 2}\n")
    place.serve("-j", "9")
    row = runs(place, "a", "gpu_memory: 16GiB")
    place.task("b", "true", "gpu_memory: 16GiB")
    waits(place, "b", "GPU 0 has 8 GiB free of the 16 GiB needed", f"run {row['id']}")
    place.task("c", "true", "gpu_memory: 4GiB")
    let_end(place, "a")
    for name in ("b", "c"):
        place.becomes(name, "succeeded")


@sees_processes
def test_a_card_may_be_shared_with_others(place: Place) -> None:
    cards_of(place, card(0, used=1000), f"process 0 pid={ME} memory=1000")
    place.drop("aqueue.yaml", "gpus: {share_with_others: true}\n")
    place.task("a", TOLD, "gpu_memory: 8GiB")
    place.drain()
    assert told(place, "a")[1] == "0"


@sees_processes
def test_sharing_may_be_allowed_while_a_run_waits(place: Place) -> None:
    cards_of(place, card(0), f"process 0 pid={ME} memory=1000")
    place.serve()
    place.task("a", TOLD, "gpus: 1")
    waits(place, "a", f"pid {ME}")
    place.drop("aqueue.yaml", "gpus: {share_with_others: true}\n")
    place.becomes("a", "succeeded")


@sees_processes
def test_a_process_on_one_instance_keeps_nobody_off_the_others(place: Place) -> None:
    lines = [f"mig 0 {number} uuid=MIG-{number} total=10240 used=0 name=MIG" for number in (0, 1)]
    cards_of(place, card(0), *lines, f"process 0/0 pid={ME} memory=5")
    place.serve("-j", "2")
    place.task("a", TOLD, "gpus: 1")
    place.becomes("a", "succeeded")
    assert told(place, "a")[1] == "MIG-1"
    place.task("b", "true", "gpus: 2")
    waits(place, "b", "GPU 0:0 is used by", f"pid {ME}", "with 5 MiB")
